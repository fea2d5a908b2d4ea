//! The output thread: collects what comes out of the core and writes it at each interval.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::stop::{Reason, Stop};
use crate::output::Finished;
use crate::output::outputs::{OutputStats, Outputs};

/// Runs until the core has ended, then writes the rest.
pub fn run(
    mut outputs: Outputs,
    from_core: &Receiver<Vec<Finished>>,
    flush_interval: Duration,
    stop: &Stop,
) -> OutputStats {
    let mut due = Instant::now() + flush_interval;
    loop {
        match from_core.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(scopes) => scopes.iter().for_each(|scope| outputs.accept(scope)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= due {
            outputs.flush();
            due = Instant::now() + flush_interval;
        }
        if outputs.is_pointless() {
            stop.request(Reason::OutputClosed);
        }
    }
    outputs.finish()
}
