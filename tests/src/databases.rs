//! Redis and MariaDB, Debian's own servers, each with nothing in it.

use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::Guard;
use crate::raw::free_port;
use crate::wait;

/// A running server.
#[derive(Debug)]
pub struct Database {
    guard: Guard,
    _dir: TempDir,
    port: u16,
}

impl Database {
    /// Redis, which keeps nothing on disk.
    ///
    /// # Errors
    /// When it is not here, or does not listen.
    pub fn redis() -> Result<Database> {
        Database::start("redis-server", |command, port, _| {
            command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]);
            command.args(["--port", &port.to_string()]);
        })
    }

    /// MariaDB, without users: whoever connects may do all.
    ///
    /// # Errors
    /// The same.
    pub fn mariadb() -> Result<Database> {
        Database::start("mariadbd", |command, port, dir| {
            let dir = dir.path().display();
            command.args(["--no-defaults", "--user=root", "--skip-grant-tables"]);
            command.args(["--bind-address=127.0.0.1", &format!("--port={port}")]);
            command.arg(format!("--datadir={dir}"));
            command.arg(format!("--socket={dir}/socket"));
            command.arg(format!("--pid-file={dir}/pid"));
        })
    }

    fn start(
        program: &str,
        arguments: impl FnOnce(&mut Command, u16, &TempDir),
    ) -> Result<Database> {
        let dir = TempDir::new()?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.current_dir(dir.path());
        arguments(&mut command, port, &dir);
        let guard = Guard::spawn_logged(command, &dir.path().join("log"));
        let guard = guard.with_context(|| format!("no {program}\n  cargo xtask stacks"))?;
        wait::listener(port)?;
        Ok(Database {
            guard,
            _dir: dir,
            port,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// It is gone, without a word to its clients.
    pub fn kill(&self) {
        self.guard.signal(libc::SIGKILL);
    }
}
