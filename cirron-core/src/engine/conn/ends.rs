//! Ends of a connection: what was told of them, and when they are applied.
//!
//! Stands between the records of ends, whose tails have come ([`super::super::tail`]), and the parser. An end that was
//! noted waits ([`LINGER_NS`]) for what is told behind it; of several the first that somebody told is the true one. What
//! an end makes of open exchanges is not known here, but to the parser.
//!
//! ```text
//!   open --half--> open --end: noted, due--> lingers --due--> finished
//!                             ^ one that nobody told is replaced by one that somebody did, or by more bytes
//! ```

use cirron_common::record::close;

use super::{Conn, Ending, Parts};
use crate::engine::shared::Shared;
use crate::engine::{EXIT_LINGER_NS, LINGER_NS};
use crate::exchange::CloseCause;
use crate::scope::ExchangeScope;
use crate::stream::Direction;
use crate::time::MonoNs;

impl Conn {
    /// An end whose tail has come: `why` is one of `cirron_common::record::close`.
    pub(in crate::engine) fn apply_close(&mut self, why: u64, ts: MonoNs, shared: &mut Shared) {
        if why == close::LOCAL_CLOSE {
            // Who worked for what was asked here has done with it.
            for id in self.scopes.values() {
                shared.contexts.end_scope(*id);
                shared.serving.leave(*id);
            }
        }
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
    pub(in crate::engine) fn note_half(&mut self, why: u64, ts: MonoNs) {
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
    pub(in crate::engine) fn is_open_socket(&self) -> bool {
        !self.tls && self.ending.is_none()
    }

    /// An object of a TLS library whose end is not noted.
    pub(in crate::engine) fn is_open_object(&self) -> bool {
        self.tls && self.ending.is_none()
    }

    /// A socket that ends with its process, as far as is known.
    pub(in crate::engine) fn ends_with(&self, tgid: u32) -> bool {
        let with_process = |e: Ending| e.cause == CloseCause::ProcessExit;
        !self.tls && self.tgid == tgid && self.ending.is_none_or(with_process)
    }

    /// Its process has ended.
    pub(in crate::engine) fn end_with_process(&mut self, ts: MonoNs) {
        let linger = if self.is_open_socket() {
            LINGER_NS
        } else {
            EXIT_LINGER_NS
        };
        self.end_at(ts.plus(linger), ts, CloseCause::ProcessExit);
    }

    /// The connection ends at `due` at the latest. An end that is already noted is the true one, if
    /// somebody told it.
    pub(in crate::engine) fn end_at(&mut self, due: MonoNs, ts: MonoNs, cause: CloseCause) {
        self.ending = self.ending.filter(|e| e.cause != CloseCause::Untold);
        let ending = self.ending.get_or_insert(Ending { due, ts, cause });
        ending.due = ending.due.min(due);
    }

    /// We stop looking: an end that is already noted is the true one.
    pub(in crate::engine) fn handle_end(&mut self, now: MonoNs, shared: &mut Shared) {
        match self.ending {
            Some(ending) => self.finish(ending.ts, ending.cause, shared),
            None => self.finish(now, CloseCause::AgentStop, shared),
        }
    }

    pub(super) fn finish(&mut self, ts: MonoNs, cause: CloseCause, shared: &mut Shared) {
        self.feed(Direction::Inbound, shared, |a, sink| a.flush(sink));
        self.send_rest(shared);
        self.feed(Direction::Outbound, shared, |a, sink| a.flush(sink));
        let knows_tail = self.tail.is_some();
        self.lose_tail(ts, shared);
        self.end_net(shared);
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
