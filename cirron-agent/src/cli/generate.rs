//! `generate DIR`: the manual pages and the shells' completions, made of the command line itself.
//!
//! For whoever makes packages (`cargo xtask dist`); hidden from `--help`. It makes `man/*.1` and `completions/*` below
//! DIR and touches nothing else.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::exit::Exit;
use super::lowargs::LowArgs;
use super::{Failed, say};

/// The shells that have completions.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Makes them.
pub fn generate(dir: &Path) -> Result<Exit, Failed> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    for made in [&man, &completions] {
        fs::create_dir_all(made).with_context(|| format!("{} cannot be made", made.display()))?;
    }
    clap_mangen::generate_to(LowArgs::command(), &man).context("the manual pages")?;
    let mut command = shown();
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, "cirron-agent", &completions)
            .with_context(|| format!("the completions of {shell}"))?;
    }
    say(&format!("manual pages and completions: {}", dir.display()));
    Ok(Exit::Ok)
}

/// The command line without what is hidden, which completions would offer.
fn shown() -> Command {
    let whole = LowArgs::command();
    let commands = whole.get_subcommands().filter(|c| !c.is_hide_set());
    Command::new("cirron-agent")
        .args(whole.get_arguments())
        .subcommands(commands)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_shell_completions_and_neither_names_what_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        generate(dir.path()).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let pages = fs::read_dir(dir.path().join("man")).unwrap().count();
        let shown = LowArgs::command()
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
            .count();
        // One for the program, and one for each command.
        assert_eq!(pages, 1 + shown);
        assert!(read("man/cirron-agent.1").contains("CIRRON_OUTPUT_DIR"));
        assert!(read("man/cirron-agent-daemon.1").contains("config"));
        for name in ["cirron-agent.bash", "_cirron-agent", "cirron-agent.fish"] {
            let text = read(&format!("completions/{name}"));
            assert!(text.contains("daemon"), "{name}");
            assert!(!text.contains("generate"), "{name}");
        }
    }
}
