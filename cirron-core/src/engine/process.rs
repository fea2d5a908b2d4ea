//! What the shell knows of processes, and what it asks of theirs: sockets, and objects of TLS libraries.
//!
//! The sessions themselves are in [`super::session`].

use std::collections::BTreeMap;

use super::conn::Conn;
use super::shared::Shared;
use super::{Engine, Key};
use crate::time::MonoNs;

/// What the shell knows of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process id, as the kernel side gives it.
    pub tgid: u32,
    /// Named by the user: its session opens at once, not with its first exchange.
    pub explicit: bool,
    /// Variables of its environment that concern us: those of [`super::WANTED_ENV`].
    pub env: BTreeMap<String, String>,
    /// Base name of its executable, where readable.
    pub exe: Option<String>,
    /// The id of its container.
    pub container: Option<String>,
    /// What its container is, and the pod of that: by names of attributes, which its session has.
    pub workload: BTreeMap<String, String>,
    /// What the rule of targets calls it that chose it.
    pub target: Option<String>,
    /// TLS libraries in it that cannot be read.
    pub blind: Vec<String>,
}

impl ProcessFacts {
    /// Bytes of its texts, about.
    pub(super) fn held_bytes(&self) -> usize {
        let env = self
            .env
            .iter()
            .chain(&self.workload)
            .map(|(name, value)| name.len() + value.len());
        let blind = self.blind.iter().map(String::len);
        env.chain(blind)
            .chain(self.exe.as_ref().map(String::len))
            .chain(self.target.as_ref().map(String::len))
            .chain(self.container.as_ref().map(String::len))
            .sum()
    }
}

impl Engine {
    /// Facts of a process; before the first record that names it. Where they are given again, they hold from then on;
    /// its session has them too, unless it was opened for a program that called exec since.
    pub fn handle_process(&mut self, facts: ProcessFacts) {
        let now = self.now;
        let Shared {
            sessions,
            store,
            outputs,
            stats,
            ..
        } = &mut self.shared;
        stats.forgotten_processes += sessions.make_room(facts.tgid, now, outputs);
        sessions.introduce(facts, now, store, outputs);
        self.keep_within_budget();
    }

    /// Facts that were given of the process which has this number now.
    pub fn facts(&self, tgid: u32) -> Option<&ProcessFacts> {
        self.shared.sessions.facts(tgid)
    }

    /// Whether a process has TLS connections that are not read, as far as is known now.
    pub fn has_unread_tls(&self, tgid: u32) -> bool {
        self.shared.sessions.has_unread(tgid)
    }

    /// Processes that have one more such connection since the last time.
    pub fn take_unread_tls(&mut self) -> Vec<u32> {
        self.shared.sessions.take_unread()
    }

    /// Objects of TLS libraries whose end is not known, each with its process.
    pub fn open_objects(&self) -> impl Iterator<Item = ((u64, u64), u32)> {
        let open = self.conns.iter().filter(|(_, c)| c.is_open_object());
        open.map(|(key, c)| (*key, c.tgid))
    }

    /// Sockets whose end is not known.
    pub fn open_sockets(&self) -> impl Iterator<Item = (u64, u64)> {
        let open = self.conns.iter().filter(|(_, c)| c.is_open_socket());
        open.map(|(key, _)| *key)
    }

    /// Ends connections whose process has ended, or has become another program.
    pub(super) fn end_with_process(&mut self, which: impl Fn(&Conn) -> bool, ts: MonoNs) {
        let its = |(_, conn): &(&Key, &mut Box<Conn>)| which(conn);
        let mut keys = Vec::new();
        for (key, conn) in self.conns.iter_mut().filter(its) {
            conn.end_with_process(ts);
            keys.push(*key);
        }
        keys.into_iter().for_each(|key| self.after(key));
    }

    /// Sockets that a process used last, and whose end is not known, but for that process's.
    pub fn sockets_of(&self, tgid: u32) -> impl Iterator<Item = (u64, u64)> {
        let its = self.conns.iter().filter(move |(_, c)| c.ends_with(tgid));
        its.map(|(key, _)| *key)
    }
}
