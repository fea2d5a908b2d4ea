//! The driver: three threads and the way they end, and their helpers.
//!
//! ```text
//! ring -> reader --Batch--> core --lists--> a thread for each sink: spool, stdout
//!           ^----buffers----'| ^---Commands--- anybody
//!                          | '--> Control: targets, mute
//!                          '-- questions --> census's clerk: procfs
//! ```
//! Channels are bounded. When the spool is slow the core waits, then the reader, then the ring
//! fills and the kernel side counts what it drops: nothing is lost without a number. Other sinks are
//! waited for by their own threads, and by nobody else (`crate::output`).

pub mod attacher;
pub mod census;
pub mod command;
pub mod contexts;
pub mod core;
pub mod counts;
pub mod ends;
#[cfg(test)]
mod family_tests;
pub mod goroutines;
pub mod helper;
pub mod leases;
pub mod listeners;
pub mod live;
pub mod own;
pub mod pending;
pub mod reader;
pub mod ruled;
pub mod searcher;
pub mod source;
pub mod specs;
pub mod stop;
pub mod summary;
pub mod supervise;
pub mod unread;
pub mod words;

use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use cirron_core::scope::Rows;

use self::command::{Commands, Unanswered};
use self::core::{Core, CoreReport};
use self::helper::Helper;
use self::source::RecordSource;
use self::stop::{Reason, Stop};
use crate::discovery::{self, Processes};
use crate::output::outputs::{Outputs, Pace, SinkCounts, Sinks};
use crate::output::sink::SinkReport;
use crate::privileges::Rights;

/// Batches of records between reader and core.
pub const BATCHES_IN_FLIGHT: usize = 8;
/// Bytes that they take.
pub const IN_FLIGHT_BYTES: usize = BATCHES_IN_FLIGHT * reader::BATCH_BYTES;

/// A capture that runs.
#[derive(Debug)]
pub struct Running {
    commands: Commands,
    stop: Arc<Stop>,
    reader: JoinHandle<anyhow::Result<()>>,
    core: JoinHandle<CoreReport>,
    sinks: Sinks,
}

/// How a capture ended.
#[derive(Debug)]
pub struct Report {
    /// Why.
    pub reason: Option<Reason>,
    /// The core thread's counts.
    pub core: CoreReport,
    /// The counts of each sink that was asked for.
    pub sinks: Vec<SinkReport>,
    /// What went wrong.
    pub failure: Option<anyhow::Error>,
}

/// Starts the threads, each of which keeps the rights that it needs. `helpers`: those beside the way of the data that
/// look into files.
pub fn start(
    core: Core,
    source: Box<dyn RecordSource>,
    processes: Box<dyn Processes>,
    outputs: Outputs,
    flush_interval: Duration,
    rights: Rights,
    helpers: Vec<Helper>,
) -> anyhow::Result<Running> {
    let stop = Arc::new(Stop::default());
    let (to_core, from_reader) = sync_channel(BATCHES_IN_FLIGHT);
    let (recycle, recycled) = channel();
    let (commands, commanded) = command::channel();
    let clerk = core.clerk(processes);
    let clerk = Helper::new("census", move || clerk.run());
    for helper in helpers.into_iter().chain([clerk]) {
        helper.start(&stop, rights)?;
    }
    let (to_sinks, sinks) = outputs.start(Pace::Live(flush_interval), rights)?;
    let shared = Arc::clone(&stop);
    let core = thread::Builder::new()
        .name("cirron-core".into())
        .spawn(move || {
            rights.keep_for_capture();
            discovery::never_here();
            core.run(&from_reader, &recycle, &commanded, to_sinks, &shared)
        })
        .context("the core thread cannot be started")?;
    let shared = Arc::clone(&stop);
    let reader = thread::Builder::new()
        .name("cirron-reader".into())
        .spawn(move || {
            rights.keep_nothing();
            reader::run(source, &to_core, &recycled, &shared)
        })
        .context("the reader thread cannot be started")?;
    Ok(Running {
        commands,
        stop,
        reader,
        core,
        sinks,
    })
}

/// Asks a capture that runs how things stand; a status command would ask the same.
#[derive(Clone, Debug)]
pub struct Inquiry {
    commands: Commands,
    sinks: SinkCounts,
}

impl Inquiry {
    /// The report so far.
    ///
    /// # Errors
    /// Where the core does not answer.
    pub fn report(&self) -> Result<Report, Unanswered> {
        Ok(Report {
            reason: None,
            core: self.commands.statistics()?,
            sinks: self.sinks.reports(),
            failure: None,
        })
    }

    /// Which processes are targets.
    ///
    /// # Errors
    /// Where the core does not answer.
    pub fn targets(&self) -> Result<Vec<u32>, Unanswered> {
        self.commands.targets()
    }

    /// Exchanges that go on: the oldest `at_most`.
    ///
    /// # Errors
    /// Where the core does not answer.
    pub fn open_scopes(&self, at_most: usize) -> Result<Rows, Unanswered> {
        self.commands.open_scopes(at_most)
    }
}

impl Running {
    /// To ask how things stand.
    pub fn inquiry(&self) -> Inquiry {
        Inquiry {
            commands: self.commands(),
            sinks: self.sinks.counts(),
        }
    }

    /// To ask for its end.
    pub fn stop(&self) -> Arc<Stop> {
        Arc::clone(&self.stop)
    }

    /// To add and release targets, and to ask how things stand.
    pub fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Waits for the end.
    pub fn join(self) -> Report {
        let mut failure = None;
        let mut fail = |e: anyhow::Error| {
            failure.get_or_insert(e);
        };
        let panicked = |thread: &str| anyhow::anyhow!("the {thread} thread panicked; report it");
        match self.reader.join() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => fail(e),
            Err(_) => fail(panicked("reader")),
        }
        let core = self.core.join().unwrap_or_else(|_| {
            fail(panicked("core"));
            CoreReport::default()
        });
        let counts = self.sinks.counts();
        let sinks = self.sinks.finish();
        if let Some(sink) = counts.failed() {
            fail(panicked(sink));
        }
        if let Some(thread) = self.stop.panicked_thread() {
            fail(panicked(thread));
        }
        Report {
            reason: self.stop.reason(),
            core,
            sinks,
            failure,
        }
    }
}

#[cfg(test)]
mod tests;
