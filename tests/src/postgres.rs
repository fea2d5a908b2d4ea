//! PostgreSQL's own server, on a new database of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::process::Guard;
use crate::raw::free_port;
use crate::wait;

/// It refuses to run as root.
const USER: &str = "nobody";

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    guard: Guard,
    _dir: TempDir,
    port: u16,
}

/// Where its programs are: Debian keeps each version's in a folder of its own.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.context("no PostgreSQL\n  cargo xtask stacks installs it")?;
    let mut all: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("postgres").exists())
        .collect();
    all.sort();
    all.pop().context("no PostgreSQL in /usr/lib/postgresql")
}

fn by_user(program: PathBuf) -> Command {
    let mut command = Command::new("setpriv");
    let groups = ["--regid=nogroup", "--clear-groups"];
    command.arg(format!("--reuid={USER}")).args(groups);
    command.arg(program);
    command.current_dir("/").stdout(Stdio::null());
    command
}

impl Postgres {
    /// Starts it.
    ///
    /// # Errors
    /// When it is not here, or does not listen.
    pub fn start() -> Result<Postgres> {
        let bin = programs()?;
        let dir = TempDir::new()?;
        let data = dir.path().join("data");
        let owner = format!("{USER}:nogroup");
        let owned = Command::new("chown").arg(owner).arg(dir.path()).status()?;
        ensure!(owned.success(), "chown");
        let made = by_user(bin.join("initdb"))
            .args(["-A", "trust", "-N", "-U", "postgres", "-D"])
            .arg(&data)
            .output()?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "initdb: {said}");
        let port = free_port()?;
        let mut command = by_user(bin.join("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(dir.path());
        command.args(["-h", "127.0.0.1", "-F", "-p", &port.to_string()]);
        let guard = Guard::spawn_logged(command, &dir.path().join("log"))?;
        wait::listener(port)?;
        Ok(Postgres {
            guard,
            _dir: dir,
            port,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process that each connection's is forked from.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// How libpq connects to it, without TLS.
    pub fn address(&self) -> String {
        let port = self.port;
        format!(
            "host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable gssencmode=disable"
        )
    }
}
