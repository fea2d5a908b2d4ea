//! What an end of a connection makes of the exchanges that are open on it: the same rules for every protocol.
//!
//! | what happened | who ended it ([`Ends`]) | directions over | what else |
//! | --- | --- | --- | --- |
//! | the peer's FIN arrived | the peer, unless it stays | none: bytes before it may be unread | a server's client may have left ([`leaving`]) |
//! | a read returned 0 | as above | inbound | as above |
//! | the peer's RST arrived | the peer | both | proves who has left, or stayed |
//! | the target shut its sending side | the target | outbound | |
//! | the target closed; its process has ended | the target | both | |
//! | the network failed; nobody knows | nobody | both | |
//! | we stop looking | the agent | both | |
//!
//! Of the ends of one connection the first says who. What becomes of an exchange then:
//!
//! | the exchange | no more requests' bytes | no more responses' bytes | both |
//! | --- | --- | --- | --- |
//! | is over, and waits for whether its client was there | | `End`, when it was seen last | `End`, when it was seen last |
//! | is answered, its request goes on | request aborted | | request aborted, `End` |
//! | is being answered, up to the connection's end | | complete if its sender closed in order | `End` |
//! | is being answered | | response aborted, `End` | `End` |
//! | waits for its answer | | `End` without a response | `End` |
//! | is a WebSocket with a connection of its own | | | complete behind a Close, else aborted |
//!
//! A WebSocket's connection ends it as well when a read returns 0: whoever sends no more has no more to say.
//! An exchange that is given up by itself (a stream's reset, too many that are open, a protocol that was
//! misread) ends by [`Unfinished`], as do all of the above. The protocols say which exchanges they have, and how
//! what their parsers still hold is told first ([`OpenExchanges`]).

mod cause;
mod finish;
mod leaving;

pub(crate) use cause::CloseCause;
pub(super) use cause::Ends;
pub(super) use finish::Unfinished;
pub(super) use leaving::Leaving;

use super::open::Exchange;
use super::{AbortedBy, ExchangeSink, Role};
use crate::stream::Direction;
use crate::time::MonoNs;

/// One end, while it is applied.
pub(super) struct Ending<'a> {
    /// When.
    pub(super) ts: MonoNs,
    /// Why.
    pub(super) cause: CloseCause,
    /// This one, and those before.
    pub(super) ends: &'a Ends,
    pub(super) sink: &'a mut dyn ExchangeSink,
}

/// What a protocol says of the exchanges that are open on its connection.
pub(super) trait OpenExchanges {
    /// Which end the target is, as far as known.
    fn role(&self) -> Option<Role>;

    /// A response has begun, and is not over.
    fn is_mid_response(&self) -> bool;

    /// Does something to each exchange whose client may leave without a word.
    fn each_leavable(&mut self, work: &mut dyn FnMut(&mut Exchange));

    /// No more can come in this direction.
    fn end_direction(&mut self, dir: Direction, ending: &mut Ending<'_>);

    /// No more can come at all: ends what is still open.
    fn end_all(&mut self, ending: &mut Ending<'_>);
}

/// One direction is over: inbound a read returned 0.
pub(super) fn end_of_file(
    open: &mut impl OpenExchanges,
    dir: Direction,
    ts: MonoNs,
    ends: &mut Ends,
    sink: &mut dyn ExchangeSink,
) {
    let cause = match dir {
        Direction::Inbound => CloseCause::PeerFin,
        Direction::Outbound => CloseCause::LocalShutWrite,
    };
    note(open, ts, cause, ends, sink);
    let mut ending = Ending {
        ts,
        cause,
        ends,
        sink,
    };
    open.end_direction(dir, &mut ending);
}

/// The connection, or a direction of it, ended by `cause`.
pub(super) fn close(
    open: &mut impl OpenExchanges,
    ts: MonoNs,
    cause: CloseCause,
    ends: &mut Ends,
    sink: &mut dyn ExchangeSink,
) {
    note(open, ts, cause, ends, sink);
    if cause == CloseCause::PeerReset {
        open.each_leavable(&mut |x| x.reset(ts, sink));
    }
    let mut ending = Ending {
        ts,
        cause,
        ends,
        sink,
    };
    // Requests first: an end of a request may be what its response waits for.
    let dirs = match open.role() {
        Some(Role::Client) => [Direction::Outbound, Direction::Inbound],
        Some(Role::Server) | None => [Direction::Inbound, Direction::Outbound],
    };
    let over = dirs.map(|dir| cause.ends(dir));
    for (dir, over) in dirs.into_iter().zip(over) {
        if over {
            open.end_direction(dir, &mut ending);
        }
    }
    if over == [true; 2] {
        open.end_all(&mut ending);
    }
}

fn note(
    open: &mut impl OpenExchanges,
    ts: MonoNs,
    cause: CloseCause,
    ends: &mut Ends,
    sink: &mut dyn ExchangeSink,
) {
    ends.note(cause, open.is_mid_response());
    if cause == CloseCause::PeerFin && open.role() == Some(Role::Server) {
        open.each_leavable(&mut |x| x.leave(ts, false, sink));
    }
}

/// Whether one client was seen to read on behind its FIN. Then all did, and what ends their exchanges is
/// not that FIN.
pub(super) fn see_who_stayed(
    open: &mut impl OpenExchanges,
    ts: MonoNs,
    ends: &mut Ends,
    sink: &mut dyn ExchangeSink,
) {
    // Before it nobody can have stayed: a hundred streams need not be looked at for each piece.
    if !ends.fin_came() {
        return;
    }
    let mut stayed = false;
    open.each_leavable(&mut |x| stayed |= x.leaving == Leaving::Stayed);
    if stayed {
        ends.note_half_close();
        open.each_leavable(&mut |x| x.stay(ts, sink));
    }
}

/// Who ended the connection.
pub(super) fn closed_by(open: &impl OpenExchanges, ends: &Ends) -> Option<AbortedBy> {
    open.role().and_then(|role| ends.aborted_by(role))
}

#[cfg(test)]
mod tests;
