//! What all connections write to: the scopes, the outputs, the counts and the sessions.
//!
//! What becomes of scopes is handed on from here, in order, each with its session written before it. It does not
//! know connections, but for what is counted of them.

use std::collections::VecDeque;

use cirron_common::record::source;

use super::conn::Conn;
use super::forks::Forks;
use super::lineage::Lineage;
use super::net::NetQuotas;
use super::peers::Peers;
use super::serving::Serving;
use super::session::Sessions;
use super::shares::Shares;
use super::{EngineStats, Key, Output};
use crate::llm::Routes;
use crate::scope::{AttrValue, Contexts, Life, Probes, Span, Store, evidence, names};
use crate::time::MonoNs;

/// What all connections write to.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) outputs: VecDeque<Output>,
    pub(super) stats: EngineStats,
    pub(super) sessions: Sessions,
    pub(super) contexts: Contexts,
    pub(super) routes: Routes,
    pub(super) probes: Probes,
    pub(super) serving: Serving,
    pub(super) lineage: Lineage,
    pub(super) forks: Forks,
    pub(super) peers: Peers,
    pub(super) nets: NetQuotas,
    pub(super) shares: Shares,
    /// Before this time records were lost, as a hole on some connection showed.
    pub(super) lossy_until: MonoNs,
}

impl Shared {
    /// Bytes that no connection holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.sessions.held_bytes()
            + self.contexts.held_bytes()
            + self.probes.held_bytes()
            + self.serving.held_bytes()
            + self.lineage.held_bytes()
            + self.forks.held_bytes()
            + self.peers.held_bytes()
            + self.nets.held_bytes()
            + self.shares.held_bytes()
            + self.store.waiting_bytes()
    }

    /// A process has ended, is another program, or is a new one of that number.
    pub(super) fn end_process(&mut self, pid: u32, ts: MonoNs) {
        self.judge_all(Some(pid));
        self.lineage.end_process(pid);
        self.contexts.end_process(pid);
        self.serving.end_process(pid);
        self.nets.end_process(pid);
        self.probes.end_process(pid, ts, &mut self.store);
        self.take_lives();
    }

    /// Hands on what became of scopes. The session of what is written is opened first.
    pub(super) fn take_lives(&mut self) {
        while let Some(life) = self.store.next_life() {
            let output = match life {
                Life::Watched(life) => Output::Watched(life),
                Life::Shown(mut span) => {
                    self.enter_session(&mut span);
                    Output::Open(span)
                }
                Life::Withheld(facts) => {
                    self.stats.take(facts);
                    continue;
                }
                Life::Closed {
                    mut span,
                    marks,
                    facts,
                } => {
                    self.enter_session(&mut span);
                    self.stats.take(facts);
                    self.count_parent(&span);
                    Output::Scope { span, marks }
                }
            };
            self.outputs.push_back(output);
        }
    }

    /// What is part of no other scope is part of its process's session.
    pub(super) fn enter_session(&mut self, span: &mut Span) {
        let Shared {
            store,
            outputs,
            sessions,
            ..
        } = self;
        let session = sessions.open(span.pid, span.start, store, outputs);
        span.parent_id.get_or_insert(session);
    }

    /// Counts whether it is known what it is part of, where that was looked for.
    fn count_parent(&mut self, span: &Span) {
        let known = u64::from(span.attrs.contains_key(names::PARENT_BY));
        let unknown = u64::from(span.attrs.contains_key(names::PARENT_UNKNOWN));
        self.stats.parents_known += known;
        self.stats.parents_unknown += unknown;
        if known + unknown > 0 {
            self.sessions.count_parents(span.pid, known, unknown);
        }
        // Of a goroutine that reads for itself its makers say nothing.
        let is_proof_missing = matches!(
            span.attrs.get(names::PARENT_UNKNOWN),
            Some(AttrValue::Str(why)) if &**why == evidence::UNPROVEN_GOROUTINE
        );
        if unknown > 0 && !is_proof_missing && self.lineage.asks(span.pid) {
            self.outputs.push_back(Output::Unplaced { pid: span.pid });
        }
    }

    pub(super) fn count_connection(&mut self, of: u8, tgid: u32) {
        self.stats.connections += 1;
        if of == source::TLS {
            self.stats.tls_objects += 1;
            self.sessions.tls(tgid, 0, 1);
        }
    }

    pub(super) fn mute(&mut self, (conn, epoch): Key) {
        self.outputs.push_back(Output::Mute { conn, epoch });
    }

    pub(super) fn count_end(&mut self, conn: &Conn) {
        self.stats.passed_over_bytes += conn.passed_over();
        if conn.is_silent_tls() {
            self.stats.tls_silent += 1;
            self.sessions.silent_tls(conn.tgid);
        }
    }
}
