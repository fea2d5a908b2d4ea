//! Spans to a collector.
//!
//! ```text
//! batch --not the one that waits--> rows -> ended -> messages
//!   '-----the one that waits--------------------------> messages: Taken, Refused -> next one
//!                                                          '----- Again ----------> Retry; the rest waits
//! ```

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use cirron_ship::batch::{Batch, Name};
use cirron_ship::cirron::upload::{fnv1a, without_user};
use cirron_ship::destination::{self, Destination, Reason};
use cirron_spool::read::parse;

use crate::otlp::env::Settings;
use crate::otlp::send::{Message, Outcome, Transport, Unusable, transport};
use crate::otlp::traces::{Also, requests};
use cirron_look::joined::Joiner;

/// What became of spans.
#[derive(Debug, Default)]
pub struct TraceCounts {
    /// Spans in messages that were taken, those that the collector rejected from them included.
    pub spans_sent: AtomicU64,
    /// Spans that the collector did not take from messages that it took.
    pub spans_rejected: AtomicU64,
    /// Spans in messages that it refused.
    pub spans_refused: AtomicU64,
    is_rejection_said: AtomicBool,
}

/// Sends spans.
pub struct Traces {
    name: String,
    endpoint: String,
    joiner: Joiner,
    transport: Box<dyn Transport>,
    also: Also,
    counts: Arc<TraceCounts>,
    /// The spool, whose sessions are not known yet.
    unprimed: Option<PathBuf>,
    waiting: Option<Waiting>,
}

/// A batch of which some messages are not there yet.
struct Waiting {
    batch: Name,
    messages: VecDeque<(Message, u64)>,
    bytes: u64,
    refused: Option<(Reason, String)>,
}

impl Traces {
    /// By these settings, of the batches of `spool`.
    ///
    /// # Errors
    /// Where nothing can be sent by them.
    pub fn new(
        settings: &Settings,
        also: Also,
        spool: PathBuf,
        counts: Arc<TraceCounts>,
    ) -> Result<Traces, Unusable> {
        let transport = transport(settings)?;
        Ok(Traces::with(
            transport,
            &settings.endpoint,
            also,
            spool,
            counts,
        ))
    }

    fn with(
        transport: Box<dyn Transport>,
        endpoint: &str,
        also: Also,
        spool: PathBuf,
        counts: Arc<TraceCounts>,
    ) -> Traces {
        Traces {
            name: format!("otlp-{:016x}", fnv1a(endpoint.as_bytes())),
            endpoint: endpoint.to_owned(),
            joiner: Joiner::default(),
            transport,
            also,
            counts,
            unprimed: Some(spool),
            waiting: None,
        }
    }

    fn read(&mut self, batch: &Batch) -> Waiting {
        if let Some(spool) = self.unprimed.take() {
            super::prime(&mut self.joiner, &spool);
        }
        // Of a damaged batch, what stands before the damage: the courier has seen that it is JSON.
        if let Err(e) = parse(batch.body(), &mut self.joiner) {
            tracing::debug!("{}: {e}", batch.name().as_str());
        }
        let ended = self.joiner.settle();
        let messages = requests(&ended, &self.also).into_iter().map(|request| {
            let all = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
            let spans: usize = all.map(|scope| scope.spans.len()).sum();
            (Message::Traces(request), spans as u64)
        });
        Waiting {
            batch: batch.name().clone(),
            messages: messages.collect(),
            bytes: 0,
            refused: None,
        }
    }

    fn say_rejected(&self, rejected: u64, message: &str) {
        self.counts
            .spans_rejected
            .fetch_add(rejected, Ordering::Relaxed);
        let is_said = self.counts.is_rejection_said.swap(true, Ordering::Relaxed);
        if !is_said {
            let endpoint = &self.endpoint;
            tracing::warn!(
                "{endpoint} rejects {rejected} spans: {message}; further ones are counted"
            );
        }
    }
}

impl Destination for Traces {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        without_user(&self.endpoint)
    }

    fn send(&mut self, batch: &Batch, _: SystemTime) -> destination::Outcome {
        let held = self.waiting.take();
        let mut waiting = match held.filter(|waiting| waiting.batch == *batch.name()) {
            Some(waiting) => waiting,
            None => self.read(batch),
        };
        while let Some((message, spans)) = waiting.messages.front() {
            match self.transport.send(message) {
                Outcome::Taken(taken) => {
                    waiting.bytes += message.bytes();
                    self.counts.spans_sent.fetch_add(*spans, Ordering::Relaxed);
                    if taken.rejected > 0 {
                        self.say_rejected(taken.rejected, &taken.message);
                    }
                }
                Outcome::Refused { reason, why } => {
                    self.counts
                        .spans_refused
                        .fetch_add(*spans, Ordering::Relaxed);
                    waiting.refused = Some((reason, why));
                }
                Outcome::Again { after, why } => {
                    self.waiting = Some(waiting);
                    return destination::Outcome::Retry { after, why };
                }
            }
            waiting.messages.pop_front();
        }
        match waiting.refused {
            Some((reason, why)) => destination::Outcome::GiveUp { reason, why },
            None => destination::Outcome::Sent {
                bytes: waiting.bytes,
            },
        }
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
