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
mod release;
mod session;
mod sink;
mod stats;
mod timers;
mod unsent;

use std::collections::{BTreeMap, HashMap, VecDeque};

use cirron_common::ConnInfo;
use cirron_common::record::{close, evidence, source};

use crate::exchange::{CloseCause, Protocol};
use crate::id::{Id, IdSource};
use crate::record::{Body, Head, Record};
use crate::scope::{Life, Mark, Row, Span, Store, Watched};
use crate::time::{MS, MonoNs};

use budget::Budget;
use conn::{Conn, GaveUp, Shared, Slot};
use session::Sessions;
pub use session::{CHUNK_TIMING, WANTED_ENV};
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
    /// Write `chunk_ms` points for every process, whatever its own `CONFIG` says.
    pub chunk_timing: bool,
    /// Bytes that may be held in sum; `None`: [`crate::limits::DEFAULT_MAX_MEMORY_BYTES`].
    pub max_memory_bytes: Option<usize>,
}

/// What the shell knows of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process id, as the kernel side gives it.
    pub tgid: u32,
    /// Named by the user: its session opens at once, not with its first exchange.
    pub explicit: bool,
    /// Variables of its environment that concern us: those of [`WANTED_ENV`].
    pub env: BTreeMap<String, String>,
    /// Base name of its executable, where readable.
    pub exe: Option<String>,
    /// TLS libraries in it that cannot be read.
    pub blind: Vec<String>,
}

impl ProcessFacts {
    /// Bytes of its texts, about.
    fn held_bytes(&self) -> usize {
        let env = self
            .env
            .iter()
            .map(|(name, value)| name.len() + value.len());
        let blind = self.blind.iter().map(String::len);
        env.chain(blind)
            .chain(self.exe.as_ref().map(String::len))
            .sum()
    }
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
    /// The bytes of this connection are of no use: the kernel side may leave them alone.
    Mute {
        /// Socket inode.
        conn: u64,
        /// Its generation.
        epoch: u64,
    },
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
                sessions: Sessions::new(config.chunk_timing),
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
                        let conn = Conn::new(info, head.tgid, head.source);
                        self.begin(key, conn, &head);
                    }
                }
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
            Body::Close { why } => self.close(key, why, ts),
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
                    _ => "call",
                };
                self.link(key, link.socket, &link.info, evidence);
            }
            Body::Exit => {
                self.end_with_process(|c| c.tgid == head.tgid, ts);
                self.shared
                    .sessions
                    .exits(head.tgid, ts, ts.plus(SESSION_LINGER_NS));
            }
            Body::Release => self.release(head.tgid, ts),
            // The shell follows these; to the core a child is a process like any other.
            Body::Fork { child: _ } | Body::Mmap => {}
            // The objects of its libraries went with its memory, and nothing frees them.
            Body::Exec => {
                self.shared.sessions.execs(head.tgid);
                let its = |c: &Conn| c.tgid == head.tgid && c.is_open_object();
                self.end_with_process(its, ts);
            }
        }
    }

    /// Ends connections whose process has ended, or has become another program.
    fn end_with_process(&mut self, which: impl Fn(&Conn) -> bool, ts: MonoNs) {
        let its = |(_, conn): &(&Key, &mut Box<Conn>)| which(conn);
        let mut keys = Vec::new();
        for (key, conn) in self.conns.iter_mut().filter(its) {
            conn.end_with_process(ts);
            keys.push(*key);
        }
        keys.into_iter().for_each(|key| self.after(key));
    }

    /// Connections that are known.
    pub fn open_connections(&self) -> usize {
        self.conns.len()
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

    /// Sockets that a process used last, and whose end is not known, but for that process's.
    pub fn sockets_of(&self, tgid: u32) -> impl Iterator<Item = (u64, u64)> {
        let its = self.conns.iter().filter(move |(_, c)| c.ends_with(tgid));
        its.map(|(key, _)| *key)
    }

    /// Facts of a process; before the first record that names it. Where they are given again, they hold from then on;
    /// its session has them too, unless it was opened for a program that called exec since.
    pub fn handle_process(&mut self, facts: ProcessFacts) {
        let now = self.now;
        let Shared {
            sessions,
            store,
            outputs,
            stats,
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
        self.timers.first().into_iter().chain(sessions).min()
    }

    /// Whether outputs are wanted that cost no line of the spool.
    pub fn watch(&mut self, watched: bool) {
        self.shared.store.watch(watched);
    }

    /// What is known of an open scope now. From here on `Changed` is told of it again.
    pub fn row(&mut self, scope: Id) -> Option<Row> {
        self.shared.store.row(scope)
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.shared.outputs.pop_front()
    }

    /// The end: open exchanges close as partial, sessions close.
    pub fn handle_shutdown(&mut self, now: MonoNs) {
        self.handle_timeout(now);
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
        let Shared {
            sessions,
            outputs,
            store,
            ..
        } = &mut self.shared;
        sessions.close_all(now, store, outputs);
        self.budget.set_sessions(self.shared.sessions.held_bytes());
    }

    /// Counts.
    pub fn stats(&self) -> EngineStats {
        self.shared.stats
    }

    /// The most that connections and their scopes held at once, bytes.
    pub fn peak_held_bytes(&self) -> usize {
        self.budget.peak()
    }

    /// Bytes that connections and their scopes hold, about.
    pub fn held_bytes(&self) -> usize {
        self.budget.total()
    }

    fn apply_sent(&mut self, key: Key, upto: u64, at: Option<MonoNs>, ts: MonoNs) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.handle_sent(upto, at, ts, &mut self.shared);
            self.after(key);
        }
    }

    /// A connection is seen for the first time. What stood in its place before has ended.
    fn begin(&mut self, key: Key, mut conn: Conn, head: &Head) {
        self.shared.count_connection(head.source, head.tgid);
        // Processes have objects at the same addresses.
        let process = if conn.is_socket() { 0 } else { head.tgid };
        conn.slot = (key.0, process);
        let before = self.newest.insert(conn.slot, key);
        self.conns.insert(key, Box::new(conn));
        if let Some(before) = before.filter(|before| *before != key) {
            self.close(before, close::LOST, head.ts);
        }
    }

    /// An end was told of the socket or object `key`.
    fn close(&mut self, key: Key, why: u64, ts: MonoNs) {
        self.close_one(key, why, ts);
        // What the socket's end tells, the TLS object's may never: who closed, and how.
        if let Some(object) = self.links.get(&key).copied() {
            self.close_one(object, why, ts);
        }
    }

    fn close_one(&mut self, key: Key, why: u64, ts: MonoNs) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.handle_close_record(why, ts, &mut self.shared);
            self.after(key);
        }
    }

    /// A connection is over, or is not to be known any more.
    fn forget(&mut self, key: Key) {
        if let Some(conn) = self.conns.remove(&key) {
            self.shared.count_end(&conn);
            self.budget.set(key, conn.budgeted, None);
            if self.newest.get(&conn.slot) == Some(&key) {
                self.newest.remove(&conn.slot);
            }
            if let Some(socket) = conn.socket {
                self.links.remove(&socket);
            }
        }
        self.timers.set(key, None);
    }

    /// The least useful give up, until all hold no more than they may.
    fn keep_within_budget(&mut self) {
        self.budget.set_sessions(self.shared.sessions.held_bytes());
        while let Some(key) = self.budget.too_much() {
            let Some(conn) = self.conns.get_mut(&key) else {
                return;
            };
            match conn.give_up(self.now, &mut self.shared) {
                GaveUp::Bodies(bodies) => self.shared.stats.given_up_bodies += bodies,
                GaveUp::Connection => {
                    self.shared.stats.given_up_connections += 1;
                    self.shared.mute(key);
                }
                GaveUp::Nothing => {
                    self.shared.stats.forgotten_connections += 1;
                    self.forget(key);
                    continue;
                }
            }
            self.account(key);
        }
    }

    fn account(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(&key) {
            let share = Some(conn.share());
            self.budget.set(key, conn.budgeted, share);
            conn.budgeted = share;
        }
    }

    /// The TLS object `key` uses `socket`, whose bytes are ciphertext.
    fn link(&mut self, key: Key, socket: Key, info: &ConnInfo, evidence: &'static str) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.take_addresses(info, evidence, &mut self.shared);
            let unlinked = conn.socket.is_none();
            let tgid = conn.tgid;
            self.shared.stats.tls_linked += u64::from(unlinked);
            if let Some(old) = conn.socket.replace(socket) {
                self.links.remove(&old);
            }
            let first = self.links.insert(socket, key).is_none();
            // Its handshake went by before: it was taken for one that nobody reads.
            let seen = self.conns.get(&socket).is_some_and(|c| c.is_muted_tls());
            self.shared.stats.tls_sockets -= u64::from(first && seen);
            let sessions = &mut self.shared.sessions;
            sessions.tls(tgid, -i64::from(first && seen), -i64::from(unlinked));
        }
    }

    /// Keeps the time-outs true after a connection was touched, and mutes what is of no use.
    fn after(&mut self, key: (u64, u64)) {
        let Some(conn) = self.conns.get_mut(&key) else {
            return;
        };
        self.timers.set(key, conn.poll_timeout());
        self.account(key);
        self.mute(key);
        self.keep_within_budget();
    }

    /// The kernel side need not copy the bytes of a connection that is not read.
    fn mute(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(&key) else {
            return;
        };
        if let Some(protocol) = conn.turned_opaque() {
            match protocol {
                Protocol::Tls => {
                    self.shared.stats.tls_sockets += 1;
                    self.shared.sessions.tls(conn.tgid, 1, 0);
                }
                Protocol::Unknown
                | Protocol::Http1
                | Protocol::Http2
                | Protocol::WebSocket
                | Protocol::Opaque => {
                    self.shared.stats.opaque_connections += 1;
                }
            }
            self.shared.mute(key);
        }
    }
}

impl Shared {
    /// Hands on what became of scopes. The session of what is written is opened first.
    fn take_lives(&mut self) {
        while let Some(life) = self.store.next_life() {
            let output = match life {
                Life::Watched(life) => Output::Watched(life),
                Life::Shown(mut span) => {
                    self.enter_session(&mut span);
                    Output::Open(span)
                }
                Life::Closed {
                    mut span,
                    marks,
                    facts,
                } => {
                    self.enter_session(&mut span);
                    self.stats.take(facts);
                    Output::Scope { span, marks }
                }
            };
            self.outputs.push_back(output);
        }
    }

    /// What is part of no other scope is part of its process's session.
    fn enter_session(&mut self, span: &mut Span) {
        let Shared {
            store,
            outputs,
            sessions,
            ..
        } = self;
        let session = sessions.open(span.pid, span.start, store, outputs);
        span.parent_id.get_or_insert(session);
    }

    fn count_connection(&mut self, of: u8, tgid: u32) {
        self.stats.connections += 1;
        if of == source::TLS {
            self.stats.tls_objects += 1;
            self.sessions.tls(tgid, 0, 1);
        }
    }

    fn mute(&mut self, (conn, epoch): Key) {
        self.outputs.push_back(Output::Mute { conn, epoch });
    }

    fn count_end(&mut self, conn: &Conn) {
        self.stats.passed_over_bytes += conn.passed_over();
        if conn.is_silent_tls() {
            self.stats.tls_silent += 1;
            self.sessions.silent_tls(conn.tgid);
        }
    }
}

/// What the end that a record names means for the connection. `None`: no end.
fn cause_of(why: u64) -> Option<CloseCause> {
    match why {
        close::LOCAL_CLOSE | close::FD_CLOSED => Some(CloseCause::LocalClose),
        close::PEER_RESET => Some(CloseCause::PeerReset),
        close::NET_ERROR => Some(CloseCause::NetError),
        close::LOST | close::EVICTED => Some(CloseCause::Untold),
        _ => None,
    }
}

#[cfg(test)]
mod ends_tests;
#[cfg(test)]
mod held_tests;
#[cfg(test)]
mod lost_ends_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod release_tests;
#[cfg(test)]
mod sendfile_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unnamed_tests;
#[cfg(test)]
mod unsent_tests;
#[cfg(test)]
mod watch_tests;
