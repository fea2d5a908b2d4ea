//! Whether the gate of advisories can fail: a database that is made here has one of a crate that we depend on.
//!
//! Git is told that the database's address is a directory of this machine, so that cargo-deny fetches it as it fetches
//! the real one, and `deny.toml` is the real one but for that address. Nothing else is configured. Where the advisory is
//! of a crate that we do not use, the same check has to pass.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Database, MANIFESTS};
use crate::{paths, sh};

/// An address that no machine has.
const ADDRESS: &str = "https://advisories.invalid/made-up";
/// The advisory.
const ID: &str = "RUSTSEC-2026-0001";
/// A crate that nobody has.
const NOT_OURS: &str = "cirron-is-not-a-dependency";

/// The check fails over an advisory of ours in each workspace, and over no other.
pub(super) fn can_fail(program: &Path) -> Result<()> {
    for manifest in MANIFESTS {
        let used = some_dependency(&paths::root().join(manifest).with_extension("lock"))?;
        for (package, is_ours) in [(used.as_str(), true), (NOT_OURS, false)] {
            let database = make(package)?;
            if let Err(reason) = database.fetch(program)? {
                bail!("a database on this machine cannot be fetched: {reason}");
            }
            let mut check = database.check(program, manifest, "advisories");
            let done = check
                .output()
                .with_context(|| format!("cannot run {}", sh::shown(&check)))?;
            let printed = String::from_utf8_lossy(&done.stderr);
            let fails = !done.status.success() && printed.contains(ID);
            ensure!(
                fails == is_ours && done.status.success() != is_ours,
                "with an advisory against {package}, {} gave {}:\n{printed}",
                sh::shown(&check),
                done.status
            );
        }
    }
    Ok(())
}

/// A crate of a registry, of those in a lock file.
fn some_dependency(lock: &Path) -> Result<String> {
    let text =
        fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let found = text.split("[[package]]").find_map(|package| {
        let value = |key: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| {
                line.strip_prefix(key)?
                    .strip_prefix(" = \"")?
                    .strip_suffix('"')
            })
        };
        value("source").filter(|source| source.starts_with("registry+"))?;
        value("name")
    });
    let found = found.with_context(|| format!("{} has no dependency", lock.display()))?;
    Ok(found.to_owned())
}

/// A database with one advisory, in the build's directory.
fn make(package: &str) -> Result<Database> {
    let dir = paths::target().join("deny-gate");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let source = dir.join("source");
    let crates = source.join("crates").join(package);
    fs::create_dir_all(&crates)?;
    fs::write(crates.join(format!("{ID}.md")), advisory(package))?;
    git(&source, &["init", "--quiet", "--initial-branch", "main"])?;
    git(&source, &["add", "--all"])?;
    git(&source, &["commit", "--quiet", "--message", "made up"])?;
    let real = fs::read_to_string(paths::root().join(super::CONFIG))?;
    let config = dir.join("deny.toml");
    fs::write(&config, with_address(&real, &dir.join("fetched"))?)?;
    Ok(Database {
        config,
        // As `git -c url.DIRECTORY.insteadOf=ADDRESS`, for git that another program starts.
        git: vec![
            ("GIT_CONFIG_COUNT", "1".to_owned()),
            (
                "GIT_CONFIG_KEY_0",
                format!("url.file://{}.insteadOf", source.display()),
            ),
            ("GIT_CONFIG_VALUE_0", ADDRESS.to_owned()),
        ],
    })
}

fn advisory(package: &str) -> String {
    format!(
        "```toml\n[advisory]\nid = \"{ID}\"\npackage = \"{package}\"\ndate = \"2026-01-01\"\n\n\
         [versions]\npatched = []\n```\n\n# A fault that is made up\n\nTo see that the gate fails.\n"
    )
}

/// `deny.toml` with another database.
fn with_address(real: &str, fetched: &Path) -> Result<String> {
    const SECTION: &str = "\n[advisories]\n";
    if !real.contains(SECTION) || real.contains("db-urls") || real.contains("db-path") {
        bail!(
            "deny.toml is not as this check knows it: it has a section [advisories] without a database"
        );
    }
    let ours = format!("{SECTION}db-urls = [{ADDRESS:?}]\ndb-path = {fetched:?}\n");
    Ok(real.replacen(SECTION, &ours, 1))
}

fn git(dir: &Path, arguments: &[&str]) -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(dir).args(arguments);
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "nobody");
        git.env(format!("GIT_{who}_EMAIL"), "nobody@invalid");
    }
    sh::run_quietly(&mut git)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_configuration_is_the_real_one_with_another_database() {
        let real = fs::read_to_string(paths::root().join(crate::cmd::deny::CONFIG)).unwrap();
        let made = with_address(&real, Path::new("/a/b")).unwrap();
        let ours = [
            "db-urls = [\"https://advisories.invalid/made-up\"]",
            "db-path = \"/a/b\"",
        ];
        let rest: Vec<&str> = made.lines().filter(|line| !ours.contains(line)).collect();
        assert_eq!(rest, real.lines().collect::<Vec<_>>());
        assert_eq!(made.lines().count(), real.lines().count() + ours.len());
        assert!(
            with_address(&made, Path::new("/a/b")).is_err(),
            "it has a database"
        );
    }

    #[test]
    fn a_dependency_of_each_workspace_is_found() {
        for manifest in MANIFESTS {
            let lock = paths::root().join(manifest).with_extension("lock");
            let name = some_dependency(&lock).unwrap();
            assert!(!name.is_empty() && !name.starts_with("cirron"), "{name}");
        }
    }
}
