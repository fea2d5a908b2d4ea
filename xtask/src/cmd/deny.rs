//! `cargo xtask deny`: what `deny.toml` says of every dependency, checked by cargo-deny at the version pinned here.
//!
//! Two checks: licences, bans and sources need nothing but the lock files; advisories need RustSec's database, which is
//! fetched. Where it cannot be had, that check is skipped, with the reason. That it can fail is seen with a database
//! that is made here ([`gate`]).

mod gate;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use super::setup::say;
use crate::{paths, sh};

/// The version of cargo-deny. Another one may read `deny.toml` differently.
const VERSION: &str = "0.20.2";

/// The workspaces, each with its own lock file.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "cirron-ebpf/Cargo.toml"];

/// What is allowed, for both.
const CONFIG: &str = "deny.toml";

/// With this set, advisories that cannot be checked are a failure: where CI reaches the database.
const REQUIRE: &str = "CIRRON_REQUIRE_ADVISORIES";

/// Whether the advisories could be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advisories {
    /// None is against a dependency.
    Checked,
    /// The database cannot be had, and why.
    Skipped(String),
}

/// A database of advisories: where it is, and how git gets there.
struct Database {
    /// In the form of `deny.toml`, which names it.
    config: PathBuf,
    /// Variables of git's environment.
    git: Vec<(&'static str, String)>,
}

/// Runs both checks.
pub(crate) fn run() -> Result<ExitCode> {
    policy()?;
    can_fail()?;
    if let Advisories::Skipped(reason) = advisories()? {
        eprintln!("SKIP deny advisories: {reason}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Licences, bans and sources.
pub(crate) fn policy() -> Result<()> {
    let program = ensure()?;
    for manifest in MANIFESTS {
        let mut check = Database::real().check(&program, manifest, "licenses");
        sh::run(check.args(["bans", "sources"]))?;
    }
    Ok(())
}

/// An advisory against one of our dependencies would be a failure.
pub(crate) fn can_fail() -> Result<()> {
    gate::can_fail(&ensure()?)
}

/// Known faults, crates that nobody maintains, and versions that were taken back.
pub(crate) fn advisories() -> Result<Advisories> {
    let program = ensure()?;
    let database = Database::real();
    if let Err(reason) = database.fetch(&program)? {
        if std::env::var_os(REQUIRE).is_some() {
            bail!("{reason}\n  {REQUIRE} is set: let this machine reach the database of deny.toml");
        }
        return Ok(Advisories::Skipped(reason));
    }
    for manifest in MANIFESTS {
        sh::run(&mut database.check(&program, manifest, "advisories"))?;
    }
    Ok(Advisories::Checked)
}

impl Database {
    /// RustSec's.
    fn real() -> Database {
        Database {
            config: CONFIG.into(),
            git: Vec::new(),
        }
    }

    /// Fetches it; why it cannot be had.
    fn fetch(&self, program: &Path) -> Result<Result<(), String>> {
        let mut fetch = self.deny(program, MANIFESTS[0]);
        fetch
            .arg("--config")
            .arg(&self.config)
            .args(["fetch", "db"]);
        let fetched = fetch
            .output()
            .with_context(|| format!("cannot run {}", sh::shown(&fetch)))?;
        if fetched.status.success() {
            return Ok(Ok(()));
        }
        let printed = String::from_utf8_lossy(&fetched.stderr);
        // Any other failure is a fault of ours, and no reason to skip.
        if !printed.contains("failed to fetch") {
            bail!("{printed}{} failed: {}", sh::shown(&fetch), fetched.status);
        }
        Ok(Err(reason(&printed)))
    }

    /// `cargo deny check` of a workspace; `what` is checked.
    fn check(&self, program: &Path, manifest: &str, what: &str) -> Command {
        let mut check = self.deny(program, manifest);
        check.args(["--locked", "--config"]).arg(&self.config);
        check.args(["check", what]);
        check
    }

    fn deny(&self, program: &Path, manifest: &str) -> Command {
        let mut deny = sh::command(program);
        deny.args(["--manifest-path", manifest]);
        deny.envs(self.git.iter().map(|(name, value)| (name, value)));
        deny
    }
}

/// The program in the cache, built once.
fn ensure() -> Result<PathBuf> {
    let root = paths::cache().join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    say(&format!(
        "will build cargo-deny {VERSION} into {}, to check the dependencies",
        root.display()
    ));
    let mut install = sh::cargo(["install", "cargo-deny", "--locked", "--version", VERSION]);
    install.arg("--root").arg(&root);
    // Its release is one unit that is optimised as a whole: minutes, for a second of work.
    install
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    sh::run(&mut install)?;
    Ok(program)
}

/// The cause in what cargo-deny printed: git's last word, else the first error, without its time.
fn reason(printed: &str) -> String {
    let fatal = printed
        .lines()
        .find_map(|line| line.strip_prefix("fatal: "));
    let error = || {
        printed
            .lines()
            .find_map(|line| Some(line.split_once("[ERROR] ")?.1))
    };
    fatal
        .or_else(error)
        .unwrap_or("the database cannot be fetched")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_of_a_skip_is_the_cause() {
        let error = "2026-11-27 10:00:00 [INFO] fetching\n2026-11-27 10:00:01 [ERROR] failed to fetch database\n";
        assert_eq!(reason(error), "failed to fetch database");
        let git = format!("{error}Cloning into 'db'...\nfatal: unable to access: no such host\n");
        assert_eq!(reason(&git), "unable to access: no such host");
        assert_eq!(reason(""), "the database cannot be fetched");
    }
}
