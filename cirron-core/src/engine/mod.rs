//! The engine: the whole core behind one `handle_*` / `poll_*` face.
//!
//! ```text
//!  record -> Record -> Conn (two assemblers, one parser) -> Sink -> scope::Store -> Output
//! ```
//! Connections are keyed by socket inode and generation. A close is applied a moment of event time
//! after it was seen, since a write's record comes with its return, and that may be after the end that
//! its last byte provoked.

mod budget;
mod conn;
mod context;
mod forks;
mod joins;
mod lineage;
mod link;
mod net;
mod peers;
mod probes;
mod process;
mod release;
mod rules;
mod serving;
mod session;
mod shared;
mod shares;
mod sink;
mod stats;
mod tail;
mod timers;
mod unsent;
mod upkeep;

use std::collections::{HashMap, VecDeque};

use cirron_common::record::evidence;

use crate::id::IdSource;
use crate::llm::Routes;
use crate::record::{Body, Record};
use crate::rules::Rules;
use crate::scope::{Context, Contexts, Mark, Probes, Span, Store, Watched};
use crate::time::{MS, MonoNs};

use budget::Budget;
use conn::{Conn, Slot};
use forks::Forks;
use lineage::{Lineage, Moment};
use net::NetQuotas;
use peers::Peers;
pub use process::ProcessFacts;
use serving::Serving;
use session::Sessions;
pub use session::WANTED_ENV;
use shared::Shared;
use shares::Shares;
pub use stats::EngineStats;
use timers::Timers;

/// Event time between a connection's end and its removal: late records find it. A thread that writes may
/// lose its processor before it returns, and another closes meanwhile: 115 ms were seen of Go, with three
/// busy threads for each processor.
const LINGER_NS: u64 = 500 * MS;
/// The same where the process has ended: none of its threads is late. A socket that it left open waits as others
/// do, for the word that somebody else holds it.
const EXIT_LINGER_NS: u64 = 20 * MS;
/// Event time between a process's end and its session's: its connections end first.
const SESSION_LINGER_NS: u64 = 4 * EXIT_LINGER_NS;

/// Event time until it is looked again whether an ended process's exchanges are over, where somebody else
/// holds their socket.
const OUTLIVED_SESSION_NS: u64 = LINGER_NS;

/// Settings of the engine.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Which exchanges are written, and what else of them.
    pub rules: Rules,
    /// Bytes that may be held in sum; `None`: [`crate::limits::DEFAULT_MAX_MEMORY_BYTES`].
    pub max_memory_bytes: Option<usize>,
}

/// A connection: inode number or object address, and generation.
type Key = (u64, u64);

/// A map that every record asks. Its hash is fast, and its seed another one in each process: which inode numbers
/// fall together is nothing that a client of a target can choose.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// An output of the engine, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A session root: open (`end` is `None`) or, same id, closed.
    Session(Span),
    /// A scope that goes on and has children already; it comes again, same id, when it is finished.
    Open(Span),
    /// A finished scope with its marks.
    Scope {
        /// The span.
        span: Span,
        /// Its marks.
        marks: Vec<Mark>,
    },
    /// What becomes of a scope and costs no line of the spool. Only while somebody watches ([`Engine::watch`]).
    Watched(Watched),
    /// It is not known for which request this process did something, for the first time: whoever can find out where it keeps
    /// what it runs is to do so.
    Unplaced {
        /// The process.
        pid: u32,
    },
    /// The bytes of this connection are of no use: the kernel side may leave them alone.
    Mute {
        /// Socket inode.
        conn: u64,
        /// Its generation.
        epoch: u64,
    },
}

impl Output {
    /// The finished scope with its marks; `None`: it says something else.
    pub fn into_scope(self) -> Option<(Span, Vec<Mark>)> {
        match self {
            Output::Scope { span, marks } => Some((span, marks)),
            Output::Session(_)
            | Output::Open(_)
            | Output::Watched(_)
            | Output::Unplaced { .. }
            | Output::Mute { .. } => None,
        }
    }
}

/// The core, whole.
pub struct Engine {
    /// Boxed: a table that grows is there twice for a moment.
    conns: Map<Key, Box<Conn>>,
    /// From a socket to the TLS object that uses it.
    links: Map<Key, Key>,
    /// The newest generation of each connection that is known.
    newest: Map<Slot, Key>,
    /// Connections that asked for a time-out.
    timers: Timers,
    budget: Budget,
    shared: Shared,
    now: MonoNs,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("conns", &self.conns.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that has seen nothing. `ids` makes the ids of spans, marks and requests.
    pub fn new(config: EngineConfig, ids: Box<dyn IdSource + Send>) -> Engine {
        Engine {
            conns: Map::default(),
            links: Map::default(),
            newest: Map::default(),
            timers: Timers::default(),
            budget: Budget::new(config.max_memory_bytes),
            shared: Shared {
                store: Store::new(ids),
                outputs: VecDeque::new(),
                stats: EngineStats::default(),
                sessions: Sessions::new(config.rules),
                contexts: Contexts::default(),
                routes: Routes::default(),
                probes: Probes::default(),
                serving: Serving::default(),
                forks: Forks::default(),
                lineage: Lineage::default(),
                peers: Peers::default(),
                nets: NetQuotas::default(),
                shares: Shares::default(),
                lossy_until: MonoNs(0),
            },
            now: MonoNs(0),
        }
    }

    /// One record of the ring, verbatim (header and payload).
    pub fn handle_record(&mut self, record: &[u8]) {
        let Ok(Record { head, body }) = Record::decode(record) else {
            self.shared.stats.bad_records += 1;
            return;
        };
        let ts = head.ts;
        self.now = self.now.max(ts);
        self.shared.sessions.note_activity(head.tgid, ts);
        let key = head.key();
        match body {
            Body::Open(info) => {
                match self.conns.get_mut(&key) {
                    Some(conn) => conn.take_opening(info, &mut self.shared),
                    None => {
                        let conn = Conn::new(info, &head);
                        self.begin(key, conn, &head);
                    }
                }
                self.find_peer(key);
                self.after(key);
            }
            Body::Data(data) => {
                if !self.conns.contains_key(&key) {
                    // Its `CONN_OPEN` was dropped.
                    let conn = Conn::unknown(head.tgid, head.source);
                    self.begin(key, conn, &head);
                }
                if let Some(conn) = self.conns.get_mut(&key) {
                    conn.handle_data(&head, &data, &mut self.shared);
                }
                self.after(key);
            }
            Body::Close { why, at } => self.close(key, why, at, ts),
            Body::Sent { upto, at, all } => {
                self.apply_sent(key, upto, at, ts);
                // Of ciphertext and plaintext only the end of all is the same.
                if let Some(object) = self.links.get(&key).copied()
                    && all
                {
                    self.apply_sent(object, u64::MAX, at, ts);
                }
            }
            Body::Link(link) => {
                let evidence = match link.evidence {
                    evidence::LENGTHS => "lengths",
                    evidence::SECRET => "secret",
                    _ => "call",
                };
                self.link(key, link.socket, &link.info, evidence);
            }
            Body::Exit => {
                self.shared.forks.gone(head.tgid);
                self.shared.end_process(head.tgid, ts);
                self.end_with_process(|c| c.tgid == head.tgid, ts);
                self.shared
                    .sessions
                    .exits(head.tgid, ts, ts.plus(SESSION_LINGER_NS));
            }
            Body::ThreadExit => {
                let (pid, tid) = (head.tgid, head.tid);
                let Shared { probes, store, .. } = &mut self.shared;
                probes.end_thread(Context::Thread { pid, tid }, ts, store);
            }
            Body::Release => self.release(head.tgid, ts),
            // The shell follows these; to the core a child is a process like any other, and a new one.
            Body::Fork { child } => {
                if let Ok(child) = u32::try_from(child) {
                    self.shared.end_process(child, ts);
                    self.shared.fork(&head, child);
                }
            }
            // The shell's, which looks for targets, and opens what secrets close.
            Body::Mmap | Body::Listen | Body::Secret(_) => {}
            Body::Tuned => {
                let accepted = self.conns.get(&key).filter(|conn| conn.was_accepted());
                if let (Some(conn), Some(moment)) = (accepted, Moment::new(&head)) {
                    self.shared.lineage.tune(conn.slot, moment);
                }
            }
            Body::ContextMade { context, number } => {
                if let Some(moment) = Moment::new(&head) {
                    self.shared.lineage.made(context, number, moment);
                }
            }
            Body::ContextEnded { context, number } => {
                let moment = Moment::new(&head);
                let ended = |m| self.shared.lineage.ended(context, number, ts, m);
                if let Some(request) = moment.and_then(ended) {
                    self.shared.judge_held(request, false);
                }
            }
            Body::Spec(spec) => self.shared.probes.learn(&spec),
            Body::Hit(hit) => self.reach(&head, &hit),
            // The objects of its libraries went with its memory, and nothing frees them.
            Body::Exec => {
                self.shared.end_process(head.tgid, ts);
                self.shared.sessions.execs(head.tgid);
                let its = |c: &Conn| c.tgid == head.tgid && c.is_open_object();
                self.end_with_process(its, ts);
            }
        }
    }

    /// Connections that are known.
    pub fn open_connections(&self) -> usize {
        self.conns.len()
    }

    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, now: MonoNs) {
        self.now = self.now.max(now);
        for key in self.timers.due(now) {
            let ended = match self.conns.get_mut(&key) {
                Some(conn) => conn.handle_timeout(now, &mut self.shared),
                None => true,
            };
            if ended {
                self.forget(key);
            } else {
                self.after(key);
            }
        }
        while let Some(request) = self.shared.lineage.due(now) {
            self.shared.judge_held(request, true);
        }
        for tgid in self.shared.sessions.due(now) {
            // A socket that outlives it: what is open there is of this session.
            if self.shared.store.serves(tgid) {
                let due = now.plus(OUTLIVED_SESSION_NS);
                self.shared.sessions.postpone(tgid, due);
            }
        }
        let Shared {
            sessions,
            outputs,
            store,
            ..
        } = &mut self.shared;
        sessions.handle_timeout(now, store, outputs);
    }

    /// When `handle_timeout` wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<MonoNs> {
        let sessions = self.shared.sessions.poll_timeout();
        let held = self.shared.lineage.poll_timeout();
        let others = sessions.into_iter().chain(held);
        self.timers.first().into_iter().chain(others).min()
    }

    /// Whether outputs are wanted that cost no line of the spool.
    pub fn watch(&mut self, watched: bool) {
        self.shared.store.watch(watched);
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// The end: open exchanges close as partial, sessions close.
    pub fn handle_shutdown(&mut self, now: MonoNs) {
        self.handle_timeout(now);
        self.shared.probes.end_all(now, &mut self.shared.store);
        self.shared.take_lives();
        let mut keys: Vec<_> = self.conns.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            if let Some(mut conn) = self.conns.remove(&key) {
                self.newest.remove(&conn.slot);
                conn.handle_end(now, &mut self.shared);
                self.shared.count_end(&conn);
                self.budget.set(key, conn.budgeted, None);
            }
        }
        self.timers.clear();
        self.shared.judge_all(None);
        self.shared.lineage = Lineage::default();
        self.shared.serving = Serving::default();
        self.shared.forks = Forks::default();
        self.shared.peers = Peers::default();
        self.shared.nets = NetQuotas::default();
        self.shared.shares = Shares::default();
        self.shared.store.forget_traces();
        let Shared {
            sessions,
            outputs,
            store,
            ..
        } = &mut self.shared;
        sessions.close_all(now, store, outputs);
        self.budget.set_shared(self.shared.held_bytes());
    }

    /// Counts.
    pub fn stats(&self) -> EngineStats {
        self.shared.count_probes(EngineStats {
            unknown_contexts: self.shared.contexts.not_kept() + self.shared.lineage.not_kept(),
            traces_forgotten: self.shared.store.traces_forgotten(),
            config_problems: self.shared.sessions.config_problems(),
            ..self.shared.stats
        })
    }

    /// The most that connections and their scopes held at once, bytes.
    pub fn peak_held_bytes(&self) -> usize {
        self.budget.peak()
    }

    /// Bytes that connections and their scopes hold, about.
    pub fn held_bytes(&self) -> usize {
        self.budget.total()
    }
}

#[cfg(test)]
mod context_tests;
#[cfg(test)]
mod ends_rig;
#[cfg(test)]
mod ends_tests;
#[cfg(test)]
mod held_tests;
#[cfg(test)]
mod join_tests;
#[cfg(test)]
mod lost_ends_tests;
#[cfg(test)]
mod net_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod peers_tests;
#[cfg(test)]
mod release_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod sendfile_tests;
#[cfg(test)]
mod streams_tests;
#[cfg(test)]
mod tail_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unnamed_tests;
#[cfg(test)]
mod unsent_tests;
#[cfg(test)]
mod watch_tests;
