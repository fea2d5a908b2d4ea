//! One connection that began with TLS: kept back until its secrets are found, then opened.
//!
//! ```text
//! KEPT --bound--> OPEN(n) --hole of unknown length--> OPEN(n + 1), joined late
//!   | cannot be read        | nothing of it is read any more
//!   v                       v
//! AS IT CAME: the records that were kept, and all that follows
//! ```

use cirron_common::conn::role;
use cirron_common::record::{close, evidence, flag, source};
use cirron_common::{ConnInfo, conn::Positions};
use cirron_core::record::{Body, Data, Direction, Head, Link, Record};
use cirron_core::time::{MS, MonoNs};
use cirron_tls::{Connection, Dir, MAX_HELD_BYTES, Pool, Sink, Verdict};

use super::order::Order;
use super::out::Out;
use super::{Key, UnsealStats, object_on};

/// Bytes of a connection's records that are kept until it is known whether it can be read: what waits for a secret in both
/// directions, with headers. Past it the last are a hole where the connection is given back.
const MAX_KEPT_BYTES: usize = 4 * MAX_HELD_BYTES;

/// How long it is kept back where ciphertext waits for a secret. A library announces its secrets before it uses them; of one
/// that is not the library of this connection none will come.
const MAX_WAIT_NS: u64 = 1_000 * MS;

/// What is known of the record that completed a piece of plaintext.
#[derive(Clone, Copy, Debug)]
struct Mark {
    head: Head,
    flags: u8,
    told: u32,
    slack_us: u16,
}

impl Mark {
    fn of_record(head: &Head, data: &Data<'_>) -> Mark {
        Mark {
            head: *head,
            flags: data.flags,
            told: data.told,
            slack_us: data.slack_us,
        }
    }
}

/// See the module.
pub struct Conn {
    tgid: u32,
    tls: Connection<Mark>,
    inbound: Order,
    outbound: Order,
    /// Its records, while it is kept back: as they came, in case that it cannot be read.
    kept: Option<Out>,
    /// Since when it has had ciphertext that no secret opens.
    waits_since: Option<MonoNs>,
    last: Option<Mark>,
    object: Object,
    left: Option<Left>,
}

/// Why no more of a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing of it was: it goes on as it comes.
    GivenBack,
    /// A part of it was: what follows is ciphertext, and nobody's.
    Silent,
}

/// The object that the engine sees.
struct Object {
    socket: Key,
    /// Which it is of the objects on this socket.
    position: u32,
    /// Of the socket.
    info: ConnInfo,
    role: u8,
    /// It was told of.
    is_open: bool,
    at: Positions,
    /// Plaintext that one record completed, and is not told yet.
    pending: Option<(Direction, Mark)>,
    bytes: Vec<u8>,
    stats: UnsealStats,
}

impl Conn {
    /// On the socket `key`; its first record went in the direction `first`.
    pub fn new(key: Key, tgid: u32, first: Direction, info: ConnInfo) -> Conn {
        Conn {
            tgid,
            tls: Connection::new(),
            inbound: Order::default(),
            outbound: Order::default(),
            kept: Some(Out::default()),
            waits_since: None,
            last: None,
            object: Object {
                socket: key,
                position: 0,
                info,
                // A client speaks first.
                role: match first {
                    Direction::Inbound => role::ACCEPTED,
                    Direction::Outbound => role::CONNECTED,
                },
                is_open: false,
                at: Positions::START,
                pending: None,
                bytes: Vec::new(),
                stats: UnsealStats::default(),
            },
            left: None,
        }
    }

    /// The process whose secrets it waits for.
    pub fn tgid(&self) -> u32 {
        self.tgid
    }

    /// A secret, or time, may let it go on.
    pub fn waits(&self) -> bool {
        self.tls.waits() || self.inbound.is_holding() || self.outbound.is_holding()
    }

    /// Whether no more of it is opened.
    pub fn left(&self) -> Option<Left> {
        self.left
    }

    /// What it waits for has not come for too long.
    pub fn is_due(&self, now: MonoNs) -> bool {
        self.inbound.is_stale(now) || self.outbound.is_stale(now) || self.is_hopeless(now)
    }

    fn is_hopeless(&self, now: MonoNs) -> bool {
        let since = self.waits_since.filter(|_| self.kept.is_some());
        since.is_some_and(|since| now.since(since) > MAX_WAIT_NS)
    }

    /// A record of its bytes.
    pub fn take(
        &mut self,
        record: &[u8],
        head: &Head,
        data: &Data<'_>,
        pool: &mut Pool,
        out: &mut Out,
        stats: &mut UnsealStats,
    ) {
        if let Some(kept) = &mut self.kept
            && kept.len_bytes() + record.len() <= MAX_KEPT_BYTES
        {
            kept.pass(record);
        }
        let order = self.order(data.direction);
        if order.take(data.pos, data.len, head.ts, record) {
            self.read(head, data, pool, out);
            self.take_held(data.direction, None, pool, out);
        } else {
            self.take_held(data.direction, Some(head.ts), pool, out);
        }
        self.settle(out, stats);
    }

    /// Every record stamped before `now` was taken.
    pub fn take_time(
        &mut self,
        now: MonoNs,
        pool: &mut Pool,
        out: &mut Out,
        stats: &mut UnsealStats,
    ) {
        for direction in [Direction::Inbound, Direction::Outbound] {
            self.take_held(direction, Some(now), pool, out);
        }
        self.settle(out, stats);
        if self.is_hopeless(now) && self.left.is_none() {
            self.give_back(out, stats);
        }
    }

    /// A secret came into its process's pool.
    pub fn secrets_came(&mut self, pool: &mut Pool, out: &mut Out, stats: &mut UnsealStats) {
        self.object
            .within(out, |sink| self.tls.secrets_came(pool, sink));
        self.settle(out, stats);
    }

    /// Nothing more comes.
    pub fn end(&mut self, pool: &mut Pool, out: &mut Out, stats: &mut UnsealStats) {
        let end = MonoNs(u64::MAX);
        for direction in [Direction::Inbound, Direction::Outbound] {
            self.take_held(direction, Some(end), pool, out);
        }
        if let Some(mark) = self.last {
            self.object
                .within(out, |sink| self.tls.end(mark, pool, sink));
        }
        if !self.tls.facts().is_bound && self.tls.verdict().is_none() {
            self.give_back(out, stats);
        }
        self.settle(out, stats);
    }

    fn order(&mut self, direction: Direction) -> &mut Order {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }

    fn take_held(
        &mut self,
        direction: Direction,
        now: Option<MonoNs>,
        pool: &mut Pool,
        out: &mut Out,
    ) {
        while let Some(record) = self.order(direction).pop(now) {
            if let Ok(Record {
                head,
                body: Body::Data(data),
            }) = Record::decode(&record)
            {
                self.read(&head, &data, pool, out);
            }
        }
    }

    /// The next record of a direction.
    fn read(&mut self, head: &Head, data: &Data<'_>, pool: &mut Pool, out: &mut Out) {
        let mark = Mark::of_record(head, data);
        self.last = Some(mark);
        let dir = match data.direction {
            Direction::Inbound => Dir::Received,
            Direction::Outbound => Dir::Sent,
        };
        let Conn { tls, object, .. } = self;
        object.within(out, |sink| {
            if !data.bytes.is_empty() {
                tls.data(dir, data.pos, data.bytes, mark, pool, sink);
            }
            let captured = data.bytes.len() as u64;
            if captured < data.len {
                let at = data.pos.saturating_add(captured);
                tls.gap(dir, at, data.len - captured, mark, pool, sink);
            }
        });
    }

    /// What the step came to.
    fn settle(&mut self, out: &mut Out, stats: &mut UnsealStats) {
        let is_bound = self.tls.facts().is_bound;
        if self.waits_since.is_none() && self.tls.waits() {
            self.waits_since = self.last.map(|mark| mark.head.ts);
        }
        if is_bound && self.kept.take().is_some() {
            stats.bound += 1;
            // Also where no plaintext comes: a connection that only shook hands counts as one.
            if let Some(mark) = self.last {
                self.object.open(&mark, out);
            }
        }
        if self.tls.verdict().is_some() && self.left.is_none() {
            match is_bound {
                true => self.left = Some(Left::Silent),
                false => self.give_back(out, stats),
            }
        }
        let of_object = std::mem::take(&mut self.object.stats);
        stats.plaintext_bytes += of_object.plaintext_bytes;
        stats.holes += of_object.holes;
    }

    /// It cannot be read: it goes on as it came.
    fn give_back(&mut self, out: &mut Out, stats: &mut UnsealStats) {
        stats.given_up += 1;
        self.left = Some(Left::GivenBack);
        for record in self.kept.take().iter().flat_map(Out::records) {
            out.pass(record);
        }
    }
}

impl Object {
    /// Lets `work` give plaintext, and tells all of it.
    fn within(&mut self, out: &mut Out, work: impl FnOnce(&mut dyn Sink<Mark>)) {
        let mut teller = Teller { object: self, out };
        work(&mut teller);
        teller.flush();
    }

    fn head(&self, mark: &Mark) -> Head {
        Head {
            source: source::TLS,
            conn: object_on(self.socket.0, self.position),
            epoch: self.socket.1,
            ..mark.head
        }
    }

    /// Tells of it, once.
    fn open(&mut self, mark: &Mark, out: &mut Out) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        let info = ConnInfo {
            role: self.role,
            late: u8::from(self.position > 0),
            ..ConnInfo::default()
        };
        let head = self.head(mark);
        // What ran then did not begin it.
        let nobody = Head {
            context: 0,
            version: 0,
            ..head
        };
        out.tell(nobody, Body::Open(info));
        let link = Link {
            socket: self.socket,
            evidence: evidence::SECRET,
            info: self.info,
        };
        out.tell(nobody, Body::Link(link));
    }

    /// What follows is of another object: how much plaintext is missing nobody knows.
    fn begin_another(&mut self, mark: &Mark, out: &mut Out) {
        if self.is_open {
            let body = Body::Close {
                why: close::LOST,
                at: None,
            };
            out.tell(self.head(mark), body);
        }
        self.position += 1;
        self.is_open = false;
        self.at = Positions::START;
    }
}

/// Takes plaintext and makes records of it.
struct Teller<'a> {
    object: &'a mut Object,
    out: &'a mut Out,
}

impl Teller<'_> {
    fn flush(&mut self) {
        let Some((direction, mark)) = self.object.pending.take() else {
            return;
        };
        let bytes = std::mem::take(&mut self.object.bytes);
        self.tell(direction, &mark, bytes.len() as u64, &bytes);
        self.object.bytes = bytes;
        self.object.bytes.clear();
    }

    fn tell(&mut self, direction: Direction, mark: &Mark, len: u64, bytes: &[u8]) {
        let Object { at, .. } = self.object;
        let pos = match direction {
            Direction::Inbound => &mut at.inbound,
            Direction::Outbound => &mut at.outbound,
        };
        let begin = *pos;
        *pos += len;
        let told = match (direction, mark.flags & flag::HELD) {
            // What of a write is not sent is ciphertext: all of it is held.
            (Direction::Outbound, flag::HELD) => begin as u32,
            _ => mark.told,
        };
        let data = Data {
            pos: begin,
            len,
            direction,
            // Of the ciphertext alone.
            flags: mark.flags & !(flag::BYPASS | flag::FAULT | flag::OVER_LIMIT),
            told,
            slack_us: mark.slack_us,
            bytes,
        };
        self.out.tell(self.object.head(mark), Body::Data(data));
    }
}

fn direction_of(dir: Dir) -> Direction {
    match dir {
        Dir::Sent => Direction::Outbound,
        Dir::Received => Direction::Inbound,
    }
}

impl Sink<Mark> for Teller<'_> {
    fn plaintext(&mut self, dir: Dir, mark: Mark, bytes: &[u8]) {
        self.object.open(&mark, self.out);
        self.object.stats.plaintext_bytes += bytes.len() as u64;
        let direction = direction_of(dir);
        let same = self.object.pending.as_ref().is_some_and(|(d, m)| {
            *d == direction && m.head.ts == mark.head.ts && m.head.tid == mark.head.tid
        });
        if !same {
            self.flush();
            self.object.pending = Some((direction, mark));
        }
        self.object.bytes.extend_from_slice(bytes);
    }

    fn gap(&mut self, dir: Dir, mark: Mark, len: Option<u64>) {
        self.flush();
        self.object.stats.holes += 1;
        match len {
            Some(0) => {}
            Some(len) => {
                self.object.open(&mark, self.out);
                self.tell(direction_of(dir), &mark, len, &[]);
            }
            None => self.object.begin_another(&mark, self.out),
        }
    }

    fn close_notify(&mut self, dir: Dir, mark: Mark) {
        self.flush();
        if dir == Dir::Sent && self.object.is_open {
            let body = Body::Close {
                why: close::LOCAL_SHUT_WRITE,
                at: Some(self.object.at),
            };
            self.out.tell(self.object.head(&mark), body);
        }
    }

    fn verdict(&mut self, _: Verdict) {
        self.flush();
    }
}
