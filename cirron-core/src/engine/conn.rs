//! One connection of the engine: two assemblers, a parser, and the scopes that are open on it.

use std::collections::BTreeMap;

use cirron_common::conn::{ConnInfo, role};
use cirron_common::record::{close, source};

use super::budget::{CONN_OVERHEAD_BYTES, Share, Usefulness};
use super::context::Mover;
use super::shared::Shared;
use super::sink::Sink;
use super::tail::Tail;
use super::unsent::Told;
use super::{EXIT_LINGER_NS, Key, LINGER_NS};
use crate::exchange::{CloseCause, ConnParser, ConnStart, ExchangeId, Protocol, Role};
use crate::id::Id;
use crate::record::{Data, Head};
use crate::scope::{ExchangeScope, Store};
use crate::stream::{Assembler, Direction, Holding, Piece};
use crate::time::MonoNs;

/// Takes what comes out of an assembler.
type PieceSink<'a> = dyn FnMut(Piece<'_>) + 'a;

/// Where one connection stands at a time: a socket's inode number, or the address of an object and the
/// process that it is of.
pub(super) type Slot = (u64, u32);

/// An end that was seen and not yet applied.
#[derive(Clone, Copy)]
struct Ending {
    due: MonoNs,
    ts: MonoNs,
    cause: CloseCause,
}

pub(super) struct Conn {
    /// Last process that used it.
    pub(super) tgid: u32,
    tid: u32,
    /// That process has ended, and somebody else holds the socket.
    orphaned: bool,
    /// Its bytes come from inside a TLS library.
    tls: bool,
    /// Stream bytes have passed, captured or not.
    has_moved: bool,
    tls_link: Option<&'static str>,
    /// The socket that a TLS object uses, where it was seen to.
    pub(super) socket: Option<Key>,
    info: ConnInfo,
    pub(super) inbound: Assembler,
    pub(super) outbound: Assembler,
    /// What the kernel has not sent of the outbound direction.
    pub(super) holding: Holding,
    /// What the kernel told of the last records.
    pub(super) told: Told,
    parser: ConnParser,
    /// The scopes of its open exchanges, which the store has.
    scopes: BTreeMap<ExchangeId, Id>,
    /// Bytes that the scopes hold.
    scope_bytes: usize,
    /// What the budget has for it.
    pub(super) budgeted: Option<Share>,
    ending: Option<Ending>,
    /// The peer's FIN came; the target shut its sending side.
    halves_ended: [bool; 2],
    /// What passed before an end that was told and has not come.
    pub(super) tail: Option<Box<Tail>>,
    /// Whose generations follow each other: those of a socket, or of an object of one process.
    pub(super) slot: Slot,
    pub(super) muted: bool,
    /// All connections held too much, and nothing of this one is read further.
    given_up: bool,
    /// The kernel side does not follow it any more.
    evicted: bool,
    /// An exchange of it was not written, for nothing named it.
    unnamed: bool,
}

/// What a connection gave up for the sake of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// Bodies only; the number of exchanges whose bodies they were.
    Bodies(u64),
    /// What was not complete of its heads, and all that follows.
    Connection,
    /// There was nothing more.
    Nothing,
}

impl Conn {
    /// `of`: one of `cirron_common::record::source`.
    pub(super) fn new(info: ConnInfo, tgid: u32, of: u8) -> Conn {
        let hint = match info.role {
            role::ACCEPTED => Some(Role::Server),
            role::CONNECTED => Some(Role::Client),
            _ => None,
        };
        Conn::with(
            info,
            tgid,
            Some(0),
            ConnStart {
                late: info.late != 0,
                role: hint,
            },
            of,
        )
    }

    /// A connection whose opening record was lost. Its positions begin where the kernel side began to follow it, as all do:
    /// what is before the first that comes is a hole.
    pub(super) fn unknown(tgid: u32, of: u8) -> Conn {
        Conn::with(
            ConnInfo::default(),
            tgid,
            Some(0),
            ConnStart {
                late: true,
                role: None,
            },
            of,
        )
    }

    fn with(info: ConnInfo, tgid: u32, pos: Option<u64>, start: ConnStart, of: u8) -> Conn {
        Conn {
            tgid,
            tid: tgid,
            orphaned: false,
            tls: of == source::TLS,
            has_moved: false,
            tls_link: None,
            socket: None,
            info,
            inbound: Assembler::new(pos),
            outbound: Assembler::new(pos),
            holding: Holding::default(),
            told: Told::default(),
            parser: ConnParser::new(start),
            scopes: BTreeMap::new(),
            scope_bytes: 0,
            budgeted: None,
            ending: None,
            halves_ended: [false; 2],
            tail: None,
            slot: (0, 0),
            muted: false,
            given_up: false,
            evicted: false,
            unnamed: false,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let order =
            self.inbound.held_bytes() + self.outbound.held_bytes() + self.holding.held_bytes();
        let own = size_of::<Conn>() + CONN_OVERHEAD_BYTES;
        own + order + self.parser.held_bytes() + self.scope_bytes
    }

    /// What it holds, and for what.
    pub(super) fn share(&self) -> Share {
        let usefulness = match self.parser.protocol() {
            Protocol::Opaque | Protocol::Tls => Usefulness::Unread,
            Protocol::Unknown | Protocol::Http1 | Protocol::Http2 | Protocol::WebSocket => {
                if self.scopes.is_empty() {
                    Usefulness::Idle
                } else {
                    Usefulness::Open
                }
            }
        };
        Share {
            bytes: self.held_bytes(),
            usefulness,
        }
    }

    /// All connections hold too much, this one is the first to give up: its bodies are read no further or, where
    /// that was not it, nothing of it is.
    pub(super) fn give_up(&mut self, now: MonoNs, shared: &mut Shared) -> GaveUp {
        let mut bodies = 0;
        self.each_scope(shared, |scope| bodies += u64::from(scope.give_up()));
        let store = &shared.store;
        self.scope_bytes = self.scopes.values().map(|id| store.held_bytes(*id)).sum();
        let before = self.budgeted.map_or(0, |share| share.bytes);
        if bodies > 0 && self.held_bytes() < before / 2 {
            return GaveUp::Bodies(bodies);
        }
        match self.parser.protocol() {
            Protocol::Opaque | Protocol::Tls => return GaveUp::Nothing,
            Protocol::Unknown | Protocol::Http1 | Protocol::Http2 | Protocol::WebSocket => {}
        }
        self.muted = true;
        self.given_up = true;
        self.feed(Direction::Inbound, shared, |a, sink| a.flush(sink));
        self.send_rest(shared);
        self.feed(Direction::Outbound, shared, |a, sink| a.flush(sink));
        let Parts {
            parser, mut sink, ..
        } = self.parts(shared);
        parser.give_up(now, &mut sink);
        GaveUp::Connection
    }

    pub(super) fn handle_data(&mut self, head: &Head, data: &Data<'_>, shared: &mut Shared) {
        self.orphaned &= self.tgid == head.tgid;
        self.tgid = head.tgid;
        self.tid = head.tid;
        self.has_moved = true;
        let ts = head.ts;
        // It lives: what did not find it looked in the wrong place.
        self.ending = self
            .ending
            .filter(|e| e.cause != CloseCause::Untold || e.ts >= ts);
        let mover = Mover::new(head);
        let serves = match data.direction {
            // What comes from a server is no request.
            Direction::Inbound => self.parser.role() != Some(Role::Client),
            // What is written first may be one.
            Direction::Outbound => self.parser.role() == Some(Role::Server),
        };
        if serves {
            mover.turns_to(self.scopes.values(), shared);
        }
        let mut reader = None;
        match data.direction {
            Direction::Inbound => {
                reader = Some(mover);
                self.told.arrival(ts, data);
            }
            Direction::Outbound if self.keep_unsent(ts, data, shared) => return,
            Direction::Outbound => {}
        }
        self.feed_by(reader, data.direction, shared, |assembler, sink| {
            assembler.handle_record(data.pos, ts, data.bytes, data.len, sink);
        });
        self.apply_ends_reached(shared);
    }

    /// Lets `work` move one assembler, and hands what comes out of it to the parser.
    pub(super) fn feed(
        &mut self,
        dir: Direction,
        shared: &mut Shared,
        work: impl FnOnce(&mut Assembler, &mut PieceSink<'_>),
    ) {
        self.feed_by(None, dir, shared, work);
    }

    /// The same, by an inbound record of `reader`.
    fn feed_by(
        &mut self,
        reader: Option<Mover>,
        dir: Direction,
        shared: &mut Shared,
        work: impl FnOnce(&mut Assembler, &mut PieceSink<'_>),
    ) {
        let Parts {
            inbound,
            outbound,
            parser,
            mut sink,
        } = self.parts(shared);
        let assembler = match dir {
            Direction::Inbound => inbound,
            Direction::Outbound => outbound,
        };
        sink.reader = reader;
        let before = assembler.stats();
        work(assembler, &mut |piece| parser.handle(dir, piece, &mut sink));
        let after = assembler.stats();
        if after.holes > before.holes {
            let lossy_until = &mut sink.shared.lossy_until;
            *lossy_until = assembler.last_ts().max(*lossy_until);
        }
        sink.shared.stats.take_order(before, after);
    }

    /// An end whose tail has come: `why` is one of `cirron_common::record::close`.
    pub(super) fn apply_close(&mut self, why: u64, ts: MonoNs, shared: &mut Shared) {
        match why {
            close::READ_EOF => {
                self.feed(Direction::Inbound, shared, |a, sink| a.handle_eof(ts, sink));
            }
            close::PEER_FIN => {
                self.note_half(why, ts);
                self.close(ts, CloseCause::PeerFin, shared);
            }
            // Behind an end it says nothing: a server tidies up what its client has left.
            close::LOCAL_SHUT_WRITE if self.has_ended_before(ts) => {}
            close::LOCAL_SHUT_WRITE => {
                self.note_half(why, ts);
                self.send_rest(shared);
                self.close(ts, CloseCause::LocalShutWrite, shared);
            }
            close::HELD => self.hold(),
            // Of an end that was told they say nothing.
            close::LOST | close::EVICTED if self.ending.is_some() => {}
            // Nor of one whose halves both were.
            close::LOST | close::EVICTED if self.halves_ended == [true; 2] => {
                self.end_at(ts.plus(LINGER_NS), ts, CloseCause::LocalClose);
            }
            close::EVICTED => {
                self.evicted = true;
                self.end_at(ts.plus(LINGER_NS), ts, CloseCause::Untold);
            }
            _ => match cause_of(why) {
                // Who holds it has done nothing with it: it ends with the process that used it, all the same.
                Some(CloseCause::LocalClose) if self.orphaned => {
                    self.end_at(ts.plus(EXIT_LINGER_NS), ts, CloseCause::ProcessExit);
                }
                Some(cause) => self.end_at(ts.plus(LINGER_NS), ts, cause),
                None => {}
            },
        }
    }

    fn has_ended_before(&self, ts: MonoNs) -> bool {
        self.ending.is_some_and(|e| e.ts <= ts)
    }

    /// One direction has ended, whether or not that is applied yet.
    pub(super) fn note_half(&mut self, why: u64, ts: MonoNs) {
        match why {
            close::PEER_FIN => self.halves_ended[0] = true,
            close::LOCAL_SHUT_WRITE => self.halves_ended[1] |= !self.has_ended_before(ts),
            _ => {}
        }
    }

    /// Somebody else holds the socket: it has not ended with its process.
    fn hold(&mut self) {
        let with_process = |e: &mut Ending| e.cause == CloseCause::ProcessExit;
        self.orphaned |= !self.tls && self.ending.take_if(with_process).is_some();
    }

    /// A socket whose end is not noted.
    pub(super) fn is_open_socket(&self) -> bool {
        !self.tls && self.ending.is_none()
    }

    /// An object of a TLS library whose end is not noted.
    pub(super) fn is_open_object(&self) -> bool {
        self.tls && self.ending.is_none()
    }

    /// A socket that ends with its process, as far as is known.
    pub(super) fn ends_with(&self, tgid: u32) -> bool {
        let with_process = |e: Ending| e.cause == CloseCause::ProcessExit;
        !self.tls && self.tgid == tgid && self.ending.is_none_or(with_process)
    }

    /// An exchange of that process is open.
    pub(super) fn serves(&self, tgid: u32, store: &Store) -> bool {
        let pid = |id: &Id| store.origin(*id).map(|origin| origin.start.pid);
        self.scopes.values().any(|id| pid(id) == Some(tgid))
    }

    fn each_scope(&self, shared: &mut Shared, mut work: impl FnMut(&mut ExchangeScope)) {
        for id in self.scopes.values() {
            if let Some(scope) = shared.store.get_mut(*id) {
                work(scope);
            }
        }
    }

    /// It is a socket, and no object of a TLS library.
    pub(super) fn is_socket(&self) -> bool {
        !self.tls
    }

    /// Its process has ended.
    pub(super) fn end_with_process(&mut self, ts: MonoNs) {
        let linger = if self.is_open_socket() {
            LINGER_NS
        } else {
            EXIT_LINGER_NS
        };
        self.end_at(ts.plus(linger), ts, CloseCause::ProcessExit);
    }

    /// The connection ends at `due` at the latest. An end that is already noted is the true one, if
    /// somebody told it.
    pub(super) fn end_at(&mut self, due: MonoNs, ts: MonoNs, cause: CloseCause) {
        self.ending = self.ending.filter(|e| e.cause != CloseCause::Untold);
        let ending = self.ending.get_or_insert(Ending { due, ts, cause });
        ending.due = ending.due.min(due);
    }

    /// True: the connection is over.
    pub(super) fn handle_timeout(&mut self, now: MonoNs, shared: &mut Shared) -> bool {
        self.feed(Direction::Inbound, shared, |a, sink| {
            a.handle_timeout(now, sink)
        });
        self.send_overdue(now, shared);
        self.feed(Direction::Outbound, shared, |a, sink| {
            a.handle_timeout(now, sink)
        });
        self.apply_ends_due(now, shared);
        // What is due behind a noted end is decided by that end.
        let upto = self.ending.map_or(now, |e| now.min(e.ts));
        let Parts {
            parser, mut sink, ..
        } = self.parts(shared);
        parser.handle_timeout(upto, &mut sink);
        match self.ending {
            Some(ending) if ending.due <= now => {
                self.finish(ending.ts, ending.cause, shared);
                true
            }
            _ => false,
        }
    }

    /// We stop looking: an end that is already noted is the true one.
    pub(super) fn handle_end(&mut self, now: MonoNs, shared: &mut Shared) {
        match self.ending {
            Some(ending) => self.finish(ending.ts, ending.cause, shared),
            None => self.finish(now, CloseCause::AgentStop, shared),
        }
    }

    fn finish(&mut self, ts: MonoNs, cause: CloseCause, shared: &mut Shared) {
        self.feed(Direction::Inbound, shared, |a, sink| a.flush(sink));
        self.send_rest(shared);
        self.feed(Direction::Outbound, shared, |a, sink| a.flush(sink));
        let knows_tail = self.tail.is_some();
        self.lose_tail(ts, shared);
        if cause == CloseCause::Untold {
            shared.stats.ends_lost += u64::from(!self.evicted);
            shared.stats.evicted_connections += u64::from(self.evicted);
            self.each_scope(shared, ExchangeScope::end_was_lost);
            // When it was is not known: what is open ends where it was seen last.
            return self.close(MonoNs(0), cause, shared);
        }
        if cause == CloseCause::ProcessExit && !knows_tail && self.may_lack_its_tail(shared) {
            // What told of its end before its process ended may have been lost, and the end of an answer with it.
            self.each_scope(shared, ExchangeScope::end_was_lost);
            return self.close(MonoNs(0), CloseCause::Untold, shared);
        }
        self.close(ts, cause, shared);
    }

    /// Records were lost since its last one: of any connection, since all share a ring.
    fn may_lack_its_tail(&self, shared: &Shared) -> bool {
        self.inbound.last_ts().max(self.outbound.last_ts()) < shared.lossy_until
    }

    fn close(&mut self, ts: MonoNs, cause: CloseCause, shared: &mut Shared) {
        let Parts {
            parser, mut sink, ..
        } = self.parts(shared);
        parser.handle_close(ts, cause, &mut sink);
    }

    /// What a step of the parser borrows.
    fn parts<'a>(&'a mut self, shared: &'a mut Shared) -> Parts<'a> {
        Parts {
            inbound: &mut self.inbound,
            outbound: &mut self.outbound,
            parser: &mut self.parser,
            sink: Sink {
                scopes: &mut self.scopes,
                scope_bytes: &mut self.scope_bytes,
                shared,
                info: &self.info,
                unnamed: &mut self.unnamed,
                given_up: self.given_up,
                tls: self.tls,
                tls_link: self.tls_link,
                tgid: self.tgid,
                tid: self.tid,
                reader: None,
                told: &self.told,
            },
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        let before_the_end = |at: &MonoNs| self.ending.is_none_or(|e| *at <= e.ts);
        [
            self.inbound.poll_timeout(),
            self.outbound.poll_timeout(),
            self.holding.poll_timeout(),
            self.tail.as_ref().and_then(|tail| tail.poll_timeout()),
            self.parser.poll_timeout().filter(before_the_end),
            self.ending.map(|e| e.due),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Once: nothing on this connection is or will be parsed.
    pub(super) fn turned_opaque(&mut self) -> Option<Protocol> {
        let protocol = self.parser.protocol();
        let opaque = match protocol {
            Protocol::Unknown | Protocol::Http1 | Protocol::Http2 | Protocol::WebSocket => false,
            Protocol::Tls | Protocol::Opaque => true,
        };
        (opaque && !std::mem::replace(&mut self.muted, true)).then_some(protocol)
    }

    /// Bytes before its first request.
    pub(super) fn passed_over(&self) -> u64 {
        self.parser.passed_over()
    }

    /// A library's connection of which no plaintext came.
    pub(super) fn is_silent_tls(&self) -> bool {
        self.tls && !self.has_moved
    }

    /// It was muted for the TLS that it carries.
    pub(super) fn is_muted_tls(&self) -> bool {
        self.muted && self.parser.protocol() == Protocol::Tls
    }

    /// The socket beneath is known now: its addresses, not its role, which the library gave.
    /// `evidence`: how it is known, `cirron.tls.link`.
    pub(super) fn take_addresses(
        &mut self,
        info: &ConnInfo,
        evidence: &'static str,
        shared: &mut Shared,
    ) {
        self.tls_link = Some(evidence);
        self.info = ConnInfo {
            role: self.info.role,
            late: self.info.late,
            ..*info
        };
        self.each_scope(shared, |scope| {
            scope.take_addresses(&self.info, self.tls_link)
        });
    }

    /// The record of its opening comes behind its first bytes: another thread was faster. What it has read by now
    /// was read as joined late.
    pub(super) fn take_opening(&mut self, info: ConnInfo, shared: &mut Shared) {
        // Where the socket of a TLS object is known, the addresses are its.
        if self.tls_link.is_none() {
            self.info = info;
            self.each_scope(shared, |scope| scope.take_addresses(&self.info, None));
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

/// A connection, taken apart.
struct Parts<'a> {
    inbound: &'a mut Assembler,
    outbound: &'a mut Assembler,
    parser: &'a mut ConnParser,
    sink: Sink<'a>,
}
