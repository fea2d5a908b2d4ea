//! How it is known that a scope began, and when; who works for it; and what it is part of, or why that is not known.

/// Its first byte was seen.
pub(crate) const BYTES: &str = "bytes";
/// It was under way when the first of it was seen.
pub(crate) const JOINED: &str = "joined";
/// A message asked for it, or told of it.
pub(crate) const MESSAGE: &str = "message";
/// Who works for it read bytes of its request last.
pub(crate) const READ: &str = "read";
/// A probe told of it.
pub(crate) const PROBE: &str = "probe";

/// A parent: the program named it.
pub(crate) const ID: &str = "id";
/// A parent: the thread worked for it.
pub(crate) const THREAD: &str = "thread";
/// A parent: its thread forked the process, which was gone by its end.
pub(crate) const FORK: &str = "fork";
/// A parent: the goroutine worked for it.
pub(crate) const GOROUTINE: &str = "goroutine";

/// A parent: what was done in the same context (Python's `contextvars`) began its answer.
pub(crate) const CONTEXT: &str = "context";
/// A parent: the context descends from what was made while it was read, and ended with it.
pub(crate) const CONTEXT_DESCENT: &str = "context_descent";
/// A parent: the goroutine descends from the one that read it, was made meanwhile, and ended with it.
pub(crate) const GOROUTINE_DESCENT: &str = "goroutine_descent";
/// A caller: its end of the connection is the other one.
pub(crate) const CONNECTION: &str = "connection";
/// A caller: the request's header names it.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// No parent is known: the thread, as far as is known, worked for no request.
pub(crate) const NO_REQUEST: &str = "no_request_on_thread";
/// The same: it had read of several that were open.
pub(crate) const SEVERAL: &str = "several_requests";
/// The same: the parent, or the scope itself, began before we looked, or the record of that was lost.
pub(crate) const BEGAN_BEFORE: &str = "began_before_attach";
/// The same: the program named one whose beginning was not seen.
pub(crate) const NOT_SEEN: &str = "parent_not_seen";
/// The same: the one that the program named has ended, and all that was around it.
pub(crate) const PARENT_ENDED: &str = "parent_ended";
/// The same: too many scopes waited for it to be known.
pub(crate) const TOO_MANY: &str = "too_many";

/// No parent is known: threads of the process wait for several requests at once.
pub(crate) const EVENT_LOOP: &str = "event_loop";
/// The same: one thread reads a request and another goes on with it.
pub(crate) const HANDED_OVER: &str = "handed_over";
/// The same: nothing has shown yet that a thread of the process serves one request at a time.
pub(crate) const UNPROVEN: &str = "unproven_threads";
/// The same: nothing shows that the goroutine which read the request did nothing else until it answered.
pub(crate) const UNPROVEN_GOROUTINE: &str = "unproven_goroutine";
/// The same: the thread has not answered the request.
pub(crate) const NOT_ANSWERED: &str = "not_answered";
/// The same: bytes of the request that it may be part of were lost.
pub(crate) const RECORDS_LOST: &str = "records_lost";
/// The same: the process that was forked for it lived on behind its end.
pub(crate) const CHILD_OUTLIVES: &str = "child_outlives";
/// The same: on such a connection a write may be of several.
pub(crate) const MULTIPLEXED: &str = "multiplexed";
/// The same: the context, or one that it descends from, outlived the request: it may work for others as well.
pub(crate) const OUTLIVES: &str = "context_outlives";
/// The same: the context serves the whole connection, and another one answered the request.
pub(crate) const OTHER_CONTEXT: &str = "other_context";
/// The same: of a goroutine only the address is known, which is given again.
pub(crate) const GOROUTINE_END: &str = "goroutine";
/// The same: its first bytes were held back, and it is not known who wrote them.
pub(crate) const WRITER_UNKNOWN: &str = "writer_unknown";
/// The same: the end of the scope that it may be part of was not seen.
pub(crate) const END_NOT_SEEN: &str = "end_not_seen";
