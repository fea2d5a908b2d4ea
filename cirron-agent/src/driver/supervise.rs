//! What can end a capture from outside: signals and `--duration`.
//!
//! The first signal asks for an orderly end, the second leaves the ring as it is. Where we
//! started the command ourselves, signals are first of all the command's: it ends, and we after it.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};

use super::stop::Reason;
use super::{Report, Running};

/// After the second signal, how long the threads may still take.
const FORCE_LIMIT: Duration = Duration::from_secs(3);

/// Waits for the end; `None` where the threads did not end after a second signal.
pub fn supervise(
    running: Running,
    duration: Option<Duration>,
    command: Option<Pid>,
) -> anyhow::Result<Option<Report>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(watch(running, duration, command))?;
    // A thread that hangs must not keep us.
    runtime.shutdown_background();
    Ok(report)
}

async fn watch(
    running: Running,
    duration: Option<Duration>,
    command: Option<Pid>,
) -> anyhow::Result<Option<Report>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = running.stop();
    let (tell, mut done) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("cirron-join".into())
        .spawn(move || {
            // Nobody may listen any more after a forced end.
            let _ = tell.send(running.join());
        })?;
    // `sleep` needs a length; a year is as good as none.
    let length = duration.unwrap_or(Duration::from_secs(365 * 24 * 3600));
    let over = tokio::time::sleep(length);
    tokio::pin!(over);
    let mut signals = 0u32;
    let mut over_seen = false;
    loop {
        let (name, number) = tokio::select! {
            report = &mut done => return Ok(report.ok()),
            () = &mut over, if !over_seen => {
                over_seen = true;
                stop.request(Reason::Duration);
                continue;
            }
            _ = interrupt.recv() => ("SIGINT", Signal::INT),
            _ = terminate.recv() => ("SIGTERM", Signal::TERM),
            _ = hangup.recv() => ("SIGHUP", Signal::HUP),
        };
        signals += 1;
        if let Some(pid) = command.filter(|_| signals == 1 && !stop.is_requested()) {
            tracing::info!("{name}: the command's; once more ends the capture");
            forward(pid, number);
            continue;
        }
        if stop.is_requested() {
            eprintln!("cirron-agent: {name} again: leaving what is still in the ring");
            stop.force();
            return Ok(tokio::time::timeout(FORCE_LIMIT, done)
                .await
                .ok()
                .and_then(Result::ok));
        }
        tracing::info!("{name}: ending");
        stop.request(Reason::Signal);
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
