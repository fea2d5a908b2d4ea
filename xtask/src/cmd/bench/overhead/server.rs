//! FastAPI on one uvicorn worker, uvloop and httptools: the server of the suites, unmodified.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{paths, sh};

pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
}

impl Server {
    pub(super) fn start() -> Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = sh::command(paths::stacks().join("venv/bin/uvicorn"));
        command.args([
            "app_fastapi:app",
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ]);
        command.args([
            "--http",
            "httptools",
            "--loop",
            "uvloop",
            "--log-level",
            "warning",
        ]);
        command
            .current_dir(paths::root().join("tests/servers/python"))
            .env("TRUTH_FILE", "/dev/null")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null());
        let child = command
            .spawn()
            .context("uvicorn\n  `cargo xtask stacks` installs it")?;
        let server = Server { child, port };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end {
                bail!("uvicorn did not listen within 20 s");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours and has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process, s.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |i: usize| -> Result<f64> { Ok(fields.get(i).context("/proc/PID/stat")?.parse()?) };
    // USER_HZ is 100 on every Linux that userspace can see.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
