//! What can end a capture from outside: signals and `--duration`.
//!
//! The first signal asks for an orderly end, the second leaves the ring as it is. Where we
//! started the command ourselves, signals are first of all the command's: it ends, and we after it.
//!
//! SIGUSR1 asks for the summary so far, and ends nothing.
//!
//! With a configuration file SIGHUP has it read again, and ends nothing, unless the terminal that the agent was started
//! from has gone: then it means that.
//!
//! SIGHUP stays ignored where it was at the start (`nohup`). SIGINT and SIGTERM do not: a shell
//! ignores SIGINT for whatever it starts in the background, and whoever then sends it means it.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::runtime::Runtime;
use tokio::signal::unix::{self, SignalKind, signal};

use super::stop::Reason;
use super::{Report, Running};
use crate::config::watch::Reload;
use crate::inherited::inherited;

/// After the second signal, how long the threads may still take.
const FORCE_LIMIT: Duration = Duration::from_secs(3);

/// Listens for signals from the moment it is made.
pub struct Supervisor {
    runtime: Runtime,
    signals: Signals,
}

/// What signals ask for that end nothing.
#[derive(Clone, Copy)]
pub struct Asks<'a> {
    /// The summary so far.
    pub status: &'a dyn Fn(),
    /// That the configuration file is read again, where there is one.
    pub hangup: Option<&'a Hangup>,
}

/// SIGHUP, where there is a configuration file.
#[derive(Debug)]
pub struct Hangup {
    reload: Reload,
    had_terminal: bool,
}

impl Hangup {
    /// `reload`: who reads the file.
    pub fn new(reload: Reload) -> Hangup {
        Hangup {
            reload,
            had_terminal: has_terminal(),
        }
    }

    /// Has the file read again; `false`: the terminal has gone, and the signal means that.
    fn reloads(&self) -> bool {
        let is_meant = !self.had_terminal || has_terminal();
        if is_meant {
            self.reload.ask();
        }
        is_meant
    }
}

/// A terminal controls us: its device can be opened as long as it is there.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

struct Signals {
    interrupt: unix::Signal,
    status: unix::Signal,
    terminate: unix::Signal,
    /// Absent where it was ignored at the start.
    hangup: Option<unix::Signal>,
}

impl Supervisor {
    /// From here on a signal no longer ends the process by itself.
    pub fn new() -> anyhow::Result<Supervisor> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let guard = runtime.enter();
        let signals = Signals {
            interrupt: signal(SignalKind::interrupt())?,
            status: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: (!inherited().is_ignored(libc::SIGHUP))
                .then(|| signal(SignalKind::hangup()))
                .transpose()?,
        };
        drop(guard);
        Ok(Supervisor { runtime, signals })
    }

    /// Waits for the end; `None` where the threads did not end after a second signal.
    pub fn watch(
        self,
        running: Running,
        duration: Option<Duration>,
        command: Option<Pid>,
        asks: Asks<'_>,
    ) -> anyhow::Result<Option<Report>> {
        let Supervisor { runtime, signals } = self;
        let report = runtime.block_on(watch(running, signals, duration, command, asks));
        // A thread that hangs must not keep us.
        runtime.shutdown_background();
        report
    }
}

async fn watch(
    running: Running,
    mut signals: Signals,
    duration: Option<Duration>,
    command: Option<Pid>,
    asks: Asks<'_>,
) -> anyhow::Result<Option<Report>> {
    let stop = running.stop();
    let (tell, mut done) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("cirron-join".into())
        .spawn(move || {
            // Nobody may listen any more after a forced end.
            let _ = tell.send(running.join());
        })?;
    let over = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut is_over = false;
    let mut forwarded = false;
    loop {
        let (name, number) = tokio::select! {
            report = &mut done => return Ok(report.ok()),
            () = &mut over, if !is_over => {
                is_over = true;
                stop.request(Reason::Duration);
                continue;
            }
            _ = signals.status.recv() => {
                (asks.status)();
                continue;
            }
            _ = signals.interrupt.recv() => ("SIGINT", Signal::INT),
            _ = signals.terminate.recv() => ("SIGTERM", Signal::TERM),
            () = hung_up(&mut signals.hangup) => {
                if asks.hangup.is_some_and(Hangup::reloads) {
                    continue;
                }
                ("SIGHUP", Signal::HUP)
            }
        };
        if stop.is_requested() {
            crate::cli::say(&format!(
                "{name} while ending: leaving what is still in the ring"
            ));
            stop.force();
            return Ok(tokio::time::timeout(FORCE_LIMIT, done)
                .await
                .ok()
                .and_then(Result::ok));
        }
        if let Some(pid) = command.filter(|_| !forwarded) {
            forwarded = true;
            tracing::info!("{name} is the command's; once more ends the capture");
            forward(pid, number);
            continue;
        }
        tracing::info!("{name}: ending");
        stop.request(Reason::Signal);
    }
}

/// Never, where hanging up is ignored.
async fn hung_up(hangup: &mut Option<unix::Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Gives signals back their ordinary effect, once there is nothing left to save.
pub fn restore_signals() {
    let caught = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].into_iter();
    for number in caught.filter(|n| *n != libc::SIGHUP || !inherited().is_ignored(*n)) {
        // SAFETY: sets the default action of a valid signal; no handler of ours is involved.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// Ctrl-C in a terminal reaches the whole foreground group, the command included: only what did
/// not come from there is handed on.
fn forward(pid: Pid, signal: Signal) {
    if signal == Signal::INT && in_foreground() {
        return;
    }
    if let Err(e) = rustix::process::kill_process(pid, signal) {
        tracing::debug!("the command cannot be sent a signal: {e}");
    }
}

fn in_foreground() -> bool {
    std::fs::File::open("/dev/tty")
        .ok()
        .and_then(|tty| rustix::termios::tcgetpgrp(tty).ok())
        .is_some_and(|group| group == rustix::process::getpgrp())
}
