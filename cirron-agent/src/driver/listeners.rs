//! Processes that begin to listen, from the core thread to whoever looks for targets ([`crate::targets`]).
//!
//! ```text
//! PROC_LISTEN -> core --tell: bounded, never waits--> Heard --next, with a limit--> the finder
//! ```
//! What finds no room is not counted: the finder looks at all processes from time to time as well.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Processes that wait. A machine starts a few servers a second when it boots.
const MAX_WAITING: usize = 1024;

/// Tells. For the core thread, which does not wait.
#[derive(Clone, Debug)]
pub struct Listeners(SyncSender<u32>);

/// Hears.
#[derive(Debug)]
pub struct Heard(Receiver<u32>);

/// Both ends.
pub fn listeners() -> (Listeners, Heard) {
    let (tell, hear) = sync_channel(MAX_WAITING);
    (Listeners(tell), Heard(hear))
}

impl Listeners {
    /// This process begins to listen.
    pub fn tell(&self, tgid: u32) {
        // Full, or nobody looks any more.
        let _ = self.0.try_send(tgid);
    }
}

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// This process listens.
    Listens(u32),
    /// Nothing, in all that time.
    Nothing,
    /// The capture is over.
    Over,
}

impl Heard {
    /// Waits for the next one.
    pub fn next(&self, limit: Duration) -> News {
        match self.0.recv_timeout(limit) {
            Ok(tgid) => News::Listens(tgid),
            Err(RecvTimeoutError::Timeout) => News::Nothing,
            Err(RecvTimeoutError::Disconnected) => News::Over,
        }
    }
}
