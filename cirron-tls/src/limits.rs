//! Every bound of this crate, each with its reason and with what happens past it.

/// Ciphertext of one direction that waits for a secret. A client's Finished and its first request come in one read,
/// before the secret was told; a window of Linux's first ten segments over loopback fits. Past it the connection is
/// given up ([`crate::Reason::NoSecret`]).
pub const MAX_HELD_BYTES: usize = 64 * 1024;

/// Sets of secrets of TLS 1.3, and masters of TLS 1.2, that a pool keeps of each. 4 096 handshakes at once in one
/// process are more than any server here was seen with; they take 2 MB. Past it the oldest is wiped, and counted.
pub const MAX_POOL_SECRETS: usize = 4_096;

/// Secrets that one connection tries in all. 400 handshakes at once took one try each, newest first; 2 048 tries take
/// 4 ms. Past it the connection is given up ([`crate::Reason::NoMatch`]).
pub(crate) const MAX_TRIALS: u64 = 2_048;

/// Bytes of a handshake message that is read (hellos, encrypted extensions). With keys of post-quantum exchanges a
/// hello has 2 KB, with a ticket in it 16 KB at most. Past it the connection is given up
/// ([`crate::Reason::HelloTooLong`]).
pub(crate) const MAX_MESSAGE_BYTES: usize = 32 * 1024;

/// Payload of a record: 2^14, and 2 048 that TLS 1.2 allows for its protection (1.3 allows 256). What says more is no
/// record.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 16_384 + 2_048;

/// Memory that an idle direction keeps for its next bytes. Most records of a stream of events fit; a larger buffer
/// goes when it is empty.
pub(crate) const KEPT_BUFFER_BYTES: usize = 2 * 1024;

/// Connections that one set of secrets can belong to where it was told with its client's random: a process that is
/// both ends of a connection has one random for two sockets.
pub(crate) const ENDS_OF_A_RANDOM: u8 = 2;

/// Bytes that one resynchronisation tries numbers on, where they must be searched. ChaCha20-Poly1305 opens 2 000 MB a
/// second, so it ends after some 15 ms. Past it the connection is given up ([`crate::Reason::Lost`]).
pub(crate) const MAX_SEARCH_BYTES: u64 = 32 * 1024 * 1024;

/// What one try costs beside its bytes, in bytes that could be opened meanwhile: 200 ns.
pub(crate) const TRY_OVERHEAD_BYTES: usize = 256;

/// Key updates that may be in one hole. A library asks for one after some 2^24 records or hours, so a second is rare
/// already.
pub(crate) const MAX_UPDATES_IN_A_HOLE: usize = 3;

/// Masters that are tried on a TLS 1.2 handshake which resumes none: its own has just come, others may have come
/// behind it. Where one is resumed, all are tried.
pub(crate) const RECENT_MASTERS: usize = 32;

/// Numbers that are tried for the first record of a connection joined late, where they cannot be computed: 0.3 ms for
/// ChaCha20-Poly1305 on 200 bytes, and so 100 secrets within [`MAX_SEARCH_BYTES`]. Past it the record is taken for
/// another connection's: an older connection with ChaCha20 is not found.
pub(crate) const MAX_LATE_NUMBER: u64 = 1_000;
