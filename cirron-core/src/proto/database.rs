//! Which protocol of a database or cache a connection speaks, by the first bytes of both directions.
//!
//! Stands beside [`super::sniff`], for connections that carry no HTTP. It names a protocol by positive evidence alone: by
//! bytes that its specification has first, and that no other one has. It keeps nothing, and reads no statement.

use crate::cut::behind;

/// First bytes of a direction that are looked at: a startup packet's and a greeting's heads, the longest beginning of an array
/// of RESP.
pub(crate) const FIRST_BYTES: usize = 16;

/// What `SSLRequest` of PostgreSQL is: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The same with 80877104, `GSSENCRequest`.
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
/// Longest startup packet that a server takes (`MAX_STARTUP_PACKET_LENGTH`).
const MAX_STARTUP_LEN: u32 = 10_000;
/// Version of MySQL's greeting.
const MYSQL_PROTOCOL: u8 = 10;
/// Head of MySQL's request for TLS: 32 bytes, packet 1.
const MYSQL_SSL: [u8; 4] = [32, 0, 0, 1];

/// The protocol that the first bytes of what a client wrote and read are of.
pub(crate) fn protocol(written: &[u8], read: &[u8]) -> Option<&'static str> {
    if is_postgresql(written) {
        Some("postgresql")
    } else if is_resp(written) {
        Some("redis")
    } else if is_mysql(read) {
        Some("mysql")
    } else {
        None
    }
}

/// Whether what follows on such a connection is TLS, as far as its first bytes say.
pub(crate) fn goes_on_in_tls(written: &[u8], read: &[u8]) -> bool {
    let postgresql = written.starts_with(&SSL_REQUEST) && read.first() == Some(&b'S');
    postgresql || is_mysql(read) && written.starts_with(&MYSQL_SSL)
}

/// A startup packet of protocol 3, or a request for encryption before it.
fn is_postgresql(written: &[u8]) -> bool {
    if written.starts_with(&SSL_REQUEST) || written.starts_with(&GSS_REQUEST) {
        return true;
    }
    match *written {
        [a, b, c, d, 0, 3, 0, 0 | 2, ..] => {
            (8..=MAX_STARTUP_LEN).contains(&u32::from_be_bytes([a, b, c, d]))
        }
        _ => false,
    }
}

/// An array of bulk strings of RESP: `*N\r\n$`.
fn is_resp(written: &[u8]) -> bool {
    let Some(rest) = written.strip_prefix(b"*") else {
        return false;
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && behind(rest, digits).starts_with(b"\r\n$")
}

/// A server's greeting: packet 0, protocol 10, a version that begins with a digit.
fn is_mysql(read: &[u8]) -> bool {
    matches!(*read, [_, _, 0, 0, MYSQL_PROTOCOL, version, ..] if version.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTUP: &[u8] = &[0, 0, 0, 41, 0, 3, 0, 0, b'u', b's', b'e', b'r', 0];
    const GREETING: &[u8] = &[74, 0, 0, 0, 10, b'8', b'.', b'0'];

    #[test]
    fn first_bytes_name_their_protocol_and_a_part_of_them_none() {
        let ping = b"*1\r\n$4\r\nPING\r\n";
        for (written, read, want) in [
            (STARTUP, &b"R"[..], "postgresql"),
            (&SSL_REQUEST, b"N", "postgresql"),
            (&GSS_REQUEST, b"N", "postgresql"),
            (ping, b"+PONG", "redis"),
            (b"", GREETING, "mysql"),
        ] {
            assert_eq!(protocol(written, read), Some(want));
        }
        for cut in 0..8 {
            assert_eq!(protocol(&STARTUP[..cut], b""), None, "{cut}");
        }
        for cut in 0..5 {
            assert_eq!(protocol(&ping[..cut.min(4)], b""), None, "{cut}");
        }
        for cut in 0..6 {
            assert_eq!(protocol(b"", &GREETING[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_only_resembles_one_has_no_name() {
        for (written, read) in [
            (&b"version\r\n"[..], &b"VERSION 1.6"[..]),
            (&[0, 0, 0, 4, 0, 3, 0, 0], b""),
            (&[0, 1, 0, 0, 0, 3, 0, 0], b""),
            (&[0, 0, 0, 41, 0, 2, 0, 0], b""),
            (b"*\r\n$4", b""),
            (b"*12\r\n+", b""),
            (b"", &[74, 0, 0, 0, 9, b'8']),
            (b"", &[74, 0, 0, 1, 10, b'8']),
            (b"", &[74, 0, 0, 0, 10, b'x']),
        ] {
            assert_eq!(protocol(written, read), None, "{written:?} {read:?}");
        }
    }

    #[test]
    fn what_is_asked_for_tls_and_gets_it_goes_on_in_it() {
        assert!(goes_on_in_tls(&SSL_REQUEST, b"S"));
        assert!(!goes_on_in_tls(&SSL_REQUEST, b"N"));
        assert!(!goes_on_in_tls(STARTUP, b"S"));
        assert!(goes_on_in_tls(&[32, 0, 0, 1, 5], GREETING));
        assert!(!goes_on_in_tls(&[33, 0, 0, 1, 5], GREETING));
    }
}
