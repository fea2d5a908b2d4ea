//! A server that needs no stacks: the standard library's of whatever `python3` there is.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use cirron_tests::calls::curl;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::wait;

/// `python3 -m http.server` on a port of its own.
pub(crate) struct Plain {
    guard: Guard,
    pub(crate) port: u16,
}

impl Plain {
    /// Starts it; `by` goes before the command (`setpriv` with its arguments).
    pub(crate) fn start(by: &[&str]) -> Result<Plain> {
        let port = free_port()?;
        let text = port.to_string();
        let python = ["python3", "-m", "http.server", "-b", "127.0.0.1", &text];
        let mut words = by.iter().copied().chain(python);
        let mut command = Command::new(words.next().context("no words")?);
        command
            .args(words)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let guard = Guard::spawn(command)?;
        let plain = Plain { guard, port };
        wait::listener(port)?;
        Ok(plain)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// This number of requests, for what is not there, one after the other.
    pub(crate) fn call(&self, count: usize) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/none", self.port);
        let urls: Vec<&str> = std::iter::repeat_n(url.as_str(), count).collect();
        let others = wait::connections(self.port)?;
        curl(&urls)?;
        // The server closes after it has answered.
        wait::closed_to(others, self.port)
    }
}
