//! Connections of a target as a client that carry no HTTP: what was done on them, by whom, in lengths and times.
//!
//! ```text
//!   Unknown --HTTP--> dropped                      (what was open is forgotten)
//!      | nothing that is read
//!      v
//!   Measured: of its records positions and lengths are read
//!      [idle] --write--> [asked] --read--> [answered] --QUIET_NS without a byte--> [idle]     the scope is written
//!                         |                  '--read, MAX_HALF_NS behind its first--> [idle]  the same; the rest is unasked
//!                         |--write, MAX_HALF_NS behind its first: the scope is written, another begins
//!                         ^  |write: the same turn     |
//!                         |  '-- of another: unknown   |
//!                         '---- write by the same, within MERGE_NS: the same scope
//!                                write by another, or later: the scope is written, another begins
//! ```
//! Stands beside the parser of a [`super::conn::Conn`], before the assemblers: it needs positions, lengths and directions of
//! records, and no order of bytes. A turn is the same however its bytes are cut into records. The one who wrote the first byte
//! is the one who asked, as of all calls ([`super::joins`]).
//!
//! A connection that was open before we looked is measured where the kernel knows that the target is its client; what it does
//! from the first whole turn on is what others do ([`late`]), and the parser goes on to look for HTTP, which may still come:
//!
//! ```text
//!   Unknown --a question and its answer, neither of HTTP--> Presumed --HTTP--> dropped
//!                                                              '---- nothing that is read, or what it speaks is certain --> Measured
//! ```
//! It promises no wrong parent. Where a second one writes before the first has been answered, one connection carries several
//! at once; from then on nothing on it has a parent that is known. So it is where what was written was lost. Bytes that are read
//! while nothing was asked (subscriptions) are in no scope, and counted. What may have begun before we looked says so, and is
//! nobody's.

mod late;
mod quota;

use cirron_common::conn::{ConnInfo, Positions};

use self::late::Late;
pub(super) use self::quota::NetQuotas;
use super::context::Mover;
use super::joins::Beginning;
use super::shared::Shared;
use crate::exchange::{Protocol, Role};
use crate::id::Id;
use crate::proto::database::{self, FIRST_BYTES};
use crate::record::{Data, Head};
use crate::scope::{Join, NetFigures, NetScope, Start, evidence};
use crate::stream::Direction;
use crate::time::{MS, MonoNs};

/// Silence behind an answer in which the same one may ask again, and it is one scope: a transaction's statements follow each
/// other in less, and what thinks for longer did two things.
const MERGE_NS: u64 = 10 * MS;
/// Length of a scope from which on the next turn begins another: what never pauses is written once a second.
const MAX_SCOPE_NS: u64 = 1_000 * MS;
/// Silence behind an answer that ends it, where nobody asks again: pauses inside of an answer, of a cursor say, are shorter.
const QUIET_NS: u64 = 1_000 * MS;
/// How long the bytes of one question, or of one answer, go on in one scope: a subscription has no end that anybody sees,
/// nor has a stream of logs, and its scope would be written with the connection's end. A result that takes longer is rare.
const MAX_HALF_NS: u64 = 60_000 * MS;
/// `cirron.net.tls` of a TLS library's object.
const PLAINTEXT: &str = "plaintext";
/// Bytes of an open scope in the store, about.
const OPEN_SCOPE_BYTES: usize = 2 * size_of::<NetScope>() + 256;

/// What a connection is, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    /// It was joined late, and what passed was no HTTP. That may still come.
    Presumed,
    Measured,
    /// It is the same as another connection, which is measured in its place.
    Elsewhere,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asker {
    parent: Option<Id>,
    /// Of Python's contexts, where the parent is known by it: each has a verdict of its own.
    context: Option<u64>,
}

/// What one does on the connection.
#[derive(Debug)]
struct Use {
    asker: Asker,
    /// `None`: there was no room for it.
    scope: Option<Id>,
    /// It may have begun before we looked.
    is_torn: bool,
    pid: u32,
    start: MonoNs,
    last: MonoNs,
    /// Nothing was read since the last write.
    is_asked: bool,
    /// First byte of the question or answer that goes on.
    half: MonoNs,
    turns: u64,
    figures: NetFigures,
}

/// How far one direction has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    next: u64,
    /// Bytes before that which did not come.
    missing: u64,
}

impl Progress {
    /// Bytes that are new of a record.
    fn advance(&mut self, pos: u64, len: u64) -> u64 {
        let end = pos.saturating_add(len);
        self.missing += pos.saturating_sub(self.next);
        let fresh = end.saturating_sub(self.next).min(len);
        // One that another has overtaken fills the hole.
        let late = (len - fresh).min(self.missing);
        self.missing -= late;
        self.next = self.next.max(end);
        fresh + late
    }
}

/// One connection that carries no HTTP, or may.
#[derive(Debug)]
pub(super) struct Net {
    state: State,
    inbound: Progress,
    outbound: Progress,
    /// First bytes of both directions.
    read: Vec<u8>,
    written: Vec<u8>,
    tls: Option<&'static str>,
    /// Of one that was open before we looked.
    late: Option<Late>,
    /// It carries several at once.
    is_shared: bool,
    /// Bytes that were read while nothing was asked.
    unasked: u64,
    /// Where it stood when it ended.
    at_end: Option<Positions>,
    open: Option<Use>,
    /// What may have begun before we looked, and is over: it waits until it is known that there is no HTTP.
    torn: Option<Use>,
}

impl Net {
    /// Of a connection that was seen from its beginning, or not; `is_object`: of a TLS library's object.
    pub(super) fn new(is_late: bool, is_object: bool) -> Net {
        Net {
            state: State::Unknown,
            inbound: Progress::default(),
            outbound: Progress::default(),
            read: Vec::new(),
            written: Vec::new(),
            tls: is_object.then_some(PLAINTEXT),
            late: is_late.then(Late::default),
            is_shared: false,
            unasked: 0,
            at_end: None,
            open: None,
            torn: None,
        }
    }

    /// It carries nothing that is read, and its lengths are wanted.
    pub(super) fn is_measured(&self) -> bool {
        match self.state {
            State::Unknown | State::Presumed => false,
            State::Measured | State::Elsewhere => true,
        }
    }

    /// It was joined late, and what it speaks is known by now.
    pub(super) fn is_certain(&self) -> bool {
        self.late
            .as_ref()
            .is_some_and(|late| late.protocol().is_some())
    }

    /// What is done on it is written.
    fn is_told(&self) -> bool {
        match self.state {
            State::Unknown | State::Elsewhere => false,
            State::Presumed | State::Measured => true,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let open = [&self.open, &self.torn].into_iter().flatten();
        let scopes = open.filter(|open| open.scope.is_some()).count() * OPEN_SCOPE_BYTES;
        size_of::<Net>() + self.read.capacity() + self.written.capacity() + scopes
    }

    /// When [`Net::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        let open = self.open.as_ref().filter(|open| !open.is_asked)?;
        self.is_told().then(|| open.last.plus(QUIET_NS))
    }

    /// Event time has come to `now`.
    pub(super) fn handle_timeout(&mut self, now: MonoNs, shared: &mut Shared) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.write(shared);
        }
    }

    /// A record of bytes.
    pub(super) fn handle(
        &mut self,
        head: &Head,
        data: &Data<'_>,
        conn: &ConnInfo,
        shared: &mut Shared,
    ) {
        if self.state == State::Elsewhere {
            return;
        }
        self.keep_first(data);
        match data.direction {
            Direction::Outbound => self.handle_write(head, data, conn, shared),
            Direction::Inbound => {
                let len = self.inbound.advance(data.pos, data.len);
                self.hear(data, shared);
                let is_told = self.is_told();
                let open = self.open.as_mut();
                if let Some(open) = open.filter(|open| is_told && open.is_long_answered(head.ts)) {
                    open.figures.goes_on = true;
                    self.write(shared);
                }
                match &mut self.open {
                    Some(open) => open.answer(head.ts, len),
                    None => self.note_unasked(len, shared),
                }
            }
        }
    }

    /// The answer may be what tells that it is no HTTP.
    fn hear(&mut self, data: &Data<'_>, shared: &mut Shared) {
        let Some(late) = &mut self.late else {
            return;
        };
        late.hears(data);
        if late.is_plain() && self.state == State::Unknown {
            self.state = State::Presumed;
            shared.stats.net_unasked_bytes += std::mem::take(&mut self.unasked);
            self.take_torn(shared);
        }
    }

    fn handle_write(&mut self, head: &Head, data: &Data<'_>, conn: &ConnInfo, shared: &mut Shared) {
        let len = self.outbound.advance(data.pos, data.len);
        let mover = Mover::new(head, data);
        let begins = self.open.as_ref().is_none_or(|open| !open.is_asked);
        if let Some(late) = self.late.as_mut().filter(|_| begins) {
            late.asks(data);
        }
        let (parent, join) = self.parent(head, mover, shared);
        let by_context = join == Join::Presumed(evidence::CONTEXT_DESCENT);
        let moment = mover.moment().filter(|_| by_context);
        let context = moment.and_then(|moment| shared.lineage.number(moment));
        let asker = Asker { parent, context };
        let ts = head.ts;
        let is_told = self.is_told();
        match &mut self.open {
            Some(open)
                if open.is_asked
                    && (open.asker != asker || !is_told || !open.is_long_asked(ts)) =>
            {
                if open.asker != asker {
                    self.is_shared = true;
                    open.give_up(evidence::MULTIPLEXED, shared);
                }
            }
            Some(open) if open.goes_on(asker, ts) => {
                open.is_asked = true;
                open.half = ts;
                open.turns += 1;
            }
            _ => {
                if let Some(open) = self.open.as_mut().filter(|open| open.is_asked) {
                    open.figures.goes_on = true;
                }
                self.write(shared);
                let is_torn = self.is_torn();
                let content = NetScope::new(ts, *conn, is_torn);
                let open = begin(head, asker, join, mover, content, shared);
                self.open = Some(Use { is_torn, ..open });
            }
        }
        if let Some(open) = &mut self.open {
            open.figures.sent += len;
            open.last = open.last.max(ts);
        }
    }

    /// What is written now may go on with what was before we looked.
    fn is_torn(&self) -> bool {
        self.late.as_ref().is_some_and(Late::is_torn)
    }

    /// What a write is part of, as far as is known.
    fn parent(&self, head: &Head, mover: Mover, shared: &mut Shared) -> (Option<Id>, Join) {
        let found = shared.parent(Beginning {
            role: Role::Client,
            late: self.is_torn(),
            ts: head.ts,
            pid: head.tgid,
            writer: Some(mover),
        });
        match found {
            (_, Join::Plain) => found,
            _ if self.is_shared => (None, Join::Unknown(evidence::MULTIPLEXED)),
            _ => found,
        }
    }

    fn keep_first(&mut self, data: &Data<'_>) {
        if self.late.is_some() {
            return;
        }
        let first = match data.direction {
            Direction::Inbound => &mut self.read,
            Direction::Outbound => &mut self.written,
        };
        let room = FIRST_BYTES.saturating_sub(first.len());
        if room > 0 && data.pos == first.len() as u64 {
            first.extend(data.bytes.iter().take(room));
        }
    }

    fn note_unasked(&mut self, len: u64, shared: &mut Shared) {
        match self.state {
            State::Presumed | State::Measured => shared.stats.net_unasked_bytes += len,
            State::Unknown | State::Elsewhere => self.unasked += len,
        }
    }

    /// What the parser found. False: it is nothing of ours.
    pub(super) fn learn(
        &mut self,
        protocol: Protocol,
        is_object: bool,
        pid: u32,
        shared: &mut Shared,
    ) -> bool {
        let is_tls = match protocol {
            Protocol::Unknown => return true,
            Protocol::Http1 | Protocol::Http2 | Protocol::WebSocket => {
                self.forget(shared);
                return false;
            }
            Protocol::Opaque => database::goes_on_in_tls(&self.written, &self.read),
            Protocol::Tls => true,
        };
        // The plaintext of an object may be this socket's, as long as it is not known which one that uses.
        if is_tls && !is_object && shared.sessions.has_tls_objects(pid) {
            self.forget(shared);
            return false;
        }
        self.state = State::Measured;
        shared.stats.net_unasked_bytes += std::mem::take(&mut self.unasked);
        self.tls = match (is_object, is_tls) {
            (true, _) => Some(PLAINTEXT),
            (false, true) => Some("ciphertext"),
            (false, false) => None,
        };
        self.take_torn(shared);
        true
    }

    /// An object of a TLS library uses this socket: its plaintext is measured in place of this.
    pub(super) fn leave_to_object(&mut self, shared: &mut Shared) {
        self.forget(shared);
        self.state = State::Elsewhere;
    }

    /// Nothing of what is open is written.
    pub(super) fn forget(&mut self, shared: &mut Shared) {
        for open in [self.open.take(), self.torn.take()] {
            if let Some(id) = open.and_then(|open| open.scope) {
                shared.store.forget(id);
                shared.take_lives();
            }
        }
    }

    /// The connection stood there at an end of it. Records of before may still come.
    pub(super) fn note_end(&mut self, at: Positions) {
        self.at_end = Some(at);
    }

    /// The connection is over, or is not known any more.
    pub(super) fn end(&mut self, shared: &mut Shared) {
        if let Some(at) = self.at_end {
            self.inbound.advance(at.inbound, 0);
            self.outbound.advance(at.outbound, 0);
        }
        self.write(shared);
        self.take_torn(shared);
    }

    /// What is open is over.
    fn write(&mut self, shared: &mut Shared) {
        let lost_written = std::mem::take(&mut self.outbound.missing);
        let lost = std::mem::take(&mut self.inbound.missing) + lost_written;
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.figures.lost = lost;
        if lost_written > 0 {
            open.give_up(evidence::RECORDS_LOST, shared);
        }
        if open.is_torn && self.state == State::Unknown {
            self.torn = Some(open);
        } else {
            self.close(&open, shared);
        }
    }

    /// It is told now what was done here: what may have begun before we looked waited for that.
    fn take_torn(&mut self, shared: &mut Shared) {
        if let Some(open) = self.torn.take() {
            self.close(&open, shared);
        }
    }

    /// Writes what is over, or counts that it is not written.
    fn close(&self, open: &Use, shared: &mut Shared) {
        let protocol = match &self.late {
            Some(late) => late.protocol(),
            None => database::protocol(&self.written, &self.read),
        };
        if self.is_told()
            && let Some(id) = open.scope
        {
            if let Some(scope) = shared.store.get_mut::<NetScope>(id) {
                scope.figures = open.figures;
                scope.protocol = protocol;
                scope.tls = self.tls;
            }
            shared.stats.net_scopes += 1;
            shared.store.close(id, open.last);
        } else {
            if let Some(id) = open.scope {
                shared.store.forget(id);
            }
            shared.leave_out_turns(open.pid, open.turns, &open.figures);
        }
        shared.take_lives();
    }
}

/// A turn begins that is no part of what is open.
fn begin(
    head: &Head,
    asker: Asker,
    join: Join,
    mover: Mover,
    content: NetScope,
    shared: &mut Shared,
) -> Use {
    let ts = head.ts;
    let scope = shared.nets.takes(head.tgid, asker.parent, ts).then(|| {
        let start = Start {
            parent: asker.parent,
            at: ts,
            pid: head.tgid,
            tid: head.tid,
            rank: shared.sessions.rank(head.tgid),
            evidence: evidence::BYTES,
            join,
        };
        let id = shared.store.open(start, Box::new(content));
        shared.note_call(id, join, Some(mover));
        shared.take_lives();
        id
    });
    Use {
        asker,
        scope,
        is_torn: false,
        pid: head.tgid,
        start: ts,
        last: ts,
        is_asked: true,
        half: ts,
        turns: 1,
        figures: NetFigures::default(),
    }
}

impl Use {
    /// Bytes were read.
    fn answer(&mut self, ts: MonoNs, len: u64) {
        self.figures.received += len;
        self.last = self.last.max(ts);
        if std::mem::replace(&mut self.is_asked, false) {
            self.half = ts;
            self.figures.round_trips += 1;
            self.figures.first_byte.get_or_insert(ts);
        }
    }

    /// What is read is of an answer that has gone on for too long.
    fn is_long_answered(&self, ts: MonoNs) -> bool {
        !self.is_asked && ts.since(self.half) >= MAX_HALF_NS
    }

    /// What is written is of a question that has gone on for too long.
    fn is_long_asked(&self, ts: MonoNs) -> bool {
        self.is_asked && ts.since(self.half) >= MAX_HALF_NS
    }

    /// A write behind an answer goes on with this.
    fn goes_on(&self, asker: Asker, ts: MonoNs) -> bool {
        let (quiet, all) = (ts.since(self.last), ts.since(self.start));
        !self.is_torn && self.asker == asker && quiet < MERGE_NS && all < MAX_SCOPE_NS
    }

    /// Whose it is, is not known.
    fn give_up(&mut self, why: &'static str, shared: &mut Shared) {
        self.asker = Asker {
            parent: None,
            context: None,
        };
        if let Some(id) = self.scope {
            shared.store.give_up_parent(id, why);
        }
    }
}
