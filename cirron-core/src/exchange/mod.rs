//! Exchanges: a request and its response, paired, as a series of events.
//!
//! ```text
//!  Start -> RequestHead -> RequestBody* -> RequestEnd
//!        -> Informational* -> ResponseHead -> ResponseBody* -> ResponseTrailers? -> ResponseEnd
//!        -> End
//! ```
//! Request and response events may interleave (a server may answer before it has read all). `Start`
//! comes first and `End` last, exactly once each; any event between may be missing where a hole, a
//! late attach or an early end took it, and then `End` says so. Behind the `ResponseHead` of a switch
//! to WebSocket come `WebSocket` events instead of bodies; the response ends with the connection, or
//! with the stream of HTTP/2 that it is. `Start`'s time is the earliest of an exchange; the times of
//! the request's events never go back, nor do those of the response's.
//!
//! [`ConnParser`] makes these events from the pieces of both directions of one connection.

mod conn;
mod ending;
mod hold;
mod http1;
mod http2;
mod open;
mod sniffing;
mod websocket;

pub(crate) use conn::{ConnParser, ConnStart, Protocol};
pub(crate) use ending::CloseCause;

pub(crate) use crate::proto::message::MessageEnd;
use crate::proto::message::{Headers, RequestHead, ResponseHead};
use crate::proto::ws;
use crate::time::MonoNs;

/// Number of an exchange, unique within its connection; grows with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExchangeId(pub u64);

/// Where the request of an exchange stands on its connection: the same at both ends of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// The position behind its head, in bytes of its direction, of a connection that was seen from its beginning.
    Behind(u64),
    /// The number of its stream of HTTP/2.
    Stream(u32),
}

/// Which end of the exchange the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The target received the request: a `request` scope.
    Server,
    /// The target sent the request: an `http.client` span.
    Client,
}

/// Which end of an exchange sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// The end that sent the request.
    Client,
    /// The end that answers.
    Server,
}

impl Sender {
    /// Its name, as attributes have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Sender::Client => "client",
            Sender::Server => "server",
        }
    }
}

/// Who ended an exchange before its time: `cirron.aborted_by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbortedBy {
    /// The end that sent the request.
    Client,
    /// The end that answers.
    Server,
    /// We stopped looking.
    Agent,
}

impl AbortedBy {
    /// The text of `cirron.aborted_by`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            AbortedBy::Client => "client",
            AbortedBy::Server => "server",
            AbortedBy::Agent => "agent",
        }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExchangeEnd {
    /// Set when it did not come to its own end and it is known who ended it.
    pub aborted_by: Option<AbortedBy>,
    /// The connection, or its stream, became something else than HTTP (CONNECT, `101`).
    pub upgraded: bool,
    /// A part was lost or cut off: head, framing, or body bytes.
    pub partial: bool,
    /// It is partial for no other reason than that a message broke off, or did not come.
    pub cut: bool,
    /// Its request's head came, and refers to what was not seen: method or path are not known.
    pub unread: bool,
}

/// One event of an exchange. Its time is given beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeEvent<'a> {
    /// The first byte of the request; with `late`, the first that we saw of an exchange that was
    /// already under way when we joined.
    Start {
        /// Which end the target is.
        role: Role,
        /// The beginning was not seen.
        late: bool,
    },
    /// The request's head is complete.
    RequestHead(&'a RequestHead),
    /// Bytes of the request's body, without transfer framing; still content-encoded.
    RequestBody(&'a [u8]),
    /// Body bytes that were lost; 0: some may have been, how many is not known.
    RequestGap(u64),
    /// The request ended.
    RequestEnd(MessageEnd),
    /// A 1xx response; 101 only where it leads to HTTP/2, which brings the final response.
    Informational(&'a ResponseHead),
    /// The first byte of the final response's head passed (or, late, of its body).
    ResponseStart,
    /// The final response's head is complete.
    ResponseHead(&'a ResponseHead),
    /// Bytes of the response's body, without transfer framing; still content-encoded.
    ResponseBody(&'a [u8]),
    /// Body bytes that were lost; 0: some may have been, how many is not known.
    ResponseGap(u64),
    /// Trailer fields of a response.
    ResponseTrailers(&'a Headers),
    /// A part of a WebSocket message.
    WebSocket {
        /// Whose.
        by: Sender,
        /// What the parser saw.
        event: ws::Event<'a>,
    },
    /// The client gave up, or shut its sending side, before the response was over. It has left if
    /// `End` says that the client aborted the exchange and no `ClientStayed` comes before that.
    ClientLeaving {
        /// What is stamped later was written behind that.
        from: MonoNs,
    },
    /// It had only shut its sending side.
    ClientStayed,
    /// The response ended.
    ResponseEnd(MessageEnd),
    /// The last event of this exchange.
    End(ExchangeEnd),
}

/// Takes the events of one connection.
pub(crate) trait ExchangeSink {
    /// `ts`: when the bytes that completed this event passed.
    fn on_event(&mut self, id: ExchangeId, ts: MonoNs, event: ExchangeEvent<'_>);

    /// Its request's head is complete, and it is known where that stands.
    fn on_spot(&mut self, _id: ExchangeId, _spot: Spot) {}
}

#[cfg(test)]
mod tests;
