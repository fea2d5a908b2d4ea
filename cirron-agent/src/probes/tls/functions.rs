//! The table of functions: what each means, and where its values stand.
//!
//! A row's signature goes to the programs as data (`cirron_common::signature`); a further function of a convention that is
//! known is a row here and nothing else.

use cirron_common::Signature;
use cirron_common::operand::{Convention, Operand};
use cirron_common::tls::op;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// The symbol.
    pub name: &'static str,
    /// Its calling convention.
    pub convention: Convention,
    /// What it does, and where its values stand.
    pub signature: Signature,
    /// Its end is seen as well.
    pub has_exit: bool,
}

/// Which way plaintext moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// It is read.
    In,
    /// It is written.
    Out,
}

impl Function {
    /// Which way it moves plaintext; `None` where it moves none.
    pub fn direction(&self) -> Option<Moves> {
        match self.signature.op {
            op::READ => Some(Moves::In),
            op::WRITE | op::SENDFILE => Some(Moves::Out),
            _ => None,
        }
    }
}

impl Function {
    /// It announces secrets.
    pub fn announces(&self) -> bool {
        self.signature.op == op::SECRET
    }

    /// Functions that the methods of OpenSSL 1.0's and old LibreSSL's objects hold where this one
    /// jumps through a pointer: before the version of the protocol is known, and then. What writes
    /// ends in another of them.
    pub fn methods(&self) -> &'static [&'static str] {
        match self.name {
            "SSL_read" => &["ssl23_read", "ssl3_read"],
            "SSL_write" => &["ssl23_write", "ssl3_write", "ssl3_write_bytes"],
            _ => &[],
        }
    }
}

const C: Convention = Convention::SystemV;
const GO: Convention = Convention::Go;

/// Bytes of C's `int`: a wider read would turn -1 into a length.
const INT: u8 = 4;

const fn function(name: &'static str, signature: Signature) -> Function {
    Function {
        name,
        convention: C,
        signature,
        has_exit: true,
    }
}

const fn event_function(name: &'static str, op: u64) -> Function {
    Function {
        name,
        convention: C,
        signature: Signature::event(op, C.argument(0)),
        has_exit: false,
    }
}

/// `result f(object, buffer, ...)`, where the result is the number of bytes.
const fn counted(op: u64, convention: Convention, result: Operand) -> Signature {
    Signature {
        buffer: convention.argument(1),
        moved: result,
        ..Signature::event(op, convention.argument(0))
    }
}

/// `int f(ssl, buf, num)`.
const fn int(op: u64) -> Signature {
    counted(op, C, C.result().signed(INT))
}

/// `ssize_t f(session, buf, num, ...)`.
const fn long(op: u64) -> Signature {
    counted(op, C, C.result())
}

/// `int f(ssl, buf, num, ..., size_t *n)`, where 1 is success and the argument at position `n` tells where the number is.
const fn through(op: u64, n: u8) -> Signature {
    Signature {
        success: C.result().signed(INT),
        ..counted(op, C, C.argument(n).pointee())
    }
}

/// `ssize_t f(ssl, fd, offset, size, flags)`: there is no buffer.
const SENDFILE: Signature = Signature {
    moved: C.result(),
    ..Signature::event(op::SENDFILE, C.argument(0))
};

const HANDSHAKE: Signature = Signature::event(op::HANDSHAKE, C.argument(0));

/// OpenSSL 1.1 and 3, BoringSSL, LibreSSL, GnuTLS. A library has those of its family.
pub const FUNCTIONS: &[Function] = &[
    function("SSL_read", int(op::READ)),
    function("SSL_write", int(op::WRITE)),
    function("SSL_read_ex", through(op::READ, 3)),
    function("SSL_write_ex", through(op::WRITE, 3)),
    function("SSL_write_ex2", through(op::WRITE, 4)),
    function("SSL_read_early_data", through(op::READ, 3)),
    function("SSL_write_early_data", through(op::WRITE, 3)),
    function("SSL_sendfile", SENDFILE),
    function("SSL_do_handshake", HANDSHAKE),
    event_function("SSL_set_accept_state", op::BEGIN_SERVER),
    event_function("SSL_set_connect_state", op::BEGIN_CLIENT),
    event_function("SSL_accept", op::BEGIN_SERVER),
    event_function("SSL_connect", op::BEGIN_CLIENT),
    event_function("SSL_shutdown", op::SHUTDOWN),
    event_function("SSL_clear", op::CLEAR),
    event_function("SSL_free", op::FREE),
    function("gnutls_record_recv", long(op::READ)),
    function("gnutls_record_send", long(op::WRITE)),
    function("gnutls_record_send2", long(op::WRITE)),
    function("gnutls_handshake", HANDSHAKE),
    event_function("gnutls_bye", op::SHUTDOWN),
    event_function("gnutls_deinit", op::FREE),
];

/// The function by which a library announces its secrets (OpenSSL's and BoringSSL's `ssl_log_secret`, `void f(object, name,
/// secret, bytes)`, GnuTLS's with the same arguments). It is found by what it is called with
/// ([`crate::probes::locate::labels`]).
pub static ANNOUNCER: Function = Function {
    name: "ssl_log_secret",
    convention: C,
    signature: Signature {
        name: C.argument(1),
        buffer: C.argument(2),
        moved: C.argument(3).unsigned(INT),
        ..Signature::event(op::SECRET, C.argument(0))
    },
    has_exit: false,
};

/// `func (c *Conn) f(b []byte) (int, error)`.
const fn go_data(name: &'static str, op: u64) -> Function {
    Function {
        name,
        convention: GO,
        signature: counted(op, GO, GO.result()),
        has_exit: true,
    }
}

const fn go_event(name: &'static str, op: u64) -> Function {
    Function {
        name,
        convention: GO,
        signature: Signature::event(op, GO.argument(0)),
        has_exit: false,
    }
}

/// Go's `crypto/tls`, and its HTTP client. The handshake functions run once for each connection.
pub const GO_FUNCTIONS: &[Function] = &[
    go_data("crypto/tls.(*Conn).Read", op::READ),
    go_data("crypto/tls.(*Conn).Write", op::WRITE),
    go_event("crypto/tls.(*Conn).Close", op::CLOSE),
    go_event("crypto/tls.(*Conn).CloseWrite", op::SHUTDOWN),
    go_event("crypto/tls.(*Conn).serverHandshake", op::BEGIN_SERVER),
    go_event("crypto/tls.(*Conn).clientHandshake", op::BEGIN_CLIENT),
    go_event("net/http.(*persistConn).roundTrip", op::REQUEST),
    // Of a structure that is one pointer: the connection.
    go_event("net/http.persistConnWriter.Write", op::SEND),
];

/// A function without a symbol, which a library calls from more places than its exported functions.
#[derive(Clone, Copy, Debug)]
pub struct Hidden {
    /// An exported function that hands its own arguments to it.
    pub door: &'static str,
    /// What it is; the name is that of the library's source.
    pub function: Function,
}

/// Those of OpenSSL. Its filter (`BIO_f_ssl`) calls them and none of [`FUNCTIONS`]. Of two doors to
/// the same function the first counts, which has the form of its own time.
pub const HIDDEN: &[Hidden] = &[
    Hidden {
        door: "SSL_read_ex",
        function: function("ssl_read_internal", through(op::READ, 3)),
    },
    Hidden {
        door: "SSL_write_ex2",
        function: function("ssl_write_internal", through(op::WRITE, 4)),
    },
    Hidden {
        door: "SSL_write_ex",
        function: function("ssl_write_internal", through(op::WRITE, 3)),
    },
];

/// How all names of [`wanted`] begin: what is looked for in a string table at first.
pub const STEMS: [&str; 4] = ["SSL_", "gnutls_", "ssl3_", "ssl23_"];
/// Bytes of the longest name of [`wanted`], and more.
pub const MAX_NAME_BYTES: usize = 32;

/// Names of symbols that we look for: those of [`FUNCTIONS`], and what methods hold.
pub fn wanted() -> impl Iterator<Item = &'static str> {
    let methods = FUNCTIONS.iter().flat_map(|f| f.methods()).copied();
    FUNCTIONS.iter().map(|f| f.name).chain(methods)
}

/// The row of a symbol.
pub fn named(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name)
}

#[cfg(test)]
mod tests {
    use cirron_common::operand::Spot;

    use super::*;

    #[test]
    fn every_name_is_looked_for_by_a_stem_and_held_by_a_block() {
        for name in wanted() {
            assert!(STEMS.iter().any(|stem| name.starts_with(stem)), "{name}");
            assert!(name.len() < MAX_NAME_BYTES, "{name}");
        }
    }
    fn all() -> impl Iterator<Item = &'static Function> {
        let hidden = HIDDEN.iter().map(|hidden| &hidden.function);
        FUNCTIONS.iter().chain(GO_FUNCTIONS).chain(hidden)
    }

    #[test]
    fn the_programs_can_read_every_signature() {
        assert!(ANNOUNCER.signature.is_valid());
        for f in all() {
            assert!(f.signature.is_valid(), "{}", f.name);
            // Where bytes move, the end tells how many.
            assert_eq!(f.direction().is_some(), !f.signature.moved.is_absent());
            assert!(f.has_exit || f.direction().is_none(), "{}", f.name);
        }
        let different: std::collections::HashSet<_> = all().map(|f| f.signature).collect();
        assert_eq!(different.len(), 22);
    }

    /// At a call the return address is not on the stack yet: an operand there would lie elsewhere.
    #[test]
    fn what_is_watched_at_its_call_has_its_values_in_registers() {
        for hidden in HIDDEN {
            for operand in hidden.function.signature.operands() {
                let spot = operand.spot();
                assert!(
                    matches!(spot, Some(Spot::Absent | Spot::Register(_))),
                    "{spot:?}"
                );
            }
        }
    }
}
