//! Which protocol of a database or cache a connection speaks, by the first bytes of both directions, or of a connection that
//! was joined late by a question and its answer.
//!
//! Stands beside [`super::sniff`], for connections that carry no HTTP. It names a protocol by positive evidence alone: by
//! bytes that its specification has first, and that no other one has; later by lengths that fit exactly, in the question,
//! and a head that answers it. It keeps nothing, and reads no statement.

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

/// Longest message of PostgreSQL (`MaxAllocSize`).
const MAX_MESSAGE_LEN: u64 = 0x3fff_ffff;
/// Head of a message of PostgreSQL: its kind, its length with those four bytes.
const MESSAGE_HEAD_LEN: u64 = 5;
/// Kinds of messages with which a client asks, and those that may follow.
const PG_ASKS: &[u8] = b"QPBEDCSHFdcf";
/// Kinds of messages of a server.
const PG_ANSWERS: &[u8] = b"123ACDEGHIKNRSTVWZcdnst";
/// Head of a packet of MySQL: three bytes of length, a number.
const PACKET_HEAD_LEN: u64 = 4;
/// Longest first line of an answer of RESP whose kind has a number or a word in it: a bignum aside.
const MAX_RESP_LINE_BYTES: usize = 32;

/// What the first record of a question has the whole form of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A row of messages, to the last byte.
    Postgresql,
    /// One packet, to the last byte, with number 0.
    Mysql,
    /// The beginning of an array of bulk strings.
    Redis,
}

/// `first`: the first bytes of what was written at once, `len` bytes.
pub(crate) fn asked(first: &[u8], len: u64) -> Option<Asked> {
    let is_command = |byte: u8| matches!(byte, 1..=0x1f | 0xfa);
    if is_resp(first) {
        Some(Asked::Redis)
    } else if pg_messages(first, len, PG_ASKS) == Some(Row::Whole) {
        Some(Asked::Postgresql)
    } else {
        match *first {
            [a, b, c, 0, command, ..] if is_command(command) => {
                (PACKET_HEAD_LEN + packet_len([a, b, c]) == len).then_some(Asked::Mysql)
            }
            _ => None,
        }
    }
}

impl Asked {
    /// As `cirron.net.protocol`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Asked::Postgresql => "postgresql",
            Asked::Mysql => "mysql",
            Asked::Redis => "redis",
        }
    }

    /// Whether these are the first bytes of an answer to it.
    pub(crate) fn is_answered_by(self, first: &[u8]) -> bool {
        match self {
            Asked::Postgresql => pg_messages(first, u64::MAX, PG_ANSWERS).is_some(),
            Asked::Mysql => is_packets_from_1(first),
            Asked::Redis => is_resp_answer(first),
        }
    }
}

/// How a row of heads ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// With the last byte.
    Whole,
    /// Behind what is here.
    Open,
}

/// Messages of these kinds, of which `first` is the beginning, `len` bytes in all. `None`: they are none.
fn pg_messages(first: &[u8], len: u64, kinds: &[u8]) -> Option<Row> {
    let mut at = 0;
    while at < len {
        let rest = usize::try_from(at).map_or(&[][..], |at| behind(first, at));
        let &[kind, a, b, c, d, ..] = rest else {
            return (at > 0).then_some(Row::Open);
        };
        let message = u64::from(u32::from_be_bytes([a, b, c, d]));
        if !kinds.contains(&kind) || !(MESSAGE_HEAD_LEN - 1..=MAX_MESSAGE_LEN).contains(&message) {
            return None;
        }
        at += message + 1;
    }
    (at == len && len > 0).then_some(Row::Whole)
}

fn packet_len([a, b, c]: [u8; 3]) -> u64 {
    u64::from(u32::from_le_bytes([a, b, c, 0]))
}

/// Packets with the numbers 1, 2, ..., as far as their heads are here, and a byte behind the first one.
fn is_packets_from_1(first: &[u8]) -> bool {
    let mut rest = first;
    let mut number = 1_u8;
    while let &[a, b, c, told, ..] = rest {
        if told != number || a == 0 && b == 0 && c == 0 {
            return false;
        }
        number = number.wrapping_add(1);
        let len = usize::try_from(PACKET_HEAD_LEN + packet_len([a, b, c]));
        rest = behind(rest, len.unwrap_or(usize::MAX));
    }
    first.len() as u64 > PACKET_HEAD_LEN
}

/// An answer's kind, and the rest of its first line.
fn is_resp_answer(first: &[u8]) -> bool {
    let Some((kind, rest)) = first.split_first() else {
        return false;
    };
    let line = rest
        .windows(2)
        .take(MAX_RESP_LINE_BYTES)
        .position(|end| end == b"\r\n");
    let line = line.map(|end| crate::cut::upto(rest, end));
    match kind {
        b'+' | b'-' => rest.first().is_some_and(u8::is_ascii_alphanumeric),
        b':' | b'$' | b'*' | b'%' | b'~' | b'>' | b'!' | b'=' => line.is_some_and(|line| {
            let digits = line.strip_prefix(b"-").unwrap_or(line);
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }),
        b'_' => line == Some(b""),
        b'#' => matches!(line, Some(b"t" | b"f")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 4).unwrap_or_default();
        [&[kind][..], &len.to_be_bytes(), body].concat()
    }

    #[test]
    fn a_question_and_its_answer_name_their_protocol_in_the_middle() {
        let simple = message(b'Q', b"SELECT 1\0");
        let extended = [
            message(b'P', b"\0SELECT 1\0\0\0"),
            message(b'B', &[0; 8]),
            message(b'E', &[0; 5]),
            message(b'S', b""),
        ]
        .concat();
        let row = message(b'T', &[0, 1]);
        let packet =
            |number, body: &[u8]| [&[body.len().to_le_bytes()[0], 0, 0, number][..], body].concat();
        let query = packet(0, b"\x03SELECT 1");
        let answer = [packet(1, &[1]), packet(2, b"column")].concat();
        for (written, read, want) in [
            (&simple[..], &row[..], Asked::Postgresql),
            (&extended, b"1\0\0\0\x042\0\0", Asked::Postgresql),
            (&query, &answer, Asked::Mysql),
            (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", Asked::Redis),
            (b"*1\r\n$4\r\nPING\r\n", b"$-1\r\n", Asked::Redis),
            (b"*1\r\n$4\r\nPING\r\n", b"#t\r\n", Asked::Redis),
        ] {
            assert_eq!(asked(written, written.len() as u64), Some(want));
            assert!(want.is_answered_by(read), "{want:?}");
            assert!(!want.is_answered_by(b""), "{want:?}");
            if want != Asked::Redis {
                assert_eq!(asked(written, written.len() as u64 + 1), None, "{want:?}");
                assert_eq!(asked(&written[1..], written.len() as u64 - 1), None);
            }
        }
        // The length is what was written, however much of it is here.
        assert_eq!(
            asked(&simple[..6], simple.len() as u64),
            Some(Asked::Postgresql)
        );
        assert_eq!(asked(&simple[..4], simple.len() as u64), None);
    }

    #[test]
    fn what_only_resembles_an_answer_is_none() {
        for (asked, read) in [
            (Asked::Postgresql, &b"HTTP/1.1 200 OK"[..]),
            (Asked::Postgresql, b"T\0\0\0\x03x"),
            (Asked::Postgresql, b"T\0\0"),
            (Asked::Postgresql, b"Z\0\0\0\x05I?\0\0\0\x05"),
            (Asked::Mysql, &[1, 0, 0, 0, 1]),
            (Asked::Mysql, &[1, 0, 0, 1]),
            (Asked::Mysql, &[1, 0, 0, 1, 1, 9, 0, 0, 3]),
            (Asked::Redis, b"*2"),
            (Asked::Redis, b"$x\r\n"),
            (Asked::Redis, b"+\r\n"),
            (Asked::Redis, b"HTTP/1.1"),
        ] {
            assert!(!asked.is_answered_by(read), "{asked:?} {read:?}");
        }
        for written in [&b"QUIT\r\n"[..], b"get x\r\n", &[5, 0, 0, 0, 0, 1, 2, 3, 4]] {
            assert_eq!(asked(written, written.len() as u64), None, "{written:?}");
        }
    }

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
