//! One connection of the engine: two assemblers, a parser, and the scopes that are open on it.

mod ends;
mod measured;
mod room;

pub(super) use room::GaveUp;

use std::collections::BTreeMap;

use cirron_common::conn::{ConnInfo, role};
use cirron_common::record::source;

use super::Key;
use super::budget::Share;
use super::context::Mover;
use super::lineage::Read;
use super::net::Net;
use super::peers::SocketSpot;
use super::shared::Shared;
use super::sink::Sink;
use super::tail::Tail;
use super::unsent::Told;
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
    /// The thread that accepted it; 0: not known.
    acceptor: u32,
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
    /// Its generation.
    pub(super) epoch: u64,
    pub(super) muted: bool,
    /// All connections held too much, and nothing of this one is read further.
    given_up: bool,
    /// The kernel side does not follow it any more.
    evicted: bool,
    /// An exchange of it was not written, for nothing named it.
    unnamed: bool,
    /// What is done on it, where it may be one without HTTP, and that is wanted.
    net: Option<Box<Net>>,
}

impl Conn {
    /// By the record of its opening.
    pub(super) fn new(info: ConnInfo, head: &Head) -> Conn {
        let hint = match info.role {
            role::ACCEPTED => Some(Role::Server),
            role::CONNECTED => Some(Role::Client),
            _ => None,
        };
        let mut conn = Conn::with(
            info,
            head.tgid,
            Some(0),
            ConnStart {
                late: info.late != 0,
                unopened: false,
                role: hint,
            },
            head.source,
        );
        let is_accepted = hint == Some(Role::Server) && info.late == 0 && !conn.tls;
        conn.acceptor = if is_accepted { head.tid } else { 0 };
        conn
    }

    /// A connection whose opening record was lost. Its positions begin where the kernel side began to follow it, as all do:
    /// what is before the first that comes is a hole.
    pub(super) fn unknown(tgid: u32, source_kind: u8) -> Conn {
        Conn::with(
            ConnInfo::default(),
            tgid,
            Some(0),
            ConnStart {
                late: true,
                unopened: true,
                role: None,
            },
            source_kind,
        )
    }

    fn with(
        info: ConnInfo,
        tgid: u32,
        pos: Option<u64>,
        start: ConnStart,
        source_kind: u8,
    ) -> Conn {
        Conn {
            tgid,
            tid: tgid,
            acceptor: 0,
            orphaned: false,
            tls: source_kind == source::TLS,
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
            epoch: 0,
            muted: false,
            given_up: false,
            evicted: false,
            unnamed: false,
            net: None,
        }
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
        if self.handle_measured(head, data, shared) {
            return;
        }
        let mover = Mover::new(head, data);
        let serves = match data.direction {
            // What comes from a server is no request.
            Direction::Inbound => self.parser.role() != Some(Role::Client),
            // What is written first may be one.
            Direction::Outbound => self.parser.role() == Some(Role::Server),
        };
        if serves {
            mover.turns_to(self.scopes.values(), shared);
            // Bytes of HTTP/2 are of many, and show nothing of any.
            if self.parser.protocol() != Protocol::Http2 {
                self.note_turn(data.direction, mover, shared);
            }
        }
        match data.direction {
            Direction::Inbound => self.told.arrival(ts, data),
            Direction::Outbound if self.keep_unsent(ts, data, shared) => {
                // Of the only request that is open it is the answer.
                if let (1, Some(id), true) =
                    (self.scopes.len(), self.scopes.values().next(), serves)
                {
                    shared.lineage.answered(*id, mover.moment());
                }
                let scopes = self.scopes.values();
                scopes.for_each(|id| shared.serving.hold(*id));
                return self.look_for_http(shared);
            }
            Direction::Outbound => {}
        }
        self.feed_by(Some(mover), data.direction, shared, |assembler, sink| {
            assembler.handle_record(data.pos, ts, data.bytes, data.len, sink);
        });
        // Ciphertext is read for the connection that a TLS object is, which is told by itself.
        if let (Direction::Inbound, Some(moment)) = (data.direction, mover.moment())
            && self.parser.protocol() != Protocol::Tls
        {
            let is_served = self.parser.role() == Some(Role::Server);
            let what = match self.tls {
                true => Read::Plaintext,
                false => Read::Socket,
            };
            shared.lineage.read(self.slot, what, is_served, moment);
            for id in self.scopes.values().filter(|_| is_served) {
                shared.lineage.note_late(*id, self.slot, head.tgid);
            }
        }
        self.look_for_http(shared);
        self.apply_ends_reached(shared);
    }

    /// Bytes of what is served passed: whether who moves them does nothing else meanwhile.
    fn note_turn(&self, direction: Direction, mover: Mover, shared: &mut Shared) {
        for id in self.scopes.values() {
            match direction {
                Direction::Inbound => shared.serving.reads_on(*id),
                Direction::Outbound => shared.serving.writes(*id, mover.is_straight()),
            }
        }
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

    /// The same, by a record of `mover`.
    fn feed_by(
        &mut self,
        mover: Option<Mover>,
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
        match dir {
            Direction::Inbound => sink.reader = mover,
            Direction::Outbound => sink.writer = mover,
        }
        let before = assembler.stats();
        work(assembler, &mut |piece| parser.handle(dir, piece, &mut sink));
        let after = assembler.stats();
        if after.holes > before.holes {
            let lossy_until = &mut sink.shared.lossy_until;
            *lossy_until = assembler.last_ts().max(*lossy_until);
        }
        sink.shared.stats.take_order(before, after);
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

    /// It was accepted by the record of its opening.
    pub(super) fn was_accepted(&self) -> bool {
        self.info.role == role::ACCEPTED && self.info.late == 0
    }

    /// What was told of its addresses.
    pub(super) fn info(&self) -> &ConnInfo {
        &self.info
    }

    /// The peer of `socket`, which carries this, has become known: what is open may be an exchange of both.
    pub(super) fn note_open(&self, socket: Key, shared: &mut Shared) {
        for id in self.scopes.values() {
            let scope = shared.store.get_mut::<ExchangeScope>(*id);
            let place = scope.and_then(|scope| Some((scope.spot()?, scope.role())));
            if let Some((spot, role)) = place {
                let tls = self.tls;
                shared.note_exchange(socket, SocketSpot { tls, spot }, role, *id);
            }
        }
    }

    /// It is a socket, and no object of a TLS library.
    pub(super) fn is_socket(&self) -> bool {
        !self.tls
    }

    /// True: the connection is over.
    pub(super) fn handle_timeout(&mut self, now: MonoNs, shared: &mut Shared) -> bool {
        self.feed(Direction::Inbound, shared, |a, sink| {
            a.handle_timeout(now, sink)
        });
        if let Some(net) = &mut self.net {
            net.handle_timeout(now, shared);
        }
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
                socket: match self.tls {
                    true => self.socket,
                    false => Some((self.slot.0, self.epoch)),
                },
                unnamed: &mut self.unnamed,
                given_up: self.given_up,
                tls: self.tls,
                tls_link: self.tls_link,
                tgid: self.tgid,
                tid: self.tid,
                acceptor: self.acceptor,
                reader: None,
                writer: None,
                told: &self.told,
                slot: self.slot,
            },
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        let before_the_end = |at: &MonoNs| self.ending.is_none_or(|e| *at <= e.ts);
        [
            self.inbound.poll_timeout(),
            self.outbound.poll_timeout(),
            self.holding.poll_timeout(),
            self.net.as_ref().and_then(|net| net.poll_timeout()),
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

    /// The socket beneath is known now: its addresses, and its role where the library did not give one.
    /// `evidence`: how it is known, `cirron.tls.link`.
    pub(super) fn take_addresses(
        &mut self,
        info: &ConnInfo,
        evidence: &'static str,
        shared: &mut Shared,
    ) {
        self.tls_link = Some(evidence);
        self.info = ConnInfo {
            role: match self.info.role {
                role::UNKNOWN => info.role,
                told => told,
            },
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

/// A connection, taken apart.
struct Parts<'a> {
    inbound: &'a mut Assembler,
    outbound: &'a mut Assembler,
    parser: &'a mut ConnParser,
    sink: Sink<'a>,
}
