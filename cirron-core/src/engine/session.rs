//! Sessions: one `cirron.session` root for each target process that has something to say.
//!
//! A process that the user named has its session at once; a child has it with its first exchange,
//! so that helpers of a moment leave no empty trees, or at its end if it spoke TLS that was not read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{Output, ProcessFacts};
use crate::id::Id;
use crate::limits::MAX_PROCESSES;
use crate::rules::{Problem, ProcessRules, Rules};
use crate::scope::{Attrs, Label, Span, Store, names as n};
use crate::time::MonoNs;

/// The SDK's environment variables and the attributes they become (`profiler._PLATFORM_ENV_KEYS`).
const ENV_ATTRS: [(&str, &str); 4] = [
    ("CIRRON_RUN_ID", n::RUN_ID),
    ("CIRRON_PIPELINE_ID", n::PIPELINE_ID),
    ("CIRRON_DEPLOYMENT_ID", n::DEPLOYMENT_ID),
    ("CIRRON_WORKSPACE_ID", n::WORKSPACE_ID),
];

/// Every variable of a target's environment that is looked at here; of `CONFIG` what
/// [`crate::rules::wanted_config`] keeps of it. Whoever reads an environment keeps no other: they hold secrets.
pub const WANTED_ENV: [&str; 7] = [
    ENV_ATTRS[0].0,
    ENV_ATTRS[1].0,
    ENV_ATTRS[2].0,
    ENV_ATTRS[3].0,
    "RANK",
    "LOCAL_RANK",
    "CONFIG",
];

#[derive(Default)]
struct Process {
    facts: ProcessFacts,
    first_seen: MonoNs,
    root: Option<Span>,
    /// Its session was opened for the program that it was before its last exec, and keeps that one's facts.
    root_is_older: bool,
    /// Sockets that carry TLS, and TLS objects whose socket is not known: it is one of those.
    tls_sockets: i64,
    tls_objects: i64,
    /// TLS objects that ended without any plaintext.
    tls_silent: i64,
    /// Connections with exchanges that nothing named, and those.
    unnamed: [i64; 2],
    /// Scopes that may be part of another one: of which that is known, and of which it is not.
    parents: [u64; 2],
    /// When it exited, and when its session closes.
    exit: Option<(MonoNs, MonoNs)>,
    /// Facts of the process that was given its number meanwhile.
    next: Option<ProcessFacts>,
    /// What holds for its exchanges; `None`: nothing but what holds for all.
    rules: Option<Arc<ProcessRules>>,
    /// Exchanges that are no spans, since rules ignore them, and since sampling left them out.
    withheld: [i64; 2],
    /// Turns on connections without HTTP that are in no scope, and their bytes.
    turns_left_out: [u64; 2],
}

/// Bytes of a process besides its facts: its entry in the tree, whose nodes are not full.
const PROCESS_BYTES: usize = size_of::<Process>() * 2;
/// Processes that make room at once, so that finding them is worth a look at all.
const FORGOTTEN_AT_ONCE: usize = 64;
/// Bytes of its session's span, with its attributes.
const SESSION_BYTES: usize = 1_024;

impl Process {
    /// Bytes that it holds, about.
    fn held_bytes(&self) -> usize {
        let all = std::iter::once(&self.facts).chain(&self.next);
        let session = self.root.as_ref().map_or(0, |_| SESSION_BYTES);
        let rules = self.rules.as_ref().map_or(0, |rules| rules.held_bytes());
        PROCESS_BYTES + session + rules + all.map(ProcessFacts::held_bytes).sum::<usize>()
    }

    /// How dear it is to forget: what has ended is the least, then what has said nothing, then the oldest.
    fn usefulness(&self) -> (bool, bool, MonoNs) {
        (self.exit.is_none(), self.root.is_some(), self.first_seen)
    }

    fn has_unread(&self) -> bool {
        self.tls_sockets > self.tls_objects
    }

    /// Facts that came behind the opening of the session which they are of: it is written once more with them.
    fn correct(&mut self, outputs: &mut VecDeque<Output>) {
        let Some(root) = self.root.as_mut().filter(|_| !self.root_is_older) else {
            return;
        };
        let (attrs, rank) = (attrs(root.pid, &self.facts), rank(&self.facts));
        if root.attrs != attrs {
            (root.attrs, root.rank) = (attrs, rank);
            outputs.push_back(Output::Session(root.clone()));
        }
    }
}

/// Attributes of an open session.
fn attrs(tgid: u32, facts: &ProcessFacts) -> Attrs {
    let mut attrs = Attrs::new();
    attrs.insert(n::PID, i64::from(tgid).into());
    attrs.insert(n::RANK, rank(facts).into());
    for (variable, attr) in ENV_ATTRS {
        if let Some(value) = facts.env.get(variable).filter(|v| !v.is_empty()) {
            attrs.insert(attr, value.clone().into());
        }
    }
    if let Some(exe) = &facts.exe {
        attrs.insert(n::EXECUTABLE, exe.clone().into());
    }
    if let Some(container) = &facts.container {
        attrs.insert(n::CONTAINER_ID, container.clone().into());
    }
    for (name, value) in &facts.workload {
        attrs.insert(Label::foreign(name), value.clone().into());
    }
    if let Some(target) = &facts.target {
        attrs.insert(n::TARGET, target.clone().into());
    }
    attrs
}

/// `RANK`, else `LOCAL_RANK`, else 0, as the SDK's `_rank_from_env`.
fn rank(facts: &ProcessFacts) -> i64 {
    let value = |name: &str| facts.env.get(name).filter(|v| !v.is_empty());
    value("RANK")
        .or_else(|| value("LOCAL_RANK"))
        .and_then(|v| v.trim().parse().ok())
        .unwrap_or(0)
}

/// All processes seen.
pub(super) struct Sessions {
    configured: Rules,
    /// What is wrong in targets' `CONFIG`, since it was asked for.
    problems: Vec<(u32, Problem)>,
    config_problems: u64,
    /// Numbers of `CONFIG`s with something wrong that were told of.
    wrong_configs: BTreeSet<u64>,
    processes: BTreeMap<u32, Process>,
    /// Bytes that they hold.
    bytes: usize,
    /// Processes that have a TLS connection more that is not read, since they were asked for.
    unread: BTreeSet<u32>,
}

impl Sessions {
    pub(super) fn new(configured: Rules) -> Sessions {
        Sessions {
            configured,
            problems: Vec::new(),
            config_problems: 0,
            wrong_configs: BTreeSet::new(),
            processes: BTreeMap::new(),
            bytes: 0,
            unread: BTreeSet::new(),
        }
    }

    /// A record of `tgid` passed at `ts`.
    pub(super) fn note_activity(&mut self, tgid: u32, ts: MonoNs) {
        if let Some(process) = self.processes.get_mut(&tgid)
            && process.first_seen == MonoNs(0)
        {
            process.first_seen = ts;
        }
    }

    /// More or fewer sockets that carry TLS and that no TLS object is known to use, and TLS objects
    /// whose socket is not known.
    pub(super) fn tls(&mut self, tgid: u32, sockets: i64, objects: i64) {
        if let Some(process) = self.processes.get_mut(&tgid) {
            process.tls_sockets += sockets;
            process.tls_objects += objects;
            if sockets > 0 && process.has_unread() {
                self.unread.insert(tgid);
            }
        }
    }

    /// The process has TLS connections that are not read.
    pub(super) fn has_unread(&self, tgid: u32) -> bool {
        self.processes.get(&tgid).is_some_and(Process::has_unread)
    }

    /// Processes that have one more of them, once.
    pub(super) fn take_unread(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.unread)
            .into_iter()
            .filter(|tgid| self.has_unread(*tgid))
            .collect()
    }

    /// A TLS object has ended of which no plaintext came.
    pub(super) fn silent_tls(&mut self, tgid: u32) {
        if let Some(process) = self.processes.get_mut(&tgid) {
            process.tls_silent += 1;
        }
    }

    /// An exchange ended that nothing named; with `first`, the first of its connection.
    pub(super) fn count_unnamed(&mut self, tgid: u32, first: bool) {
        if let Some(process) = self.processes.get_mut(&tgid) {
            process.unnamed[0] += i64::from(first);
            process.unnamed[1] += 1;
        }
    }

    /// Turns on a connection without HTTP are in no scope.
    pub(super) fn count_left_out_turns(&mut self, tgid: u32, turns: u64, bytes: u64) {
        let left_out = &mut self.entry(tgid).turns_left_out;
        left_out[0] += turns;
        left_out[1] += bytes;
    }

    /// The process has TLS objects whose socket is not known.
    pub(super) fn has_tls_objects(&self, tgid: u32) -> bool {
        self.processes
            .get(&tgid)
            .is_some_and(|process| process.tls_objects > 0)
    }

    /// Scopes were written that may be part of another one.
    pub(super) fn count_parents(&mut self, tgid: u32, known: u64, unknown: u64) {
        if let Some(process) = self.processes.get_mut(&tgid) {
            process.parents[0] += known;
            process.parents[1] += unknown;
        }
    }

    pub(super) fn introduce(
        &mut self,
        facts: ProcessFacts,
        now: MonoNs,
        store: &mut Store,
        outputs: &mut VecDeque<Output>,
    ) {
        let (tgid, explicit) = (facts.tgid, facts.explicit);
        let rules = self.read_rules(&facts);
        let process = self.entry(tgid);
        let before = process.held_bytes();
        if process.exit.is_some() {
            // The session of the one that has ended keeps its own.
            process.next = Some(facts);
        } else {
            process.facts = facts;
            process.rules = rules;
            process.correct(outputs);
        }
        let now_held = process.held_bytes();
        self.bytes = self.bytes + now_held - before;
        if explicit && now > MonoNs(0) {
            self.open(tgid, now, store, outputs);
        }
    }

    /// Bytes that all sessions hold, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }

    fn entry(&mut self, tgid: u32) -> &mut Process {
        self.processes.entry(tgid).or_insert_with(|| {
            let process = Process::default();
            self.bytes += process.held_bytes();
            process
        })
    }

    /// Before `tgid` is introduced: forgets the least useful where too many are known. Says how many.
    pub(super) fn make_room(
        &mut self,
        tgid: u32,
        now: MonoNs,
        outputs: &mut VecDeque<Output>,
    ) -> u64 {
        if self.processes.len() < MAX_PROCESSES || self.processes.contains_key(&tgid) {
            return 0;
        }
        let all = self.processes.iter();
        let mut least: Vec<_> = all.map(|(tgid, p)| (p.usefulness(), *tgid)).collect();
        least.sort_unstable();
        least.truncate(FORGOTTEN_AT_ONCE);
        for (_, tgid) in &least {
            self.close_now(*tgid, now, outputs);
        }
        least.len() as u64
    }

    /// The id of the session of `tgid`, opened now if it was not.
    pub(super) fn open(
        &mut self,
        tgid: u32,
        at: MonoNs,
        store: &mut Store,
        outputs: &mut VecDeque<Output>,
    ) -> Id {
        let process = self.entry(tgid);
        if let Some(root) = &process.root {
            return root.id;
        }
        let start = if process.first_seen == MonoNs(0) {
            at
        } else {
            process.first_seen.min(at)
        };
        let root = Span {
            id: store.next_id(),
            name: n::SESSION.into(),
            parent_id: None,
            index: None,
            start,
            end: None,
            cpu_ns: None,
            thread_id: tgid,
            pid: tgid,
            rank: rank(&process.facts),
            attrs: attrs(tgid, &process.facts),
            mark_ids: Vec::new(),
        };
        let id = root.id;
        outputs.push_back(Output::Session(root.clone()));
        process.root = Some(root);
        process.root_is_older = false;
        self.bytes += SESSION_BYTES;
        id
    }

    /// Of a process that is not known 0.
    pub(super) fn rank(&self, tgid: u32) -> i64 {
        self.processes.get(&tgid).map_or(0, |p| rank(&p.facts))
    }

    /// Facts of the process that has this number now, where they were given.
    pub(super) fn facts(&self, tgid: u32) -> Option<&ProcessFacts> {
        let process = self.processes.get(&tgid)?;
        match process.exit {
            None => Some(&process.facts),
            Some(_) => process.next.as_ref(),
        }
    }

    /// It is another program from now on.
    pub(super) fn execs(&mut self, tgid: u32) {
        if let Some(process) = self.processes.get_mut(&tgid) {
            process.root_is_older = process.root.is_some();
        }
    }

    pub(super) fn exits(&mut self, tgid: u32, ts: MonoNs, due: MonoNs) {
        if let Some(process) = self.processes.get_mut(&tgid) {
            let before = process.held_bytes();
            // The second end at this number is that of the process that was given it.
            process.next = None;
            process.exit.get_or_insert((ts, due));
            self.bytes = self.bytes + process.held_bytes() - before;
        }
    }

    /// Processes that have ended, and whose sessions would close now.
    pub(super) fn due(&self, now: MonoNs) -> Vec<u32> {
        let due = |p: &Process| p.exit.is_some_and(|(_, due)| due <= now);
        let ended = self.processes.iter().filter(|(_, p)| due(p));
        ended.map(|(tgid, _)| *tgid).collect()
    }

    /// The session of a process that has ended closes later.
    pub(super) fn postpone(&mut self, tgid: u32, until: MonoNs) {
        if let Some(process) = self.processes.get_mut(&tgid)
            && let Some((_, due)) = &mut process.exit
        {
            *due = until;
        }
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: MonoNs,
        store: &mut Store,
        outputs: &mut VecDeque<Output>,
    ) {
        let over = |p: &Process| p.exit.is_some_and(|(_, due)| due <= now);
        self.open_unread(now, over, store, outputs);
        let (bytes, configured) = (&mut self.bytes, &self.configured);
        self.processes.retain(|_, process| match process.exit {
            Some((ts, due)) if due <= now => {
                *bytes -= process.held_bytes();
                close(process, ts, outputs);
                let Some(facts) = process.next.take() else {
                    return false;
                };
                *process = Process {
                    rules: rules::of_process(configured, &facts).0,
                    facts,
                    ..Process::default()
                };
                *bytes += process.held_bytes();
                true
            }
            _ => true,
        });
    }

    /// The process is a target no more.
    pub(super) fn release(
        &mut self,
        tgid: u32,
        now: MonoNs,
        store: &mut Store,
        outputs: &mut VecDeque<Output>,
    ) {
        if !self.processes.contains_key(&tgid) {
            return;
        }
        let of_it = |p: &Process| p.facts.tgid == tgid;
        self.open_unread(now, of_it, store, outputs);
        self.close_now(tgid, now, outputs);
    }

    /// The session of `tgid` ends, as if its process had now, and all of it is forgotten.
    fn close_now(&mut self, tgid: u32, now: MonoNs, outputs: &mut VecDeque<Output>) {
        if let Some(mut process) = self.processes.remove(&tgid) {
            self.bytes -= process.held_bytes();
            let end = process.exit.map_or(now, |(ts, _)| ts);
            close(&mut process, end, outputs);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        self.processes
            .values()
            .filter_map(|p| p.exit.map(|(_, due)| due))
            .min()
    }

    /// A process that only spoke TLS of which nothing was read, or what nothing named, or what rules keep from being
    /// written, is not passed over in silence.
    fn open_unread(
        &mut self,
        now: MonoNs,
        which: impl Fn(&Process) -> bool,
        store: &mut Store,
        outputs: &mut VecDeque<Output>,
    ) {
        let counts = |p: &Process| p.tls_silent + p.unnamed[0] + p.withheld.iter().sum::<i64>();
        let unread = |p: &Process| p.root.is_none() && (p.has_unread() || counts(p) > 0);
        let all: Vec<u32> = self
            .processes
            .iter()
            .filter(|(_, p)| unread(p) && which(p))
            .map(|(tgid, _)| *tgid)
            .collect();
        for tgid in all {
            self.open(tgid, now, store, outputs);
        }
    }

    pub(super) fn close_all(
        &mut self,
        now: MonoNs,
        store: &mut Store,
        outputs: &mut VecDeque<Output>,
    ) {
        self.open_unread(now, |_| true, store, outputs);
        for process in self.processes.values_mut() {
            let end = process.exit.map_or(now, |(ts, _)| ts);
            close(process, end, outputs);
        }
        self.processes.clear();
        self.bytes = 0;
    }
}

fn close(process: &mut Process, end: MonoNs, outputs: &mut VecDeque<Output>) {
    if let Some(mut root) = process.root.take() {
        root.end = Some(end.max(root.start));
        let unread = process.tls_sockets - process.tls_objects;
        if unread > 0 {
            root.attrs.insert(n::TLS_UNREAD, unread.into());
        }
        let counts = [
            (n::UNNAMED_CONNECTIONS, process.unnamed[0]),
            (n::UNNAMED_EXCHANGES, process.unnamed[1]),
            (n::IGNORED_EXCHANGES, process.withheld[0]),
            (n::SAMPLED_OUT_EXCHANGES, process.withheld[1]),
        ];
        for (name, count) in counts {
            if count > 0 {
                root.attrs.insert(name, count.into());
            }
        }
        for (name, count) in [n::NET_TURNS_LEFT_OUT, n::NET_BYTES_LEFT_OUT]
            .into_iter()
            .zip(process.turns_left_out)
        {
            if count > 0 {
                root.attrs.insert(name, count.into());
            }
        }
        for (name, count) in [n::PARENTS_KNOWN, n::PARENTS_UNKNOWN]
            .into_iter()
            .zip(process.parents)
        {
            if count > 0 {
                root.attrs.insert(name, count.into());
            }
        }
        if process.tls_silent > 0 {
            root.attrs.insert(n::TLS_SILENT, process.tls_silent.into());
        }
        if !process.facts.blind.is_empty() {
            let names = process.facts.blind.join(", ");
            root.attrs.insert(n::TLS_BLIND, names.into());
        }
        outputs.push_back(Output::Session(root));
    }
}

mod rules;
#[cfg(test)]
mod tests;
