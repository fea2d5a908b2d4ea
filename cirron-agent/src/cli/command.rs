//! `run -- CMD`: a child that is held before its exec until it is a target.
//!
//! ```text
//! agent                      thread                    child
//!   | start the thread ------> spawn() -- fork --------> write its pid
//!   | read the pid <------------------------------------'  |
//!   | attach                    (spawn waits for the exec) read: wait
//!   | release: write a byte ----------------------------> exec
//!   |                           wait() <------------------ end
//! ```
//! The standard library does the fork, the search of `PATH` and the exec; only the waiting is ours.

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::thread::JoinHandle;

use anyhow::Context;

use super::exit::{Exit, NOT_EXECUTABLE, NOT_FOUND};
use crate::inherited::inherited;

/// A command that was forked and waits.
#[derive(Debug)]
pub struct Held {
    pid: u32,
    go: PipeWriter,
    ended: JoinHandle<io::Result<ExitStatus>>,
}

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    ended: JoinHandle<io::Result<ExitStatus>>,
}

impl Held {
    /// Forks; the child waits for [`Held::release`]. Dropping it instead ends the child.
    pub fn fork(command: &[OsString]) -> anyhow::Result<Held> {
        let (program, args) = command.split_first().context("no command")?;
        let (mut told, tell) = io::pipe()?;
        let (wait, go) = io::pipe()?;
        let mut spawn = Command::new(program);
        spawn.args(args);
        hold(&mut spawn, &tell, &wait, &go);
        let ended = std::thread::Builder::new()
            .name("cirron-command".into())
            .spawn(move || {
                let child = spawn.spawn();
                // What the command has is its own by now.
                crate::privileges::keep_none();
                // Only now: the child has its copies until its exec.
                drop((tell, wait));
                child?.wait()
            })?;
        let mut pid = [0; 4];
        match told.read_exact(&mut pid) {
            Ok(()) => Ok(Held {
                pid: u32::from_ne_bytes(pid),
                go,
                ended,
            }),
            // It could not even be forked.
            Err(_) => {
                drop(go);
                let why = ended.join().ok().and_then(Result::err);
                Err(
                    anyhow::Error::from(why.unwrap_or_else(|| io::ErrorKind::Other.into()))
                        .context(format!("{} cannot be started", program.to_string_lossy())),
                )
            }
        }
    }

    /// The child's pid, which the command will have.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it go.
    pub fn release(self) -> anyhow::Result<Started> {
        let Held {
            pid: _,
            mut go,
            ended,
        } = self;
        go.write_all(&[1])
            .context("the command ended before it was started")?;
        Ok(Started { ended })
    }
}

/// Makes the child write its pid to `tell`, and read from `wait` before it calls exec.
fn hold(command: &mut Command, tell: &PipeWriter, wait: &PipeReader, go: &PipeWriter) {
    let (tell, wait, go) = (tell.as_raw_fd(), wait.as_raw_fd(), go.as_raw_fd());
    let inherited = inherited();
    let pause = move || {
        inherited.put_back();
        // SAFETY: `getpid` has no preconditions.
        let pid = unsafe { libc::getpid() }.to_ne_bytes();
        // SAFETY: `pid` is 4 readable bytes; the descriptor is the child's copy of an open pipe.
        if unsafe { libc::write(tell, pid.as_ptr().cast(), pid.len()) } != 4 {
            return Err(io::Error::last_os_error());
        }
        // The child's own copy: else it would never see that the agent gave up.
        // SAFETY: the child's copy of an open descriptor, which nothing uses after this.
        unsafe { libc::close(go) };
        let mut byte = 0u8;
        loop {
            // SAFETY: `byte` is one writable byte; the descriptor is as above.
            match unsafe { libc::read(wait, (&raw mut byte).cast(), 1) } {
                1 => return Ok(()),
                0 => return Err(io::Error::from_raw_os_error(libc::ECANCELED)),
                _ => {
                    let e = io::Error::last_os_error();
                    if e.raw_os_error() != Some(libc::EINTR) {
                        return Err(e);
                    }
                }
            }
        }
    };
    // SAFETY: between fork and exec `pause` makes only async-signal-safe calls (signal,
    // setrlimit, getpid, write, close, read), and neither allocates nor locks: an `io::Error` of a number does not.
    unsafe { command.pre_exec(pause) };
}

impl Started {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_finished()
    }

    /// Waits for its end; its exit code as a shell would give it.
    pub fn exit(self, name: &str) -> anyhow::Result<Exit> {
        let status = match self.ended.join() {
            Ok(Ok(status)) => status,
            Ok(Err(e)) => {
                let not_found = e.kind() == io::ErrorKind::NotFound;
                super::say(&format!("error: {name} cannot be started: {e}"));
                return Ok(Exit::Command(if not_found {
                    NOT_FOUND
                } else {
                    NOT_EXECUTABLE
                }));
            }
            Err(_) => anyhow::bail!("the thread that waits for the command panicked; report it"),
        };
        let code = status.code().or_else(|| Some(128 + status.signal()?));
        Ok(Exit::Command(
            code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::discovery::Identity;

    fn command(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_child_does_nothing_until_it_is_released_and_keeps_its_pid() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("out");
        let script = format!("echo $$ > {}; exit 7", file.display());
        let held = Held::fork(&command(&["sh", "-c", &script])).unwrap();
        let pid = held.pid();
        assert!(Identity::read(pid).is_some());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!file.exists());
        let exit = held.release().unwrap().exit("sh").unwrap();
        assert_eq!(exit, Exit::Command(7));
        assert_eq!(
            std::fs::read_to_string(&file).unwrap().trim(),
            pid.to_string()
        );
    }

    #[test]
    fn a_child_that_is_never_released_ends() {
        let held = Held::fork(&command(&["sleep", "100"])).unwrap();
        let identity = Identity::read(held.pid()).unwrap();
        let Held { pid: _, go, ended } = held;
        drop(go);
        assert_eq!(
            ended.join().unwrap().unwrap_err().raw_os_error(),
            Some(libc::ECANCELED)
        );
        assert!(!identity.is_alive());
    }

    #[test]
    fn exit_codes_are_a_shell_s() {
        for (words, code) in [
            (&["true"][..], 0),
            (&["sh", "-c", "kill -9 $$"][..], 128 + 9),
            (&["/nonexistent/command"][..], NOT_FOUND),
            (&["/etc/passwd"][..], NOT_EXECUTABLE),
        ] {
            let started = Held::fork(&command(words)).unwrap().release().unwrap();
            assert_eq!(started.exit("x").unwrap(), Exit::Command(code), "{words:?}");
        }
    }
}
