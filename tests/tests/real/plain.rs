//! A server that needs no stacks: the standard library's of whatever `python3` there is.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use cirron_tests::calls::curl;
use cirron_tests::process::{Guard, until};
use cirron_tests::raw::free_port;

/// `python3 -m http.server` on a port of its own.
pub(crate) struct Plain {
    guard: Guard,
    port: u16,
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
        until("a server that listens", Duration::from_secs(20), || {
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        })?;
        Ok(plain)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// So many requests, for what is not there, one after the other.
    pub(crate) fn call(&self, count: usize) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/none", self.port);
        let urls: Vec<&str> = std::iter::repeat_n(url.as_str(), count).collect();
        curl(&urls)?;
        // The server closes after it has answered.
        std::thread::sleep(Duration::from_millis(50));
        Ok(())
    }
}
