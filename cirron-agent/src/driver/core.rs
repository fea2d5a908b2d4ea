//! The core thread: the engine, and everything that must happen in the order of its inputs.
//!
//! It keeps the set of live targets (`targets`), gives the engine facts of processes (`facts`) and the ends of
//! connections that nobody told (`closing`), records what the engine is given, and hands on what comes out. It owns
//! the kernel side's control, so no lock is needed for that.
//!
//! It opens nothing of a process: procfs is read by the census's clerk ([`super::census`]), files by the threads that
//! look into them. Counts that are asked for include what the kernel says of our own programs, which waits for nobody.
//! Between two batches it takes commands ([`super::command`]): targets come and go while it runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use cirron_core::engine::{Engine, EngineConfig, EngineStats, Output};
use cirron_core::id::IdSource;
use cirron_core::record::{Body, Record};
use cirron_core::time::MonoNs;

use super::census::{Census, Clerk};
use super::command::Command;
use super::contexts::Contexts;
use super::counts::Counts;
use super::ends::Ends;
use super::goroutines::Made;
use super::leases::Leases;
use super::listeners::Listeners;
use super::live::Live;
use super::own::{end_record, process_record};
use super::pending::Pending;
use super::reader::Batch;
use super::source::{Control, Counters};
use super::specs::Specs;
use super::stop::{Reason, Stop};
use super::unread::Unread;
use crate::clock::{self, Anchor, RESYNC_INTERVAL};
use crate::containers::Containers;
use crate::discovery::Processes;
use crate::kernel::records;
use crate::output::Finished;
use crate::output::outputs::ToSinks;
use crate::record::writer::{Recorder, RecordingStats};
use crate::unseal::{Out, Unseal, UnsealStats};

mod closing;
mod facts;
mod families;
mod targets;

use facts::{ConfigProblems, Known};
use families::Families;
use targets::Parting;

/// How often the log of the kernel side is handed on, and blind libraries are named.
const NEWS_INTERVAL: Duration = Duration::from_secs(1);

/// How long the core sleeps where the reader says nothing; the reader speaks every 25 ms.
const WAIT: Duration = Duration::from_millis(100);

/// Scopes of one list that is handed on, so that what lies between core and outputs is bounded; the record that
/// fills it may add some thousand. A list is also handed on behind each batch of records.
const MAX_LIST: usize = 256;

/// What the core thread leaves behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreReport {
    /// The engine's counts.
    pub engine: EngineStats,
    /// The kernel side's, where they could be read.
    pub counters: Option<Counters>,
    /// The most that the engine held at once, bytes.
    pub peak_held_bytes: u64,
    /// Records that the ring gave.
    pub records: u64,
    /// Exits that the census alone told of.
    pub exits_missed: u64,
    /// The recording's counts, where one was asked for.
    pub recording: Option<RecordingStats>,
    /// Of what was opened by secrets.
    pub unseal: UnsealStats,
}

/// The core thread's state.
pub struct Core {
    engine: Engine,
    /// Opens TLS before anybody reads it.
    unseal: Unseal,
    /// What came of the last record, kept for its memory.
    opened: Out,
    control: Box<dyn Control>,
    census: Census,
    counts: Arc<Counts>,
    live: Live,
    families: Families,
    /// It was told which processes to watch, and ends when they are over.
    ends_with_last_target: bool,
    /// Targets that are let go.
    parting: Vec<Parting>,
    /// Those that were let go a moment ago, and when.
    let_go: Vec<(u32, MonoNs)>,
    /// Every record stamped before it has been handled.
    watermark: MonoNs,
    ends: Ends,
    /// Processes that the engine was told of.
    known: HashMap<u32, Known>,
    /// Parents of forked targets whose facts the engine does not have yet.
    parents: HashMap<u32, u32>,
    recorder: Option<Recorder>,
    /// Told of processes that begin to listen.
    listeners: Option<Listeners>,
    /// Told of processes that may have a library we have not seen.
    attacher: Option<(Pending, Leases)>,
    /// What hits mean that are about to come.
    specs: Specs,
    unread: Unread,
    contexts: Contexts,
    containers: Containers,
    /// Of what is known of them, what sessions have.
    containers_version: u64,
    goroutines: Made,
    anchor: Anchor,
    anchor_taken: Instant,
    news_told: Instant,
    finished: Vec<Finished>,
    mute_failed: bool,
    config_problems: ConfigProblems,
    report: CoreReport,
}

impl Core {
    /// There are no targets yet, and it waits for some.
    pub fn new(
        config: EngineConfig,
        ids: Box<dyn IdSource + Send>,
        control: Box<dyn Control>,
        counts: Arc<Counts>,
        mut recorder: Option<Recorder>,
    ) -> Core {
        let anchor = Anchor::take();
        if let Some(recorder) = &mut recorder {
            recorder.config(&config);
            recorder.anchor(&anchor);
        }
        Core {
            engine: Engine::new(config, ids),
            unseal: Unseal::default(),
            opened: Out::default(),
            control,
            census: Census::new(Arc::clone(&counts)),
            counts,
            live: Live::default(),
            families: Families::default(),
            ends_with_last_target: false,
            parting: Vec::new(),
            let_go: Vec::new(),
            watermark: MonoNs(0),
            ends: Ends::default(),
            known: HashMap::new(),
            parents: HashMap::new(),
            recorder,
            listeners: None,
            attacher: None,
            specs: Specs::default(),
            unread: Unread::default(),
            contexts: Contexts::default(),
            containers: Containers::default(),
            containers_version: 0,
            goroutines: Made::default(),
            anchor,
            anchor_taken: Instant::now(),
            news_told: Instant::now(),
            finished: Vec::new(),
            mute_failed: false,
            config_problems: ConfigProblems::default(),
            report: CoreReport::default(),
        }
    }

    /// Who looks into the libraries of processes from now on, and tells what hits of probes mean.
    pub fn set_attacher(&mut self, pending: Pending, leases: Leases, specs: Specs) {
        self.attacher = Some((pending, leases));
        self.specs = specs;
    }

    /// Who is told of processes that begin to listen.
    pub fn set_listeners(&mut self, listeners: Listeners) {
        self.listeners = Some(listeners);
    }

    /// Who finds out in which contexts a process calls.
    pub fn set_contexts(&mut self, contexts: Contexts) {
        self.contexts = contexts;
    }

    /// Who knows what containers are.
    pub fn set_containers(&mut self, containers: Containers) {
        self.containers = containers;
    }

    /// Who searches processes for TLS libraries that cannot be read.
    pub fn set_unread(&mut self, unread: Unread) {
        self.unread = unread;
    }

    /// Who reads procfs for it.
    pub(super) fn clerk(&self, processes: Box<dyn Processes>) -> Clerk {
        self.census.clerk(processes)
    }

    /// Runs until the reader has ended, then ends the engine.
    pub(super) fn run(
        mut self,
        from_reader: &Receiver<Batch>,
        recycle: &Sender<Vec<u8>>,
        commands: &Receiver<Command>,
        mut to_sinks: ToSinks,
        stop: &Arc<Stop>,
    ) -> CoreReport {
        let mut quiet = false;
        self.hand_on(&mut to_sinks);
        loop {
            if stop.is_requested() && !quiet {
                quiet = true;
                self.let_targets_go();
                stop.note_quiet();
            }
            match from_reader.recv_timeout(WAIT) {
                Ok(mut batch) => {
                    for spec in self.specs.take() {
                        self.feed(&spec);
                    }
                    for record in records(&batch.bytes) {
                        self.take_record(record);
                        // A record of pipelined requests gives thousands.
                        self.take_outputs();
                        if self.finished.len() >= MAX_LIST {
                            self.hand_on(&mut to_sinks);
                        }
                    }
                    if let Some(watermark) = batch.watermark {
                        self.take_time(watermark);
                    }
                    if self.unseal.take_has_secret() {
                        batch.bytes.fill(0);
                    }
                    // The reader may have ended; its buffers end with it.
                    let _ = recycle.send(batch.bytes);
                    self.hand_on(&mut to_sinks);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(command) = commands.try_recv() {
                self.take_command(command);
            }
            self.keep_house();
            if let Some(sink) = to_sinks.failed() {
                stop.panicked(sink);
            }
            if to_sinks.is_pointless() {
                stop.request(Reason::OutputClosed);
            }
            if !quiet && self.ends_with_last_target && self.live.is_over() {
                stop.request(Reason::TargetsGone);
            }
        }
        self.end(&mut to_sinks)
    }

    fn take_record(&mut self, record: &[u8]) {
        self.report.records += 1;
        // What is no record is the engine's to count.
        let decoded = Record::decode(record).ok();
        if let Some(Record {
            head,
            body: Body::Listen,
        }) = decoded
        {
            // It may be no target: nobody else is told.
            if let Some(listeners) = &self.listeners {
                listeners.tell(head.tgid);
            }
            return;
        }
        if decoded.is_some_and(|record| self.is_late(&record.head)) {
            return;
        }
        if let Some((tgid, ts)) = decoded.and_then(|r| Some((r.head.actor()?, r.head.ts)))
            && !self.known.contains_key(&tgid)
        {
            if self.live.policy(tgid).is_none() {
                // The record of its fork was lost. It is followed, so that its end is noticed.
                self.look_into(tgid, ts);
                let policy = self.control.policy(tgid).unwrap_or_default();
                self.follow(tgid, policy, true);
            }
            self.learn(tgid);
        }
        let Some(decoded) = decoded else {
            // Counted. It may be a secret, so that no recording has it.
            return self.engine.handle_record(record);
        };
        self.open(record, &decoded);
        let Record { head, body } = decoded;
        let (tgid, ts) = (head.tgid, head.ts);
        match body {
            Body::Fork { child } => {
                let policy = self.live.policy(tgid).filter(|policy| policy.children);
                if let Some(policy) = policy
                    && let Ok(child) = u32::try_from(child)
                {
                    self.follow(child, policy, false);
                    self.families.fork(tgid, child);
                    self.take_over_leases(tgid, child, ts);
                    self.parents.insert(child, tgid);
                }
            }
            // Its program is another one now, and its environment may be.
            Body::Exec => {
                self.learn_anew(tgid);
                self.look_into(tgid, ts);
                self.end_what_exec_closed(tgid, ts);
            }
            Body::Mmap => self.look_into(tgid, ts),
            Body::Exit => {
                self.keep_what_is_shared(tgid, ts);
                self.goroutines.forget(tgid);
                self.forget(tgid);
            }
            Body::Close { why, .. } => self.ends.note_close(head.key(), why, ts),
            Body::ContextMade { .. }
                if head.goroutine().is_some() && self.goroutines.note(tgid, ts) =>
            {
                self.contexts.give_up(tgid);
            }
            Body::Data(_)
            | Body::Open(_)
            | Body::Link(_)
            | Body::Sent { .. }
            | Body::Tuned
            | Body::ContextMade { .. }
            | Body::ContextEnded { .. }
            | Body::ThreadExit
            | Body::Release
            | Body::Listen
            | Body::Secret(_)
            | Body::Spec(_)
            | Body::Hit(_) => {}
        }
    }

    /// A record of the kernel side goes on, as it came or with its TLS opened.
    fn open(&mut self, record: &[u8], decoded: &Record<'_>) {
        let leases = self.attacher.as_ref().map(|(_, leases)| leases);
        let announces = |tgid| leases.is_some_and(|leases| leases.announces(tgid));
        let is_changed = self
            .unseal
            .take(record, decoded, announces, &mut self.opened);
        match is_changed {
            true => self.feed_opened(),
            false => self.feed(record),
        }
    }

    fn feed_opened(&mut self) {
        let mut opened = std::mem::take(&mut self.opened);
        for record in opened.records() {
            self.feed(record);
        }
        opened.clear();
        self.opened = opened;
    }

    fn feed(&mut self, record: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(record);
        }
        self.engine.handle_record(record);
    }

    /// Every record stamped before `watermark` has been handled.
    fn take_time(&mut self, watermark: MonoNs) {
        self.watermark = self.watermark.max(watermark);
        for tgid in self.live.take_gone(watermark) {
            self.report.exits_missed += 1;
            self.unseal.process_ends(tgid, watermark);
            self.feed(&process_record(Body::Exit, tgid, watermark));
            self.keep_what_is_shared(tgid, watermark);
            self.forget(tgid);
            // So that the number's next owner is not taken for it.
            self.remove_from_kernel(tgid);
        }
        self.unseal.take_time(watermark, &mut self.opened);
        self.feed_opened();
        self.part(watermark);
        for (key, release) in self.ends.take_released(watermark) {
            self.unseal.ended(key, watermark);
            self.feed(&end_record(key, release.why, release.at));
        }
        if self.engine.poll_timeout().is_some_and(|at| at <= watermark) {
            self.tell_time(watermark);
        }
    }

    fn tell_time(&mut self, now: MonoNs) {
        if let Some(recorder) = &mut self.recorder {
            recorder.timeout(now);
        }
        self.engine.handle_timeout(now);
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Session(span) | Output::Open(span) => self.finish(span, Vec::new()),
                Output::Scope { span, marks } => self.finish(span, marks),
                Output::Unplaced { pid } => {
                    if !self.contexts.ask(pid) {
                        Counts::add(&self.counts.uncalibrated);
                    }
                }
                // Nobody watches yet.
                Output::Watched(_) => {}
                Output::Mute { conn, epoch } => {
                    let (conn, epoch) = self.unseal.mute((conn, epoch));
                    if let Err(e) = self.control.mute(conn, epoch)
                        && !std::mem::replace(&mut self.mute_failed, true)
                    {
                        tracing::warn!("a connection could not be muted, it costs on: {e:#}");
                    }
                }
            }
        }
    }

    fn hand_on(&mut self, to_sinks: &mut ToSinks) {
        self.take_outputs();
        if !self.finished.is_empty() {
            to_sinks.hand_on(self.finished.drain(..));
        }
    }

    fn finish(&mut self, span: cirron_core::scope::Span, marks: Vec<cirron_core::scope::Mark>) {
        self.finished.push(Finished {
            span,
            marks,
            anchor: self.anchor,
        });
    }

    fn keep_house(&mut self) {
        self.take_answers();
        self.take_unread();
        self.take_containers();
        self.look_for_ends();
        if self.news_told.elapsed() >= NEWS_INTERVAL {
            self.news_told = Instant::now();
            self.control.flush_log();
            self.say_blind();
            self.say_config_problems();
        }
        if self.anchor_taken.elapsed() >= RESYNC_INTERVAL {
            self.anchor_taken = Instant::now();
            self.anchor = Anchor::take();
            if let Some(recorder) = &mut self.recorder {
                recorder.anchor(&self.anchor);
            }
        }
    }

    fn end(mut self, to_sinks: &mut ToSinks) -> CoreReport {
        self.control.flush_log();
        self.say_config_problems();
        self.take_answers();
        self.take_unread();
        self.take_containers();
        for tgid in self.unread.processes() {
            self.forget_unread(tgid);
        }
        let counters = self.statistics().counters;
        let now = clock::now();
        self.unseal.end(&mut self.opened);
        self.feed_opened();
        self.end_what_was_lost(now);
        if let Some(recorder) = &mut self.recorder {
            recorder.shutdown(now);
        }
        self.engine.handle_shutdown(now);
        self.hand_on(to_sinks);
        CoreReport {
            counters,
            ..self.statistics()
        }
    }
}
