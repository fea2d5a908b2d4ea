//! TLS libraries: what their functions do, and what the kernel side keeps of an SSL object.
//!
//! A connection inside a TLS library is keyed by process and object address; its records carry the
//! address in `conn`, the time it was first seen in `epoch`, and [`crate::record::source::TLS`].

use crate::conn::{Positions, Turn};

/// What a function does. Where its values stand is its [`crate::signature::Signature`]'s.
pub mod op {
    /// Plaintext is read: `SSL_read`, `gnutls_record_recv`, Go's `(*Conn).Read`.
    pub const READ: u64 = 1;
    /// Plaintext is written: `SSL_write`, `gnutls_record_send`, Go's `(*Conn).Write`.
    pub const WRITE: u64 = 2;
    /// Bytes are written that never were in memory: `SSL_sendfile`.
    pub const SENDFILE: u64 = 3;
    /// Moves no plaintext, but reads and writes the socket: `SSL_do_handshake`.
    pub const HANDSHAKE: u64 = 4;
    /// The object begins as a server: `SSL_set_accept_state`, `SSL_accept`.
    pub const BEGIN_SERVER: u64 = 5;
    /// It begins as a client: `SSL_set_connect_state`, `SSL_connect`.
    pub const BEGIN_CLIENT: u64 = 6;
    /// It is gone: `SSL_free`, `gnutls_deinit`.
    pub const FREE: u64 = 7;
    /// No more is written: `SSL_shutdown`, `gnutls_bye`.
    pub const SHUTDOWN: u64 = 8;
    /// It is used anew: `SSL_clear`.
    pub const CLEAR: u64 = 9;
    /// The connection ends, and what others do with the object at that moment is still its own:
    /// Go's `(*Conn).Close`.
    pub const CLOSE: u64 = 10;
    /// A goroutine asks for an answer on the connection that the object is: Go's `net/http.(*persistConn).roundTrip`.
    pub const REQUEST: u64 = 11;
    /// A goroutine writes what was asked on it: `net/http.persistConnWriter.Write`.
    pub const SEND: u64 = 12;
    /// A secret of the connection is announced ([`crate::secret`]): OpenSSL's `ssl_log_secret`.
    pub const SECRET: u64 = 13;
}

/// Bits of a value of the process filter.
pub mod target {
    /// Places in a TLS library of this process are watched.
    pub const TLS: u32 = 1;
    /// Its children become targets with the same value.
    pub const CHILDREN: u32 = 2;
    /// It runs Go: the thread that makes a system call may be a goroutine's. Until it calls exec.
    pub const GO: u32 = 4;
    /// Its Python tells which context a thread is in ([`crate::python::Interpreter`]). Until it calls exec.
    pub const PYTHON: u32 = 8;
    /// Of a process that runs Go the bits of where a goroutine has its number (`goid`) in its `runtime.g`: the offset in
    /// words; 0: that is not known.
    pub const GOID: u32 = 0xff << GOID_SHIFT;
    /// Where [`GOID`] begins.
    pub const GOID_SHIFT: u32 = 8;
    /// The same of the number of the goroutine that made it (`parentGoid`). 0: of its goroutines' lives nothing is told.
    pub const GO_MAKER: u32 = 0xff << GO_MAKER_SHIFT;
    /// Where [`GO_MAKER`] begins.
    pub const GO_MAKER_SHIFT: u32 = 16;
    /// All that is known of what the process runs, which an exec changes.
    pub const RUNS: u32 = GO | GOID | GO_MAKER | PYTHON;
}

/// An SSL object of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslKey {
    /// Address of the object.
    pub object: u64,
    /// Process id.
    pub tgid: u64,
}

/// A goroutine of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoKey {
    /// Address of its `runtime.g`, which it keeps in `r14`.
    pub goroutine: u64,
    /// Process id.
    pub tgid: u64,
}

/// What is known of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslState {
    /// When it was first seen, monotonic ns: its generation.
    pub epoch: u64,
    /// Where its plaintext stands.
    pub at: Positions,
    /// Inode number of the socket that it was seen to use; 0: none.
    pub socket: u64,
    /// The socket that it may use, by the lengths of what was sent; 0: none.
    pub candidate: u64,
    /// How often in a row that was so.
    pub matches: u64,
    /// When [`op::CLOSE`] was called, monotonic ns; 0: it was not.
    pub closed_ns: u64,
    /// Who has read of it, where it is Go's: a goroutine may leave another one the rest of what it took from the socket.
    pub turn: Turn,
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, nothing but `u64`, every bit pattern is valid.
unsafe impl aya::Pod for SslKey {}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, nothing but `u64`, every bit pattern is valid.
unsafe impl aya::Pod for SslState {}

/// What a thread has written to a TLS object whose socket is not known, and not sent yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Address of the object; 0: of several, so that it is not known whose is sent first.
    pub object: u64,
    /// Plaintext bytes.
    pub bytes: u64,
    /// TLS records they make.
    pub records: u64,
}

impl Sealed {
    /// Plaintext of one record, at most (RFC 8446, section 5.1).
    pub const MAX_RECORD_BYTES: u64 = 1 << 14;

    /// With a further write of `bytes` to `object`.
    #[must_use]
    pub const fn and(self, object: u64, bytes: u64) -> Sealed {
        let one = self.records == 0 || self.object == object;
        Sealed {
            object: if one { object } else { 0 },
            bytes: self.bytes + bytes,
            records: self.records + bytes.div_ceil(Self::MAX_RECORD_BYTES),
        }
    }

    /// Whether `sent` bytes are all of it, encrypted: header, tag and nonce or content type are 21
    /// bytes a record (TLS 1.2 with ChaCha20-Poly1305), 22 (TLS 1.3) or 29 (TLS 1.2 with AES-GCM).
    pub const fn is_sent_by(self, sent: u64) -> bool {
        let bytes = self.bytes;
        let records = self.records;
        self.object != 0
            && (sent == bytes + 21 * records
                || sent == bytes + 22 * records
                || sent == bytes + 29 * records)
    }
}

/// A call under way.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslCall {
    /// Address of the object.
    pub object: u64,
    /// The caller's buffer.
    pub buffer: u64,
    /// What the entry knows of the number of bytes that will have moved: the number, or where it will be.
    pub moved: u64,
    /// One of [`op`].
    pub op: u32,
    /// Number of the function's signature.
    pub signature: u32,
    /// Where the stack pointer stood at the function's first instruction: a return elsewhere is
    /// another call's. 0 in Go, whose stacks move.
    pub stack: u64,
    /// When it began.
    pub ts_ns: u64,
}

impl SslCall {
    /// The stamp of `len` bytes that the call wrote and that returned at `now_ns`: of one record, when
    /// the call began, since another thread may read the peer's answer before this one gets to its
    /// return. More may have waited in the call for the peer to read: that is over at its return.
    #[inline(always)]
    pub fn written_at(&self, len: u64, now_ns: u64) -> u64 {
        if len <= Sealed::MAX_RECORD_BYTES {
            self.ts_ns
        } else {
            now_ns
        }
    }

    /// Whether it began behind the object's end at `closed_ns` (0: there was none): it is of another
    /// object, at the same address, whose beginning was not seen.
    #[inline(always)]
    pub const fn is_after(&self, closed_ns: u64) -> bool {
        closed_ns != 0 && self.ts_ns > closed_ns
    }
}

#[cfg(test)]
mod tests {
    use super::{Sealed, SslCall};

    #[test]
    fn a_call_under_way_at_the_end_is_not_after_it() {
        let call = SslCall {
            ts_ns: 5,
            ..SslCall::default()
        };
        assert!(!call.is_after(0) && !call.is_after(6) && !call.is_after(5) && call.is_after(4));
    }

    #[test]
    fn a_write_of_one_record_is_stamped_when_it_began() {
        let call = SslCall {
            ts_ns: 5,
            ..SslCall::default()
        };
        let most = Sealed::MAX_RECORD_BYTES;
        assert_eq!(call.written_at(most, 9), 5);
        assert_eq!(call.written_at(most + 1, 9), 9);
    }

    #[test]
    fn what_is_sent_is_told_by_its_length_in_each_version() {
        let one = Sealed::default().and(7, 100);
        for (sent, is) in [
            (121, true),
            (122, true),
            (129, true),
            (100, false),
            (123, false),
        ] {
            assert_eq!(one.is_sent_by(sent), is, "{sent}");
        }
        // Two writes, of which one makes two records.
        let more = one.and(7, Sealed::MAX_RECORD_BYTES + 1);
        assert!(more.is_sent_by(100 + Sealed::MAX_RECORD_BYTES + 1 + 3 * 22));
        assert!(!Sealed::default().is_sent_by(0));
    }

    #[test]
    fn of_two_objects_nothing_is_told() {
        let two = Sealed::default().and(7, 100).and(8, 50);
        assert!(!two.is_sent_by(150 + 2 * 22));
        assert!(!two.and(7, 1).is_sent_by(151 + 3 * 22));
    }
}
