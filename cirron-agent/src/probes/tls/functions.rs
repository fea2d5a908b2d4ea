//! The table of functions: what each means, and what its probe needs.

use cirron_common::tls::op;

/// An argument of a calling convention, by its position.
pub type Argument = u8;

/// How arguments are passed and results returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// C's on x86-64: `rdi`, `rsi`, `rdx`, ...; the result in `rax`.
    SystemV,
    /// Go's since 1.17: `rax`, `rbx`, `rcx`, ...; the first result in `rax`, the goroutine in `r14`.
    Go,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// The symbol.
    pub name: &'static str,
    /// One of `cirron_common::tls::op`: the attach cookie.
    pub op: u64,
    /// Its calling convention.
    pub abi: Abi,
    /// Arguments that the entry reads, by position.
    pub needs: &'static [Argument],
    /// The result is read as well.
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
        match self.op {
            op::READ | op::READ_EX | op::READ_LONG => Some(Moves::In),
            op::WRITE | op::WRITE_EX | op::WRITE_EX2 | op::WRITE_LONG | op::SENDFILE => {
                Some(Moves::Out)
            }
            _ => None,
        }
    }
}

impl Function {
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

const fn data_function(name: &'static str, op: u64, needs: &'static [Argument]) -> Function {
    Function {
        name,
        op,
        abi: Abi::SystemV,
        needs,
        has_exit: true,
    }
}

const fn event_function(name: &'static str, op: u64) -> Function {
    Function {
        name,
        op,
        abi: Abi::SystemV,
        needs: &[0],
        has_exit: false,
    }
}

/// OpenSSL 1.1 and 3, BoringSSL, LibreSSL, GnuTLS. A library has those of its family.
pub const FUNCTIONS: &[Function] = &[
    data_function("SSL_read", op::READ, &[0, 1]),
    data_function("SSL_write", op::WRITE, &[0, 1]),
    data_function("SSL_read_ex", op::READ_EX, &[0, 1, 3]),
    data_function("SSL_write_ex", op::WRITE_EX, &[0, 1, 3]),
    data_function("SSL_write_ex2", op::WRITE_EX2, &[0, 1, 4]),
    data_function("SSL_read_early_data", op::READ_EX, &[0, 1, 3]),
    data_function("SSL_write_early_data", op::WRITE_EX, &[0, 1, 3]),
    data_function("SSL_sendfile", op::SENDFILE, &[0]),
    data_function("SSL_do_handshake", op::HANDSHAKE, &[0]),
    event_function("SSL_set_accept_state", op::BEGIN_SERVER),
    event_function("SSL_set_connect_state", op::BEGIN_CLIENT),
    event_function("SSL_accept", op::BEGIN_SERVER),
    event_function("SSL_connect", op::BEGIN_CLIENT),
    event_function("SSL_shutdown", op::SHUTDOWN),
    event_function("SSL_clear", op::CLEAR),
    event_function("SSL_free", op::FREE),
    data_function("gnutls_record_recv", op::READ_LONG, &[0, 1]),
    data_function("gnutls_record_send", op::WRITE_LONG, &[0, 1]),
    data_function("gnutls_record_send2", op::WRITE_LONG, &[0, 1]),
    data_function("gnutls_handshake", op::HANDSHAKE, &[0]),
    event_function("gnutls_bye", op::SHUTDOWN),
    event_function("gnutls_deinit", op::FREE),
];

const fn go_function(
    name: &'static str,
    op: u64,
    needs: &'static [Argument],
    has_exit: bool,
) -> Function {
    Function {
        name,
        op,
        abi: Abi::Go,
        needs,
        has_exit,
    }
}

/// Go's `crypto/tls`. The handshake functions run once for each connection.
pub const GO_FUNCTIONS: &[Function] = &[
    go_function("crypto/tls.(*Conn).Read", op::READ_LONG, &[0, 1], true),
    go_function("crypto/tls.(*Conn).Write", op::WRITE_LONG, &[0, 1], true),
    go_function("crypto/tls.(*Conn).Close", op::CLOSE, &[0], false),
    go_function("crypto/tls.(*Conn).CloseWrite", op::SHUTDOWN, &[0], false),
    go_function(
        "crypto/tls.(*Conn).serverHandshake",
        op::BEGIN_SERVER,
        &[0],
        false,
    ),
    go_function(
        "crypto/tls.(*Conn).clientHandshake",
        op::BEGIN_CLIENT,
        &[0],
        false,
    ),
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
        function: data_function("ssl_read_internal", op::READ_EX, &[0, 1, 3]),
    },
    Hidden {
        door: "SSL_write_ex2",
        function: data_function("ssl_write_internal", op::WRITE_EX2, &[0, 1, 4]),
    },
    Hidden {
        door: "SSL_write_ex",
        function: data_function("ssl_write_internal", op::WRITE_EX, &[0, 1, 3]),
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
    use super::*;

    #[test]
    fn every_name_is_looked_for_by_a_stem_and_held_by_a_block() {
        for name in wanted() {
            assert!(STEMS.iter().any(|stem| name.starts_with(stem)), "{name}");
            assert!(name.len() < MAX_NAME_BYTES, "{name}");
        }
    }
}
