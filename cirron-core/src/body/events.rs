//! Events: what every framing of a stream gives, in fragments as they come.
//!
//! Server-sent events, lines of JSON, elements of an array, messages of AWS' event stream: each has
//! data and an end. An event's time is that of the bytes that completed it: [`EventSink::end`] is
//! called within their `push`.

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventEnd<'a> {
    /// It came to its end, and no byte of it is missing.
    Whole {
        /// Its name, where the framing has one: `event` of server-sent events; else empty.
        name: &'a str,
    },
    /// A hole took a part of it, or several events, or the stream ended before it did.
    Damaged,
}

/// Takes what a parser finds.
pub trait EventSink {
    /// A fragment of the data of the event under way; never empty.
    fn data(&mut self, bytes: &[u8]);
    /// Bytes behind the document of the event under way, which are none of it.
    fn raw(&mut self, _bytes: &[u8]) {}
    /// The event that begins, or is the next to begin, is element `at` of an array.
    fn element(&mut self, _at: u64) {}
    /// Bytes are missing here. The data that follows, until the end, is raw: it may hold framing.
    fn hole(&mut self);
    /// The event under way ends.
    fn end(&mut self, end: EventEnd<'_>);
}
