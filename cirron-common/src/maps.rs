//! Names and sizes of the maps. Names are unique within 15 characters.

/// Ring buffer of records.
pub const RING: &str = "RING";
/// Hash: tgid to flags; the process filter.
pub const TARGETS: &str = "TARGETS";
/// LRU hash: socket inode to `ConnState`.
pub const CONNS: &str = "CONNS";
/// LRU hash: `tgid << 32 | fd` to socket inode, for `close`.
pub const FDS: &str = "FDS";
/// LRU hash: socket inode to the epoch that the agent wants no more bytes of.
pub const MUTED: &str = "MUTED";
/// LRU hash: [`crate::tls::SslKey`] to [`crate::tls::SslState`]. Gone with its object; one of Go's stays,
/// closed, until another is made at its address.
pub const SSLS: &str = "SSLS";
/// LRU hash: `tgid << 32 | tid` to [`crate::tls::SslCall`].
pub const SSL_CALLS: &str = "SSL_CALLS";
/// LRU hash: [`crate::tls::GoKey`] to [`crate::tls::SslCall`].
pub const GO_CALLS: &str = "GO_CALLS";
/// LRU hash: `tgid << 32 | tid` to [`crate::tls::Sealed`].
pub const SEALED: &str = "SEALED";
/// Array of [`crate::Signature`]: what the functions mean that programs stand in. The number is in the place's cookie.
pub const SIGNATURES: &str = "SIGNATURES";
/// Array of [`crate::Shape`]: what is read at probes by rules. The number is in the place's cookie.
pub const SHAPES: &str = "SHAPES";
/// LRU hash: [`crate::shape::RateKey`] to [`crate::shape::Rate`].
pub const RATES: &str = "RATES";
/// LRU hash: [`crate::shape::SkipKey`] to the beginnings that were left out and the thread is in: of a function the frame
/// of the outermost, else how many.
pub const SKIPS: &str = "SKIPS";
/// LRU hash: a thread, as the helper gives it, that has come to a probe at which something begins.
pub const BEGINNERS: &str = "BEGINNERS";
/// Hash: tgid to [`crate::python::Interpreter`].
pub const INTERPRETERS: &str = "INTERPRETERS";
/// LRU hash: [`crate::conn::Runner`] to when it waited for several things at once last, or was first seen to read by calls
/// that wait, monotonic ns: its turn began then.
pub const TURNS: &str = "TURNS";
/// LRU hash: [`crate::tls::GoKey`] of a client's connection (`net/http.persistConn`) to the goroutine that asked there last.
pub const GO_ASKED: &str = "GO_ASKED";
/// LRU hash: [`crate::conn::Runner`] of a goroutine that writes for others to the one that it writes for.
pub const GO_WRITERS: &str = "GO_WRITERS";
/// Per-CPU array of [`crate::Counter`].
pub const COUNTERS: &str = "COUNTERS";
/// The read-only global of type [`crate::KernelConfig`].
pub const CONFIG: &str = "CONFIG";

/// Processes watched at once.
pub const MAX_TARGETS: u32 = 8_192;
/// Connections tracked at once; the least recently used is forgotten first.
pub const MAX_CONNS: u32 = 65_536;
/// Descriptors tracked at once.
pub const MAX_FDS: u32 = 131_072;
/// TLS objects tracked at once; the least recently used is forgotten first.
pub const MAX_SSLS: u32 = 65_536;
/// Threads inside a TLS library at once. One is forgotten where more are, and its
/// bytes with it: they are a gap at the next call.
pub const MAX_SSL_CALLS: u32 = 16_384;
/// Threads that have sealed bytes in memory and not sent them.
pub const MAX_SEALED: u32 = 16_384;
/// Goroutines inside `crypto/tls` at once: each open connection has one that waits in a read.
pub const MAX_GO_CALLS: u32 = 65_536;
/// Different signatures of functions: TLS libraries have 20 between them, and a place with operands of its own takes one.
/// A function past it is not watched.
pub const MAX_SIGNATURES: u32 = 1_024;
/// Different shapes of probes by rules: those of `cirron-probe` are 7, PostgreSQL's probes 60. A probe past it is not
/// watched. The cookie has room for 4 096.
pub const MAX_SHAPES: u32 = 2_048;
/// Probes of processes whose hits are counted at once; of one that is forgotten the count of what was left out is too,
/// but not in the sum of all.
pub const MAX_RATES: u32 = 16_384;
/// Processes that begin to listen and are told of in a second. Whoever has no rights can call `listen` all the time, and
/// each record wakes the reader; when a machine boots, or a hundred pods start, the scan finds the rest.
pub const LISTENERS_A_SECOND: u64 = 128;
/// Threads at once that are inside of beginnings that were left out.
pub const MAX_SKIPS: u32 = 16_384;
/// Threads whose exit is told, since a scope of theirs may be open. What one that is forgotten leaves open ends with its
/// process.
pub const MAX_BEGINNERS: u32 = 16_384;
/// Processes at once whose Python tells contexts: a server's workers, at most a tenth of all targets. What is called by one
/// past it is not known by its contexts.
pub const MAX_INTERPRETERS: u32 = 1_024;
/// Threads and goroutines that read by calls that wait. Of one that is forgotten it is not known whether it did something
/// else between a read and a write.
pub const MAX_TURNS: u32 = 16_384;
/// Connections of Go's HTTP client. Who asked on one that is forgotten is not known.
pub const MAX_GO_ASKED: u32 = 16_384;
/// Connections muted at once.
pub const MAX_MUTED: u32 = 65_536;
/// Bytes of the ring where nothing else is asked for. At 20 000 calls a second of half a kilobyte
/// it holds about 1.6 s.
pub const RING_BYTES: u32 = 32 * 1024 * 1024;

/// The maps whose entries are many and large, with their sizes. Where memory is short each is made smaller: what is
/// followed at once is less then.
pub const HALVED: [(&str, u32); 7] = [
    (CONNS, MAX_CONNS),
    (FDS, MAX_FDS),
    (MUTED, MAX_MUTED),
    (SSLS, MAX_SSLS),
    (SSL_CALLS, MAX_SSL_CALLS),
    (GO_CALLS, MAX_GO_CALLS),
    (SEALED, MAX_SEALED),
];
