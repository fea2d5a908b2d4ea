//! A child process that cannot outlive its test.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A running child, leader of its own process group; the group is killed when this is dropped.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    reaped: bool,
}

impl Guard {
    /// Starts `command`, its output appended to `log`.
    pub fn spawn_logged(mut command: Command, log: &Path) -> Result<Guard> {
        let out = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out);
        Guard::spawn(command)
    }

    /// Starts `command` with the streams that it names.
    pub fn spawn(mut command: Command) -> Result<Guard> {
        command.process_group(0);
        // SAFETY: `prctl` is async-signal-safe and touches only the child.
        unsafe {
            command.pre_exec(|| {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Guard {
            child,
            reaped: false,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends `signal` to the process alone.
    pub fn signal(&self, signal: libc::c_int) {
        kill(self.pid(), signal);
    }

    /// Waits for its end, `limit` at most.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.reaped = true;
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("process {} did not end within {limit:?}", self.pid());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        let status = self.child.try_wait()?;
        self.reaped |= status.is_some();
        Ok(status.is_none())
    }

    /// Process ids of its children, now.
    pub fn children(&self) -> Result<Vec<u32>> {
        children(self.pid())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Ok(group) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: plain system call; the group was made for this child.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        if !self.reaped {
            let _ = self.child.wait();
        }
    }
}

/// Sends `signal` to `pid`.
pub fn kill(pid: u32, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: plain system call on the id of a process of this test.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Process ids of the children of `pid`, now.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(
            text.split_whitespace()
                .filter_map(|p| p.parse::<u32>().ok()),
        );
    }
    found.sort_unstable();
    Ok(found)
}

/// What each thread of `pid` and of its children waits for: for the message of a test that gives up.
pub fn waits(pid: u32) -> String {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut told = String::new();
    for task in threads.into_iter().flatten().flatten() {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let (comm, wchan, syscall) = (read("comm"), read("wchan"), read("syscall"));
        let tid = task.file_name().to_string_lossy().into_owned();
        let (comm, syscall) = (comm.trim(), syscall.trim());
        told += &format!("\n  {pid}/{tid} {comm}: in {wchan}, system call {syscall}");
    }
    let children = children(pid).unwrap_or_default();
    told + &children.into_iter().map(waits).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::until;

    #[test]
    fn a_test_that_gives_up_names_what_each_child_waits_for() -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60; :"]);
        let guard = Guard::spawn(command)?;
        let told = until("the shell's child", Duration::from_secs(10), || {
            let told = waits(guard.pid());
            told.contains(" sleep: in ").then_some(told)
        })?;
        assert!(told.contains(" sh: in "), "{told}");
        Ok(())
    }
}
