//! TLS connections by their secrets: what came as ciphertext of a socket goes on as plaintext inside TLS.
//!
//! Stands on the core thread between the ring and all that reads records: engine and recording get plaintext, and neither
//! ever gets a secret. A library announces its secrets ([`crate::probes::locate::labels`]); the socket's bytes were captured
//! anyway; [`cirron_tls`] finds which secrets are whose, proven by a tag, and opens them.
//!
//! ```text
//! SECRET ---> the process's pool ---------------.
//! OPEN -----> addresses are kept                | tries, tag
//! DATA -----> first bytes are a ClientHello? ---+--yes--> Conn: kept back --bound--> OPEN, LINK, DATA of an object
//!               | no                                        | cannot be read
//!               v                                           v
//!             as it came                                  as it came, from its first record on
//! ```
//! The engine knows what results as an object of a TLS library, linked to its socket: all that holds for those holds for it.
//! Its key is the socket's with [`OBJECT`] in it. It promises that a connection is given either as it came or opened, never
//! both; that times, threads and flags are those of the record that completed what was opened; and that a hole of which
//! the length is not known ends the object, so that what follows is of another, joined late.
//!
//! It does not look at plaintext. Connections older than the attach, and those that do not begin with TLS, it leaves alone.

mod conn;
mod order;
mod out;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use cirron_common::ConnInfo;
use cirron_common::record::{close, source};
use cirron_core::record::{Body, Direction, Record, Secret};
use cirron_core::time::{MS, MonoNs};
use cirron_tls::{Label, Learned, Pool, begins_tls};

use self::conn::{Conn, Left};
pub use self::out::Out;

/// A connection's number in the records, and its generation.
pub type Key = (u64, u64);

/// Set in the number of a connection that was opened: no object of a library lies at such an address. Its lower half is the
/// socket's, which has no more bits (`get_next_ino`); between them is which of its objects it is.
const OBJECT: u64 = 1 << 63;
/// Bits of a socket's number.
const SOCKET: u64 = u32::MAX as u64;

/// The socket of a connection, where it is one of those that were opened here.
pub fn socket_of(conn: u64) -> Option<u64> {
    (conn & OBJECT != 0).then_some(conn & SOCKET)
}

/// The number of the object at `position` on a socket.
fn object_on(socket: u64, position: u32) -> u64 {
    OBJECT | u64::from(position & (u32::MAX >> 1)) << 32 | socket
}

/// Connections that are opened at once. Each has some 5 kB, all together 40 MB. Past it one goes on as it came, counted.
const MAX_CONNS: usize = 8_192;
/// Addresses of connections on which nothing has passed yet. Past it the oldest are forgotten: what begins there goes on as
/// it came.
const MAX_NEW: usize = 16_384;
/// Processes whose secrets are kept: as many as the kernel side has targets.
const MAX_POOLS: usize = cirron_common::maps::MAX_TARGETS as usize;
/// Time behind a connection's end, or its process's, in which its last records may come.
const LINGER_NS: u64 = 500 * MS;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsealStats {
    /// Secrets that libraries announced.
    pub secrets: u64,
    /// Connections that began with TLS, of processes whose libraries announce.
    pub connections: u64,
    /// Those whose secrets were found.
    pub bound: u64,
    /// Those that cannot be opened, and went on as they came.
    pub given_up: u64,
    /// Those that found no room.
    pub crowded: u64,
    /// Bytes of plaintext.
    pub plaintext_bytes: u64,
    /// Holes in the plaintext.
    pub holes: u64,
    /// Bytes of ciphertext behind what could be opened.
    pub unread_bytes: u64,
}

impl UnsealStats {
    /// Each by its name.
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        let UnsealStats {
            secrets,
            connections,
            bound,
            given_up,
            crowded,
            plaintext_bytes,
            holes,
            unread_bytes,
        } = *self;
        BTreeMap::from([
            ("secrets", secrets),
            ("connections", connections),
            ("bound_connections", bound),
            ("given_up_connections", given_up),
            ("crowded_connections", crowded),
            ("plaintext_bytes", plaintext_bytes),
            ("holes", holes),
            ("unread_bytes", unread_bytes),
        ])
    }
}

/// See the module.
#[derive(Default)]
pub struct Unseal {
    pools: HashMap<u32, Pool>,
    conns: HashMap<Key, Conn>,
    /// Connections of a process that wait for its secrets.
    waiting: HashMap<u32, HashSet<Key>>,
    /// Connections that nothing has passed on.
    new: HashMap<Key, ConnInfo>,
    new_order: VecDeque<Key>,
    /// Connections of which no more is read, until they end: their bytes are ciphertext, and nobody's.
    silent: HashSet<Key>,
    /// Connections, and pools, that are over then.
    due: VecDeque<(MonoNs, Over)>,
    stats: UnsealStats,
    /// A secret was taken since that was asked for.
    has_secret: bool,
}

#[derive(Clone, Copy, Debug)]
enum Over {
    Conn(Key),
    Process(u32),
}

impl Unseal {
    /// Counts so far.
    pub fn stats(&self) -> UnsealStats {
        self.stats
    }

    /// Whether a secret was taken since this was last asked: the batch that it came in is to be wiped.
    pub fn take_has_secret(&mut self) -> bool {
        std::mem::take(&mut self.has_secret)
    }

    /// Takes a record of the kernel side. True: what is to be read instead is in `out`; else it is to be read as it came.
    /// `announces`: whether a library of that process announces its secrets.
    pub fn take(
        &mut self,
        record: &[u8],
        decoded: &Record<'_>,
        announces: impl Fn(u32) -> bool,
        out: &mut Out,
    ) -> bool {
        let Record { head, body } = decoded;
        let key = head.key();
        match body {
            Body::Secret(secret) => {
                self.learn(head.tgid, secret, out);
                return true;
            }
            Body::Open(info)
                if head.source == source::SOCKET && info.late == 0 && announces(head.tgid) =>
            {
                self.note_new(key, *info);
            }
            Body::Data(data) if head.source == source::SOCKET => {
                // Most records are of others, where any is ours.
                if !self.new.is_empty()
                    && let Some(info) = self.new.remove(&key)
                    && data.pos == 0
                    && begins_tls(data.bytes) != Some(false)
                    && !data.bytes.is_empty()
                {
                    self.begin(key, head.tgid, data.direction, info);
                }
                if self.conns.contains_key(&key) {
                    self.step(key, |conn, pool, stats| {
                        conn.take(record, head, data, pool, out, stats);
                    });
                    return true;
                }
                if self.silent.contains(&key) {
                    self.stats.unread_bytes += data.len;
                    return true;
                }
            }
            Body::Close { why, .. } => {
                self.new.remove(&key);
                if self.conns.contains_key(&key) || self.silent.contains(&key) {
                    if !matches!(
                        *why,
                        close::READ_EOF | close::PEER_FIN | close::LOCAL_SHUT_WRITE | close::HELD
                    ) {
                        self.ended(key, head.ts);
                    }
                    // Its positions are those of ciphertext, which nobody was told of.
                    let body = Body::Close {
                        why: *why,
                        at: None,
                    };
                    out.tell(*head, body);
                    return true;
                }
            }
            // The next program's secrets are others.
            Body::Exec => self.end_process(head.tgid),
            Body::Exit | Body::Release => self.process_ends(head.tgid, head.ts),
            Body::Data(_)
            | Body::Open(_)
            | Body::Link(_)
            | Body::Sent { .. }
            | Body::Tuned
            | Body::ContextMade { .. }
            | Body::ContextEnded { .. }
            | Body::Fork { .. }
            | Body::ThreadExit
            | Body::Listen
            | Body::Mmap
            | Body::Spec(_)
            | Body::Hit(_) => {}
        }
        false
    }

    /// A connection has ended; its last records may still come.
    pub fn ended(&mut self, key: Key, ts: MonoNs) {
        if self.conns.contains_key(&key) || self.silent.contains(&key) {
            self.due.push_back((ts.plus(LINGER_NS), Over::Conn(key)));
        }
    }

    /// A process has ended, or is watched no more: its secrets are of no use soon.
    pub fn process_ends(&mut self, tgid: u32, ts: MonoNs) {
        if self.pools.contains_key(&tgid) {
            self.due
                .push_back((ts.plus(LINGER_NS), Over::Process(tgid)));
        }
    }

    /// Every record stamped before `now` was taken.
    pub fn take_time(&mut self, now: MonoNs, out: &mut Out) {
        while self.due.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, over)) = self.due.pop_front() else {
                break;
            };
            match over {
                Over::Conn(key) => {
                    self.step(key, |conn, pool, stats| conn.end(pool, out, stats));
                    self.silent.remove(&key);
                    self.forget(key);
                }
                Over::Process(tgid) => self.end_process(tgid),
            }
        }
        let due: Vec<Key> = self
            .waiting
            .values()
            .flatten()
            .filter(|key| self.conns.get(*key).is_some_and(|c| c.is_due(now)))
            .copied()
            .collect();
        for key in due {
            self.step(key, |conn, pool, stats| {
                conn.take_time(now, pool, out, stats);
            });
        }
    }

    /// Lets a connection go on, with the secrets of its process, and sees what has become of it.
    fn step(&mut self, key: Key, work: impl FnOnce(&mut Conn, &mut Pool, &mut UnsealStats)) {
        let Some(conn) = self.conns.get_mut(&key) else {
            return;
        };
        let tgid = conn.tgid();
        let pool = self.pools.entry(tgid).or_default();
        work(conn, pool, &mut self.stats);
        let waits = conn.waits();
        match conn.left() {
            None => self.note_waiting(tgid, key, waits),
            Some(left) => self.leave(key, left),
        }
    }

    /// Nothing more will come: what waits is given up.
    pub fn end(&mut self, out: &mut Out) {
        let mut conns: Vec<(Key, Conn)> = std::mem::take(&mut self.conns).into_iter().collect();
        conns.sort_unstable_by_key(|(key, _)| *key);
        for (_, mut conn) in conns {
            let pool = self.pools.entry(conn.tgid()).or_default();
            conn.end(pool, out, &mut self.stats);
        }
        self.pools.clear();
        self.waiting.clear();
    }

    /// Nobody wants the bytes of a connection: gives whose bytes the kernel side is to leave out.
    pub fn mute(&mut self, (conn, epoch): Key) -> Key {
        let Some(socket) = socket_of(conn) else {
            return (conn, epoch);
        };
        let socket = (socket, epoch);
        self.leave(socket, Left::Silent);
        socket
    }

    /// No more of a connection is opened.
    fn leave(&mut self, key: Key, left: Left) {
        self.forget(key);
        if left == Left::Silent && self.silent.len() < MAX_CONNS {
            self.silent.insert(key);
        }
    }

    fn end_process(&mut self, tgid: u32) {
        self.pools.remove(&tgid);
        // Others may go on with those that are bound.
        for key in self.waiting.remove(&tgid).into_iter().flatten() {
            self.stats.given_up += 1;
            self.forget(key);
        }
    }

    fn learn(&mut self, tgid: u32, secret: &Secret<'_>, out: &mut Out) {
        self.has_secret = true;
        let Some(label) = Label::from_name(secret.name) else {
            return;
        };
        if self.pools.len() >= MAX_POOLS && !self.pools.contains_key(&tgid) {
            return;
        }
        self.stats.secrets += 1;
        let pool = self.pools.entry(tgid).or_default();
        let is_new = pool.learn(Learned {
            object: secret.object,
            label,
            client_random: None,
            secret: secret.bytes,
        });
        if !is_new {
            return;
        }
        let waiting: Vec<Key> = self
            .waiting
            .get(&tgid)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        for key in waiting {
            self.step(key, |conn, pool, stats| conn.secrets_came(pool, out, stats));
        }
    }

    fn begin(&mut self, key: Key, tgid: u32, first: Direction, info: ConnInfo) {
        if self.conns.len() >= MAX_CONNS || key.0 > SOCKET {
            self.stats.crowded += 1;
            return;
        }
        self.stats.connections += 1;
        self.conns.insert(key, Conn::new(key, tgid, first, info));
    }

    fn note_new(&mut self, key: Key, info: ConnInfo) {
        if self.new.insert(key, info).is_none() {
            self.new_order.push_back(key);
        }
        while self.new_order.len() > MAX_NEW {
            if let Some(oldest) = self.new_order.pop_front() {
                self.new.remove(&oldest);
            }
        }
    }

    fn note_waiting(&mut self, tgid: u32, key: Key, waits: bool) {
        if waits {
            self.waiting.entry(tgid).or_default().insert(key);
        } else if let Some(waiting) = self.waiting.get_mut(&tgid) {
            waiting.remove(&key);
        }
    }

    fn forget(&mut self, key: Key) {
        let Some(conn) = self.conns.remove(&key) else {
            return;
        };
        let tgid = conn.tgid();
        self.note_waiting(tgid, key, false);
        // Of a process that is over, a connection of which another went on with.
        let is_empty = |pool: &Pool| pool.counts().learned == 0;
        if self.pools.get(&tgid).is_some_and(is_empty) {
            self.pools.remove(&tgid);
        }
    }
}

#[cfg(test)]
mod tests;
