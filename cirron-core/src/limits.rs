//! Every bound of the core, each with its reason and with what happens past it.

/// Bytes of one HTTP head. nginx, Node and hyper refuse above 8 to 64 KiB, so a real head is
/// smaller. Past it the message is `Lost` and the parser resynchronises.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Header lines of one head, hyper's and Apache's own limit. Past it the message is `Lost`.
pub const MAX_HEADERS: usize = 100;

/// Requests without a response on one connection. Pipelining clients send tens. Past it the oldest
/// is given up as `Lost`.
pub const MAX_PIPELINED: usize = 1_024;

/// Bytes held out of order in one direction while an earlier record may still come. Two threads
/// that write one socket invert single calls. Past it the hole is final.
pub const MAX_REORDER_BYTES: usize = 256 * 1024;

/// Event time for which a hole may still be filled, ns. The kernel side stamps and reserves within
/// microseconds unless it is preempted between the two.
pub const REORDER_WINDOW_NS: u64 = 5 * crate::time::MS;

/// Bytes out of a decompressor for each byte in, above [`INFLATE_FREE_BYTES`]. JSON and event
/// streams compress 3 to 50 times; deflate's own maximum is 1032. Past it the body is not decoded
/// further and the scope says so.
pub const MAX_INFLATE_RATIO: u64 = 200;

/// Decoded bytes below which the ratio is not looked at.
pub const INFLATE_FREE_BYTES: u64 = 1024 * 1024;

/// Bytes kept of one JSON string or number. Names of models and finish reasons are short; contents
/// are only measured. Past it the value is cut, and says so.
pub const MAX_JSON_SCALAR_BYTES: usize = 512;

/// Nesting of JSON that is followed by path; deeper levels are counted and skipped.
pub const MAX_JSON_DEPTH: usize = 64;

/// `chunk_ms` points and token times kept for one scope. 20 000 tokens is a very long answer.
/// Past it the points stop, the summary marks go on.
pub const MAX_CHUNK_POINTS: usize = 20_000;

/// Bytes of one attribute's text in the spool. Past it the text is cut at a character.
pub const MAX_ATTR_BYTES: usize = 1_024;
