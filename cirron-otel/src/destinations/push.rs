//! All series to a collector, each minute.
//!
//! ```text
//! wait for the interval --> write all down --> send each: Taken, Refused -> next
//!        ^                                         '----- Again -> once more, until the interval is over: dropped
//!        '------------------------------------------------'
//! ```
//! Series are cumulative, so an export that did not arrive costs resolution and no count: the next one has it all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Hub;
use crate::otlp::metrics::requests;
use crate::otlp::send::{Message, Outcome, Transport};
use crate::otlp::traces::Also;

/// Between two tries of one message, where the server does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// What became of exports.
#[derive(Debug, Default)]
pub struct PushCounts {
    /// Messages that were taken.
    pub sent: AtomicU64,
    /// Messages that did not arrive within the interval.
    pub dropped: AtomicU64,
    /// Messages that were refused.
    pub refused: AtomicU64,
    /// Points that were not taken from messages that were.
    pub points_rejected: AtomicU64,
}

/// Exports until it is ended.
#[derive(Debug)]
pub struct Push {
    /// What became of exports.
    pub counts: Arc<PushCounts>,
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Push {
    /// Starts.
    ///
    /// # Errors
    /// Where there is no thread left.
    pub fn start(
        hub: Arc<Hub>,
        mut transport: Box<dyn Transport>,
        also: Also,
        interval: Duration,
    ) -> std::io::Result<Push> {
        let counts = Arc::<PushCounts>::default();
        let (end, ended) = channel();
        let own = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("cirron-otlp".into())
            .spawn(move || {
                let mut is_said = false;
                loop {
                    let is_last = !waited(&ended, interval);
                    let until = Instant::now() + if is_last { PAUSE } else { interval };
                    for message in messages(&hub, &also) {
                        let why = send(&mut *transport, &message, until, &own);
                        if let Some(why) = why.filter(|_| !std::mem::replace(&mut is_said, true)) {
                            tracing::warn!(
                                "metrics did not arrive: {why}; further ones are counted"
                            );
                        }
                    }
                    if is_last {
                        return;
                    }
                }
            })?;
        Ok(Push {
            counts,
            end,
            thread,
        })
    }

    /// Exports once more, and ends.
    pub fn end(self) {
        // It may have ended by a panic, which was said.
        let _ = self.end.send(());
        let _ = self.thread.join();
    }
}

/// Whether the whole interval passed; else it ends.
fn waited(ended: &Receiver<()>, interval: Duration) -> bool {
    matches!(ended.recv_timeout(interval), Err(RecvTimeoutError::Timeout))
}

fn messages(hub: &Hub, also: &Also) -> Vec<Message> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let figures = hub.figures();
    let all = hub.with_metrics(|metrics| requests(metrics, &figures, also, now_ns));
    all.into_iter().map(Message::Metrics).collect()
}

/// Why it did not arrive, if it did not.
fn send(
    transport: &mut dyn Transport,
    message: &Message,
    until: Instant,
    counts: &PushCounts,
) -> Option<String> {
    loop {
        match transport.send(message) {
            Outcome::Taken(taken) => {
                counts.sent.fetch_add(1, Ordering::Relaxed);
                counts
                    .points_rejected
                    .fetch_add(taken.rejected, Ordering::Relaxed);
                return (taken.rejected > 0).then_some(taken.message);
            }
            Outcome::Refused { why, .. } => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                return Some(why);
            }
            Outcome::Again { after, why } => {
                let pause = after.unwrap_or(PAUSE);
                if Instant::now() + pause >= until {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                    return Some(why);
                }
                std::thread::sleep(pause);
            }
        }
    }
}
