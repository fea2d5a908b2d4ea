//! Every bound of the core, each with its reason and with what happens past it.

/// Bytes of one HTTP head. nginx, Node and hyper refuse above 8 to 64 KiB, so a real head is
/// smaller. Past it the message is `Lost` and the parser resynchronises.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Header lines of one head, hyper's and Apache's own limit. Past it the message is `Lost`.
pub(crate) const MAX_HEADERS: usize = 100;

/// Requests without a response on one connection. Pipelining clients send tens. Past it the oldest
/// is given up as `Lost`.
pub(crate) const MAX_PIPELINED: usize = 1_024;

/// Bytes held out of order in one direction while an earlier record may still come. Two threads
/// that write one socket invert single calls. Past it the hole is final.
pub const MAX_REORDER_BYTES: usize = 256 * 1024;

/// Event time for which a hole may still be filled, ns. The kernel side stamps and reserves within
/// microseconds unless it is preempted between the two.
pub const REORDER_WINDOW_NS: u64 = 5 * crate::time::MS;

/// What one record held out of order counts for besides its bytes, so that empty ones are bounded too.
pub(crate) const HELD_OVERHEAD_BYTES: usize = 64;

/// Bytes of one connection that wait for the kernel to send them, as far as their time is to be that. A window of
/// Linux's first ten segments over loopback is larger, a second of a model's events is far smaller. Past it
/// the oldest go on with the time of their write, and their scope says so.
pub(crate) const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// Event time for which they wait, ns: the kernel itself lets go what a target holds back after 0.2 s, and the
/// next call tells when that was. Past it as above.
pub(crate) const MAX_UNSENT_NS: u64 = 2_000 * crate::time::MS;

/// What a time may be wrong by until a scope says so, ns: more than a tick of the kernel's (4 ms at most of its common
/// configurations), less than one token takes.
pub(crate) const UNSURE_NS: u64 = 5 * crate::time::MS;

/// Records of a connection of which is kept when their bytes came, or that their time is not known: a head seldom
/// comes in more pieces. Past it the oldest is forgotten, and an exchange that begins with it has no time in queue.
pub(crate) const MAX_TOLD: usize = 8;

/// Bytes of a response held until its request is seen (records of two threads may be inverted).
/// Past it the response is taken for one whose request we never saw.
pub(crate) const MAX_HELD_RESPONSE_BYTES: usize = 256 * 1024;

/// Event time for which a response waits for its request, ns. A write is stamped when the system
/// call returns, so a slow return lets the answer be read first. Past it as above.
pub(crate) const HELD_RESPONSE_WINDOW_NS: u64 = 20 * crate::time::MS;

/// Event time behind a client's FIN or RST_STREAM in which a write may still be stamped that was begun
/// before it, ns: a write is stamped when its call returns. Past it the client had left.
pub(crate) const LEFT_WRITE_SLACK_NS: u64 = 2 * crate::time::MS;

/// Event time in which the RST comes that answers bytes written to a client that has closed, ns: a
/// way there and back. Past it the client had only shut its sending side. As long, too, is waited for
/// what a server still writes to a stream that its client cancelled.
pub(crate) const LEFT_RESET_WINDOW_NS: u64 = 1_000 * crate::time::MS;

/// Bytes of a connection joined late in which nothing known was found. A 64 KiB head and a few
/// bodies fit. Past it the connection is opaque.
pub(crate) const MAX_SNIFF_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of one side of a connection that begin no protocol we know, and are kept until the other side
/// speaks: a request line that cannot be read, with its head. A status line then tells that it was one; what
/// else the other side says, or more, makes the connection opaque.
pub(crate) const MAX_DOUBTFUL_BYTES: usize = 8 * 1024;

/// Bytes kept of something that may be a start line or the first chunk of a response joined late.
/// Past it a chunk is believed, and a line is not.
pub(crate) const MAX_CANDIDATE_BYTES: usize = 8 * 1024;

/// Bytes of the extensions on one chunk-size line: hyper's own limit for all of a body is 16 KiB.
/// Past it the framing is lost.
pub(crate) const MAX_CHUNK_EXT_BYTES: u32 = 16 * 1024;

/// Bytes out of a decompressor for each byte in, above [`INFLATE_FREE_BYTES`]. JSON and event
/// streams compress 3 to 50 times; deflate's own maximum is 1032. Past it the body is not decoded
/// further and the scope says so.
pub(crate) const MAX_INFLATE_RATIO: u64 = 200;

/// Decoded bytes below which the ratio is not looked at.
pub(crate) const INFLATE_FREE_BYTES: u64 = 1024 * 1024;

/// Codings applied one over the other. Two are seen where a proxy compresses again. Past it the body
/// is not decoded, and the scope says so.
pub(crate) const MAX_CODINGS: usize = 4;

/// Bytes kept of one JSON string or number. Names of models and finish reasons are short; contents
/// are only measured. Past it the value is cut, and says so.
pub(crate) const MAX_JSON_SCALAR_BYTES: usize = 512;

/// Nesting of JSON that is followed by path; deeper levels are counted and skipped.
pub(crate) const MAX_JSON_DEPTH: usize = 64;

/// `chunk_ms` points and token times kept for one scope. 20 000 tokens is a very long answer.
/// Past it the points stop, the summary marks go on.
pub(crate) const MAX_CHUNK_POINTS: usize = 20_000;

/// Bytes of one attribute's text in the spool. Past it the text is cut at a character.
pub(crate) const MAX_ATTR_BYTES: usize = 1_024;

/// Bytes of a name that is not ours: of a span, a mark or an attribute. Names of functions of C++ are longer, and
/// nobody reads their end. Past it the name is cut at a character.
pub(crate) const MAX_LABEL_BYTES: usize = 128;

/// Bytes kept of one HPACK table, as RFC 7541 counts them. The default is 4 KiB, browsers ask for
/// 64 KiB. Past it the oldest entries are unknown.
pub(crate) const MAX_HPACK_TABLE_BYTES: usize = 64 * 1024;

/// Bytes of one header block, with its CONTINUATION frames: as for [`MAX_HEAD_BYTES`]. Past it the
/// block is lost and the table of its direction desynced.
pub(crate) const MAX_HEADER_BLOCK_BYTES: usize = MAX_HEAD_BYTES;

/// Bytes of one decoded header list, 32 more counted for each field: a byte of a block can name a
/// field of kilobytes. nghttp2 and Go refuse above 64 KiB and 1 MiB. Past it the head is lost.
pub(crate) const MAX_HEADER_LIST_BYTES: usize = 256 * 1024;

/// Streams open at once on one HTTP/2 connection. Servers allow 100 to 256, a few a thousand. Past
/// it the oldest is given up as `Lost`.
pub(crate) const MAX_OPEN_STREAMS: usize = 2_048;

/// Payload of a frame that may begin a chain after a hole: what peers send unless told otherwise
/// (RFC 9113, section 6.5.2). A longer one is not begun at, nor is a longer extension believed.
pub(crate) const MAX_CHAIN_FRAME_BYTES: usize = 16_384;

/// Chains of frame headers in one direction that were taken for HTTP/2 and led nowhere. Past it the
/// connection is opaque.
pub(crate) const MAX_MISREAD_CHAINS: u32 = 16;

/// Streams of an HTTP/2 connection whose end is remembered, so that a late frame on one makes no new
/// exchange. A RST_STREAM crosses what is on its way: tens. Past it the oldest are forgotten.
pub(crate) const MAX_ENDED_STREAMS: usize = 1_024;

/// Event time after which a silent HTTP/2 stream is `Lost` if a hole may have held its end, ns. A
/// model may think this long before its first token. Past it, at most, its figures stay away.
pub(crate) const LOST_STREAM_LINGER_NS: u64 = 60_000 * crate::time::MS;

/// Bytes of the head of one part of a form. Clients send two short lines. Past it the part is passed
/// over.
pub(crate) const MAX_FORM_HEAD_BYTES: usize = 4 * 1024;

/// Bytes of the headers of one message of AWS's event stream that are looked at. Bedrock's are three
/// short texts. Past it the message's kind may be unknown.
pub(crate) const MAX_AWS_HEADER_BYTES: usize = 4 * 1024;
/// Bytes of a WebSocket message unmasked or inflated at once, and kept for it. A token's frame is some
/// hundred. More comes in several events.
pub(crate) const WS_CHUNK_BYTES: usize = 8 * 1024;

/// Payload of a WebSocket control frame (RFC 6455, section 5.5). A longer one is no frame.
pub(crate) const MAX_WS_CONTROL_BYTES: u8 = 125;

/// Payload of a WebSocket frame that may begin a row after a hole: what servers take at most unless
/// told otherwise (uvicorn, tungstenite). A longer one is not begun at; in step it is read.
pub(crate) const MAX_WS_CHAIN_FRAME_BYTES: u64 = 16 * 1024 * 1024;

/// Rows of frame headers in one direction that were taken for WebSocket after a hole and led nowhere.
/// Past it the direction is opaque.
pub(crate) const MAX_WS_MISREADS: u32 = 16;

/// Responses open at once on one session of messages. OpenAI's Realtime has one, and those beside the
/// conversation. Past it the oldest ends as partial.
pub(crate) const MAX_OPEN_TURNS: usize = 64;

/// Questions of one session whose responses have not begun. Past it the oldest is forgotten, and its
/// response begins with the server's first message.
pub(crate) const MAX_ASKED_TURNS: usize = 64;

/// Messages within messages of protocol buffers that are walked into. A model's name stands two deep.
/// Past it a message is passed over.
pub(crate) const MAX_PROTOBUF_DEPTH: usize = 8;

/// Bytes of one text of a protocol buffer that are kept: names of models, ids. Past it the text is cut.
pub(crate) const MAX_PROTOBUF_TEXT_BYTES: usize = 1_024;

/// Threads and goroutines that are known to work for an open scope: one each for 16 000 requests at a time. Past
/// it a new one is not known, and counted.
pub(crate) const MAX_CONTEXTS: usize = 16_384;

/// Requests, each beside another one, that a process must have served with one thread from the read to the answer until
/// what a thread does is known to be for the request that it read last. An event loop of 16 threads with few requests shows
/// what it is within some.
pub(crate) const CLEAN_PROOFS: u32 = 32;

/// The same, one after the other, behind one that showed the opposite: of 64 loops that have two requests to serve, one in
/// ten million such rows is clean by chance.
pub(crate) const CLEAN_PROOFS_OF_MIXED: u32 = 1_024;

/// Contexts of Python's that are known, of all processes: an event loop has some for each connection and for each task. Past
/// it a new one is not known, and counted.
pub(crate) const MAX_NODES: usize = 65_536;

/// Calls, scopes and marks that are presumed to be of one request, by the contexts that they began in: as many as may wait at it,
/// and a mark of each scope that may be open. Past it the next ones have no parent that is known (`too_many`); a mark is
/// dropped and counted.
pub(crate) const MAX_PRESUMED: usize = 2_048;

/// Threads of a process of which it is known what they read last: a loop each, or a pool. Past it all are forgotten, and what
/// was read before is tied to nothing that is made later.
pub(crate) const MAX_READERS: usize = 1_024;

/// Scopes that are over and wait at one open scope, until its end says whether they are part of it: the calls of one
/// request. Past it the next ones have no parent that is known (`cirron.parent.unknown: too_many`), and are counted.
pub(crate) const MAX_WAITING_CHILDREN: usize = 256;

/// Bytes that wait so in sum, with marks that others gave: a thousand requests with a call each. Past it as above, and a
/// mark is dropped and counted.
pub(crate) const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// Scopes that have ended and whose trace is known, so that what began in them or answers them has the same: those of some
/// seconds at a thousand joined requests a second. Past it the oldest is forgotten, and counted.
pub(crate) const MAX_ENDED_TRACES: usize = 16_384;

/// Scopes of probes and functions that are open, of one process: deep trees of a thousand threads. Past it a new one is not
/// opened, and counted.
pub(crate) const MAX_PROBE_SCOPES_OF_ONE: usize = 4_096;

/// The same in sum. Past it as above.
pub(crate) const MAX_PROBE_SCOPES: usize = 16_384;

/// Scopes within one another, and those that a thread works for at once: the SDK's own limit. Past it as above.
pub(crate) const MAX_SCOPE_DEPTH: usize = 64;

/// Scopes of one process that have ended and are known by their number: the next ones may name them as their parent. Past
/// it the oldest is forgotten, and who names it has a parent that was not seen.
pub(crate) const MAX_ENDED_PROBE_SCOPES: usize = 1_024;

/// Length from which on a scope has its processor time, ns. The kernel's figure is as old as its last tick, 10 ms at most: of
/// a scope of this length that is a hundredth.
pub(crate) const MIN_CPU_WALL_NS: u64 = 1_000_000_000;

/// Kinds of probes: twice what the kernel side watches. Past it the one that was hit longest ago is forgotten: most likely
/// its file is gone. Its hits are not understood from then on, and counted.
pub(crate) const MAX_PROBES: usize = 4_096;

/// Attributes of one scope or mark of a program; 512 bytes hold no more of any use. Past it they are counted.
pub(crate) const MAX_PROBE_ATTRS: usize = 64;

/// Marks that a program gives one scope. A loop that marks each step makes no span a reader can open. Past it a mark is
/// dropped and counted.
pub(crate) const MAX_SCOPE_MARKS: usize = 1_024;

/// Scopes of connections without HTTP that begin below one request in a second: a page that asks for more has a loop around
/// its question. Past it what is asked is counted on the session.
pub(crate) const MAX_NET_SCOPES_OF_PARENT: u32 = 64;

/// The same of one process: a busy gateway's. At 600 bytes each they are half a megabyte of the spool. Past it as above.
pub(crate) const MAX_NET_SCOPES: u32 = 1_000;

/// Processes that are known at once: twice as many as the kernel side watches, since some have ended. Past it one
/// that has ended is forgotten, or one that has said nothing, or the oldest, and counted.
pub const MAX_PROCESSES: usize = 2 * cirron_common::maps::MAX_TARGETS as usize;

/// Bytes that the core holds in sum, unless told otherwise: heads, bodies being decoded, what waits for its
/// place, open scopes, connections, sessions. Ten thousand open streams fit. Past it the large and then the least
/// useful are given up first ([`crate::engine`]), their scopes say so, and each kind is counted.
pub const DEFAULT_MAX_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// The least that may be asked for: a server's hundred streams, and one body with a large window.
pub const MIN_MAX_MEMORY_BYTES: usize = 16 * 1024 * 1024;
