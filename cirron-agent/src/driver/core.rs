//! The core thread: the engine, and everything that must happen in the order of its inputs.
//!
//! It gives the engine facts of a process before its first record, keeps the set of live targets,
//! records what the engine is given, and hands on what comes out. It owns the kernel side's
//! control, so no lock is needed anywhere.
//!
//! Between two batches it takes commands ([`super::command`]): targets come and go while it runs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use cirron_common::record::close;
use cirron_core::engine::{Engine, EngineConfig, EngineStats, Output, ProcessFacts};
use cirron_core::id::IdSource;
use cirron_core::record::{Body, Record};
use cirron_core::time::MonoNs;

use super::command::{Command, add_descendants};
use super::counts::Counts;
use super::ends::{Ends, Key, Watched, untold_end};
use super::leases::Leases;
use super::live::Live;
use super::own::{end_record, process_record};
use super::pending::{Mapped, Pending};
use super::reader::Batch;
use super::source::{Control, Counters};
use super::stop::{Reason, Stop};
use super::unread::Unread;
use crate::clock::{self, Anchor, RESYNC_INTERVAL};
use crate::discovery::Processes;
use crate::kernel::{Policy, SocketState, records};
use crate::output::Finished;
use crate::output::outputs::ToSinks;
use crate::record::writer::{Recorder, RecordingStats};

mod targets;

use targets::Parting;

/// How often procfs is asked whether the targets live.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

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
    /// Exits that were seen in procfs only.
    pub exits_missed: u64,
    /// The recording's counts, where one was asked for.
    pub recording: Option<RecordingStats>,
}

/// What the core does when no target is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It ends: it was told which processes to watch, and they are over.
    Ends,
    /// It waits for others to be added.
    Waits,
}

/// The core thread's state.
pub struct Core {
    engine: Engine,
    control: Box<dyn Control>,
    processes: Box<dyn Processes>,
    /// Of targets that are named at the start, and of their descendants.
    policy: Policy,
    idle: Idle,
    live: Live,
    /// Targets that are let go.
    parting: Vec<Parting>,
    /// Those that were let go a moment ago, and when.
    let_go: Vec<(u32, MonoNs)>,
    /// Every record stamped before it has been handled.
    watermark: MonoNs,
    ends: Ends,
    /// Processes whose facts the engine has.
    known: HashSet<u32>,
    /// Parents of forked targets whose facts the engine does not have yet.
    parents: HashMap<u32, u32>,
    recorder: Option<Recorder>,
    /// Told of processes that may have a library we have not seen.
    attacher: Option<(Pending, Leases, Arc<Counts>)>,
    unread: Unread,
    anchor: Anchor,
    anchor_taken: Instant,
    polled: Instant,
    finished: Vec<Finished>,
    mute_failed: bool,
    report: CoreReport,
}

impl Core {
    /// Nothing is attached yet: [`Core::attach`].
    pub fn new(
        config: EngineConfig,
        ids: Box<dyn IdSource + Send>,
        control: Box<dyn Control>,
        processes: Box<dyn Processes>,
        policy: Policy,
        idle: Idle,
        mut recorder: Option<Recorder>,
    ) -> Core {
        let anchor = Anchor::take();
        if let Some(recorder) = &mut recorder {
            recorder.config(&config);
            recorder.anchor(&anchor);
        }
        Core {
            engine: Engine::new(config, ids),
            control,
            processes,
            policy,
            idle,
            live: Live::default(),
            parting: Vec::new(),
            let_go: Vec::new(),
            watermark: MonoNs(0),
            ends: Ends::default(),
            known: HashSet::new(),
            parents: HashMap::new(),
            recorder,
            attacher: None,
            unread: Unread::default(),
            anchor,
            anchor_taken: Instant::now(),
            polled: Instant::now(),
            finished: Vec::new(),
            mute_failed: false,
            report: CoreReport::default(),
        }
    }

    /// Makes processes targets, and their descendants where children are followed. Returns how
    /// many descendants there are.
    pub fn attach(&mut self, explicit: &[ProcessFacts]) -> anyhow::Result<usize> {
        // Sessions of named targets begin now, traffic or not.
        self.tell_time(clock::now());
        for facts in explicit {
            self.control.set_target(facts.tgid, self.policy)?;
            self.live.add(facts.tgid, self.policy, &*self.processes);
            self.give_facts(ProcessFacts {
                explicit: true,
                ..facts.clone()
            });
        }
        if !self.policy.children {
            return Ok(0);
        }
        let roots: Vec<u32> = explicit.iter().map(|facts| facts.tgid).collect();
        let (known, processes) = (self.targets(), &*self.processes);
        let (control, live) = (&mut self.control, &mut self.live);
        add_descendants(&roots, known, processes, |tgid| {
            control.set_target(tgid, self.policy)?;
            live.add_found(tgid, self.policy, processes);
            Ok(())
        })
    }

    /// Who looks into the libraries of processes from now on.
    pub fn set_attacher(&mut self, pending: Pending, leases: Leases, counts: Arc<Counts>) {
        self.attacher = Some((pending, leases, counts));
    }

    /// Who searches processes for TLS libraries that cannot be read.
    pub fn set_unread(&mut self, unread: Unread) {
        self.unread = unread;
    }

    /// The targets at this moment.
    pub fn targets(&self) -> Vec<u32> {
        self.live.tgids().collect()
    }

    fn look_into(&self, tgid: u32, at: MonoNs) {
        if let Some((pending, _, counts)) = &self.attacher
            && !pending.push(Mapped { tgid, at })
        {
            // Only a panic ends it; what it would have found is not seen.
            Counts::add(&counts.unlooked);
        }
    }

    /// A child maps what its parent does.
    fn take_over_leases(&self, parent: u32, child: u32, at: MonoNs) {
        let leases = self.attacher.as_ref().map(|(_, leases, _)| leases);
        if leases.is_some_and(|leases| !leases.fork(parent, child)) {
            self.look_into(child, at);
        }
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
                Ok(batch) => {
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
            if !quiet && self.idle == Idle::Ends && self.live.is_over() {
                stop.request(Reason::TargetsGone);
            }
        }
        self.end(&mut to_sinks)
    }

    fn take_record(&mut self, record: &[u8]) {
        self.report.records += 1;
        // What is no record is the engine's to count.
        let decoded = Record::decode(record).ok();
        if decoded.is_some_and(|record| self.is_late(&record.head)) {
            return;
        }
        if let Some((tgid, ts)) = decoded.and_then(|r| Some((r.head.actor()?, r.head.ts)))
            && !self.known.contains(&tgid)
        {
            if self.live.policy(tgid).is_none() {
                self.look_into(tgid, ts);
            }
            let facts = self.find_facts(tgid);
            self.give_facts(facts);
            // Where the record of its fork was lost. It is followed, so that its end is noticed.
            self.live.add_found(tgid, self.policy, &*self.processes);
        }
        self.feed(record);
        let Some(Record { head, body }) = decoded else {
            return;
        };
        let (tgid, ts) = (head.tgid, head.ts);
        match body {
            Body::Fork { child } => {
                let policy = self.live.policy(tgid).filter(|policy| policy.children);
                if let Some(policy) = policy
                    && let Ok(child) = u32::try_from(child)
                {
                    self.live.add(child, policy, &*self.processes);
                    self.take_over_leases(tgid, child, ts);
                    self.parents.insert(child, tgid);
                }
            }
            // Its program is another one now, and its environment may be.
            Body::Exec => {
                self.refresh_facts(tgid);
                self.look_into(tgid, ts);
                self.end_what_exec_closed(tgid, ts);
            }
            Body::Mmap => self.look_into(tgid, ts),
            Body::Exit => {
                self.keep_what_is_shared(tgid, ts);
                self.forget(tgid);
            }
            Body::Close { why } => self.ends.note_close(head.key(), why, ts),
            Body::Data(_) | Body::Open(_) | Body::Link(_) | Body::Sent { .. } | Body::Release => {}
        }
    }

    /// A process has ended: its sockets have not that somebody else holds. Who that is, is known when the
    /// process has let go of its own.
    fn keep_what_is_shared(&mut self, tgid: u32, ts: MonoNs) {
        let sockets: Vec<Key> = self.engine.sockets_of(tgid).collect();
        self.ends.note_exit(tgid, ts, sockets);
        self.ends.hurry(clock::now());
    }

    fn hold_what_is_shared(&mut self) {
        let has_let_go = |tgid| self.processes.identify(tgid).is_none();
        for (key, ts) in self.ends.let_go(clock::now(), has_let_go) {
            if let SocketState::Held(_) = self.control.socket(key.0, key.1) {
                self.feed(&end_record(key, close::HELD, ts));
                self.ends.hold(key, ts);
            }
        }
    }

    /// Exec closes descriptors without a call.
    fn end_what_exec_closed(&mut self, tgid: u32, ts: MonoNs) {
        let mut closed: Vec<Key> = self.engine.sockets_of(tgid).collect();
        closed.retain(|key| self.control.socket(key.0, key.1) == SocketState::Released);
        for key in closed {
            self.feed(&end_record(key, close::FD_CLOSED, ts));
        }
        self.ends.hurry(clock::now());
    }

    fn feed(&mut self, record: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record(record);
        }
        self.engine.handle_record(record);
    }

    /// From procfs; where the process has gone already, its parent's environment, which it had
    /// unless it called exec.
    fn find_facts(&self, tgid: u32) -> ProcessFacts {
        let parent = self.parents.get(&tgid);
        let mut facts = self
            .processes
            .facts(tgid)
            .or_else(|| self.processes.facts(*parent?))
            .unwrap_or_default();
        facts.tgid = tgid;
        facts.blind = self.unread.libraries(tgid);
        facts
    }

    fn give_facts(&mut self, facts: ProcessFacts) {
        self.known.insert(facts.tgid);
        if let Some(recorder) = &mut self.recorder {
            recorder.process(&facts);
        }
        self.engine.handle_process(facts);
    }

    fn refresh_facts(&mut self, tgid: u32) {
        if let Some(facts) = self.processes.facts(tgid) {
            let blind = self.unread.libraries(tgid);
            self.give_facts(ProcessFacts {
                tgid,
                blind,
                ..facts
            });
        }
    }

    fn forget(&mut self, tgid: u32) {
        // The number may be given to another process, with other facts.
        self.known.remove(&tgid);
        self.parents.remove(&tgid);
        self.live.remove(tgid);
        if let Some((pending, _, _)) = &self.attacher {
            pending.let_go(tgid);
        }
        let unread = self.engine.has_unread_tls(tgid);
        let named = self.unread.forget(tgid, unread);
        say_blind(&named, &*self.processes);
    }

    /// Every record stamped before `watermark` has been handled.
    fn take_time(&mut self, watermark: MonoNs) {
        self.watermark = self.watermark.max(watermark);
        for tgid in self.live.take_gone(watermark) {
            self.report.exits_missed += 1;
            self.feed(&process_record(Body::Exit, tgid, watermark));
            self.keep_what_is_shared(tgid, watermark);
            self.forget(tgid);
            // So that the number's next owner is not taken for it.
            self.remove_from_kernel(tgid);
        }
        self.part(watermark);
        for (key, release) in self.ends.take_released(watermark) {
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
                // Nobody watches yet.
                Output::Watched(_) => {}
                Output::Mute { conn, epoch } => {
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

    /// Has processes searched whose TLS is not read, and takes what was found.
    fn take_unread(&mut self) {
        for tgid in self.engine.take_unread_tls() {
            self.unread.search(tgid, Instant::now());
        }
        for tgid in self.unread.take() {
            // Others are given their facts when they say something.
            if self.known.contains(&tgid) {
                let facts = self.find_facts(tgid);
                self.give_facts(facts);
            }
        }
    }

    fn keep_house(&mut self) {
        self.take_unread();
        self.hold_what_is_shared();
        let all = || watched(&self.engine);
        let ask = |watched| ask(&*self.control, watched);
        self.ends.poll(clock::now(), all, ask);
        if self.polled.elapsed() >= POLL_INTERVAL {
            self.polled = Instant::now();
            self.live.poll(clock::now(), &*self.processes);
            self.control.flush_log();
            let (engine, now) = (&self.engine, Instant::now());
            let named = self.unread.to_say(now, |tgid| engine.has_unread_tls(tgid));
            say_blind(&named, &*self.processes);
        }
        if self.anchor_taken.elapsed() >= RESYNC_INTERVAL {
            self.anchor_taken = Instant::now();
            self.anchor = Anchor::take();
            if let Some(recorder) = &mut self.recorder {
                recorder.anchor(&self.anchor);
            }
        }
    }

    /// What is not there any more at the end has ended before.
    fn end_what_was_lost(&mut self, now: MonoNs) {
        let ends = watched(&self.engine).filter_map(|watched| {
            let why = untold_end(ask(&*self.control, watched))?;
            Some((watched.key(), why))
        });
        let mut ends: Vec<(Key, u64)> = ends.collect();
        ends.sort_unstable();
        for (key, why) in ends {
            self.feed(&end_record(key, why, now));
        }
    }

    fn let_targets_go(&mut self) {
        for tgid in self.targets() {
            self.remove_from_kernel(tgid);
        }
    }

    fn remove_from_kernel(&mut self, tgid: u32) {
        if let Err(e) = self.control.remove_target(tgid) {
            tracing::debug!("process {tgid} was no target any more: {e:#}");
        }
    }

    fn end(mut self, to_sinks: &mut ToSinks) -> CoreReport {
        self.control.flush_log();
        self.take_unread();
        for tgid in self.unread.processes() {
            let unread = self.engine.has_unread_tls(tgid);
            let named = self.unread.forget(tgid, unread);
            say_blind(&named, &*self.processes);
        }
        let counters = self.statistics().counters;
        let now = clock::now();
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

/// Everything whose end is not known.
fn watched(engine: &Engine) -> impl Iterator<Item = Watched> {
    let objects = engine.open_objects();
    let objects = objects.map(|(key, tgid)| Watched::Object(key, tgid));
    engine.open_sockets().map(Watched::Socket).chain(objects)
}

fn ask(control: &dyn Control, watched: Watched) -> SocketState {
    match watched {
        Watched::Socket((inode, epoch)) => control.socket(inode, epoch),
        Watched::Object((address, epoch), tgid) => control.object(address, epoch, tgid),
    }
}

/// Names libraries that cannot be read.
fn say_blind(named: &[(u32, String)], processes: &dyn Processes) {
    for (tgid, library) in named {
        let name = processes.name(*tgid);
        let name = name.map_or_else(String::new, |name| format!(" ({name})"));
        crate::cli::say(&format!(
            "warning: pid {tgid}{name}: TLS cannot be read where it uses {library}"
        ));
    }
}
