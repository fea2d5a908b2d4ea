//! The process that starts the worker, and starts it again.
//!
//! ```text
//!  start --> running --exit 0--> end            the agent has gone, and all is done
//!    ^          | dies
//!    |          v
//!    '------ waiting: FIRST_WAIT, doubled up to MAX_WAIT; back to FIRST_WAIT after a life of STEADY
//! ```

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::plan::{ShipPlan, verbosity};
use crate::cli::exit::Exit;
use crate::cli::{Failed, say};

/// Before the worker is started again.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The same, when it keeps dying.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A worker that lived so long did not die of how it was started.
const STEADY: Duration = Duration::from_secs(60);

/// This program, as it was started; the file may be another one by now.
pub const OURSELVES: &str = "/proc/self/exe";

/// Keeps a worker running until the agent has gone.
///
/// # Errors
/// Where none can be started.
pub fn keep(plan: &ShipPlan) -> Result<Exit, Failed> {
    let (mut wait, mut restarts) = (FIRST_WAIT, 0u64);
    loop {
        let began = Instant::now();
        let status = worker(plan, restarts).status();
        let how = match status {
            Ok(status) if status.success() => return Ok(Exit::Ok),
            Ok(status) => status.to_string(),
            Err(e) => e.to_string(),
        };
        if began.elapsed() >= STEADY {
            wait = FIRST_WAIT;
        }
        if is_alone(Duration::ZERO) {
            return Ok(Exit::Failure);
        }
        say(&format!(
            "warning: the process that ships ended ({how}) and starts again in {wait:?}; batches wait in the spool"
        ));
        if is_alone(wait) {
            return Ok(Exit::Failure);
        }
        restarts += 1;
        wait = (wait * 2).min(MAX_WAIT);
    }
}

/// It has our standard input: the agent's pipe.
fn worker(plan: &ShipPlan, restarts: u64) -> Command {
    let mut command = Command::new(OURSELVES);
    command
        .arg0("cirron-agent")
        .args(plan.args("worker"))
        .arg(format!("--restarts={restarts}"))
        .args(verbosity())
        .stdin(Stdio::inherit());
    command
}

/// Whether the agent goes within so long: nobody has the other end of the pipe then.
fn is_alone(limit: Duration) -> bool {
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
            tv_nsec: left.subsec_nanos().into(),
        };
        let stdin = io::stdin();
        let mut pipe = [PollFd::new(&stdin, PollFlags::empty())];
        match rustix::event::poll(&mut pipe, Some(&left)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return true,
        }
    }
}
