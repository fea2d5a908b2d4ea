//! Where a connection of HTTP/1 is: what it speaks, whose the responses are, and what of the requests was seen.
//!
//! The diagrams are in the module above. Nothing is parsed here, and no exchange changed.

use super::switch::Switched;

/// What the connection speaks.
#[derive(Debug)]
pub(super) enum Phase {
    /// HTTP/1. What a client sends behind a request for another protocol waits for the answer.
    Http,
    /// As before, but that answer is not waited for any more: what the client sends is HTTP/1 until it asks again.
    Impatient,
    /// A `101` was seen before the end of its request: what the server sends waits for that.
    Switching,
    /// Something else, with what goes on there, if it is read.
    Over(Option<Switched>),
}

impl Phase {
    /// It is HTTP/1 no more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Phase::Over(_))
    }

    /// No answer of this connection says what its client sends: it is taken for requests.
    pub(super) fn stop_waiting(&mut self) {
        if let Phase::Http = self {
            *self = Phase::Impatient;
        }
    }

    /// Its client has asked again.
    pub(super) fn begin_request(&mut self) {
        if let Phase::Impatient = self {
            *self = Phase::Http;
        }
    }
}

/// Whose the response is that is in hand, or that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The oldest request's that is not answered. The head of the next response waits for one.
    Request,
    /// As before, but no request is waited for: without one the response is an exchange by itself.
    Orphan,
    /// Nobody's: it is passed over, up to its end.
    Nobody,
}

/// What of the requests was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All, from the connection's first byte on.
    Whole,
    /// None yet: it was joined late.
    Nothing,
    /// Some: it was joined late, or had a hole. A response may lack its request.
    Part,
}

impl Seen {
    /// A request began.
    pub(super) fn request(&mut self) {
        if let Seen::Nothing = self {
            *self = Seen::Part;
        }
    }

    /// A hole, or the end of the direction.
    pub(super) fn hole(&mut self) {
        if let Seen::Whole = self {
            *self = Seen::Part;
        }
    }
}

/// How it is known which way the requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the beginning of a head that may be none, or by the body of a response.
    Guessed,
    /// By a head.
    Told,
}
