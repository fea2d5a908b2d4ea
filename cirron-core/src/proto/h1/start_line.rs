//! Start lines: does this look like the first line of an HTTP/1 message?
//!
//! Used where there is no framing to stand on: at the first bytes of a connection, after a hole,
//! and when joining late. The first of a connection may have any method (RFC 9110, section 9.1): what else it
//! takes to be a request line tells enough. Elsewhere only known ones are. Framed heads do not pass here.

use crate::cut::{behind, upto};
use crate::limits::MAX_HEAD_BYTES;

/// An answer about bytes of which more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plausible {
    /// It is one.
    Yes,
    /// It is not, whatever follows.
    No,
    /// It may become one.
    NeedMore,
}

/// Longest method taken for one: `UPDATEREDIRECTREF` of the IANA registry has 17.
const MAX_METHOD_BYTES: usize = 24;

/// The methods of RFC 9110, PATCH, and those of WebDAV, caching proxies and UPnP that are in use.
const KNOWN_METHODS: [&[u8]; 25] = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"QUERY",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"PURGE",
    b"M-SEARCH",
    b"NOTIFY",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"MKCALENDAR",
];

/// As [`request`], with a method that is known: where the bytes before were not seen, `OST` is what
/// a hole left of another.
pub(crate) fn known_request(bytes: &[u8]) -> Plausible {
    let method = bytes.split(|b| *b == b' ').next().unwrap_or_default();
    let complete = method.len() < bytes.len();
    let known = |m: &&[u8]| {
        if complete {
            *m == method
        } else {
            m.starts_with(method)
        }
    };
    if KNOWN_METHODS.iter().any(known) {
        request(bytes)
    } else {
        Plausible::No
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// `METHOD SP target SP HTTP/1.x (CR) LF` (RFC 9112, section 3).
pub(crate) fn request(bytes: &[u8]) -> Plausible {
    let method = bytes.iter().take_while(|b| is_token(**b)).count();
    if method > MAX_METHOD_BYTES {
        return Plausible::No;
    }
    match bytes.get(method) {
        None => return Plausible::NeedMore,
        Some(b' ') if method > 0 => {}
        Some(_) => return Plausible::No,
    }
    let rest = behind(bytes, method + 1);
    let target = rest
        .iter()
        .take_while(|b| **b > b' ' && **b != 0x7f)
        .count();
    match rest.first() {
        None => return Plausible::NeedMore,
        Some(b'/' | b'*' | b'[') => {}
        Some(b) if b.is_ascii_alphanumeric() => {}
        Some(_) => return Plausible::No,
    }
    match rest.get(target) {
        None if bytes.len() > MAX_HEAD_BYTES => return Plausible::No,
        None => return Plausible::NeedMore,
        Some(b' ') => {}
        Some(_) => return Plausible::No,
    }
    match follow(behind(rest, target + 1), b"HTTP/1.") {
        Plausible::Yes => {}
        other @ (Plausible::No | Plausible::NeedMore) => return other,
    }
    match behind(rest, target + 8) {
        [] => Plausible::NeedMore,
        [d, tail @ ..] if d.is_ascii_digit() => line_end(tail),
        [..] => Plausible::No,
    }
}

/// `HTTP/1.x SP 3DIGIT`, then a blank or the end of the line (RFC 9112, section 4).
pub(crate) fn response(bytes: &[u8]) -> Plausible {
    match follow(bytes, b"HTTP/1.") {
        Plausible::Yes => {}
        other @ (Plausible::No | Plausible::NeedMore) => return other,
    }
    let is_right = |i: usize, b: u8| match i {
        0 => b.is_ascii_digit(),
        1 => b == b' ',
        2 => (b'1'..=b'9').contains(&b),
        3 | 4 => b.is_ascii_digit(),
        _ => matches!(b, b' ' | b'\r' | b'\n'),
    };
    let rest = behind(bytes, 7);
    if !rest
        .iter()
        .take(6)
        .enumerate()
        .all(|(i, b)| is_right(i, *b))
    {
        return Plausible::No;
    }
    if rest.len() < 6 {
        Plausible::NeedMore
    } else {
        Plausible::Yes
    }
}

/// Whether `bytes` begin with `wanted`.
pub(crate) fn follow(bytes: &[u8], wanted: &[u8]) -> Plausible {
    let n = bytes.len().min(wanted.len());
    match upto(bytes, n) == upto(wanted, n) {
        false => Plausible::No,
        true if n < wanted.len() => Plausible::NeedMore,
        true => Plausible::Yes,
    }
}

fn line_end(bytes: &[u8]) -> Plausible {
    match bytes {
        [b'\n', ..] | [b'\r', b'\n', ..] => Plausible::Yes,
        [] | [b'\r'] => Plausible::NeedMore,
        [..] => Plausible::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_start_line_needs_more() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "POST http://h/p?q HTTP/1.0\n",
            "M-SEARCH * HTTP/1.1\r\n",
        ] {
            for cut in 0..line.len() {
                assert_eq!(
                    request(&line.as_bytes()[..cut]),
                    Plausible::NeedMore,
                    "{line} {cut}"
                );
            }
            assert_eq!(request(line.as_bytes()), Plausible::Yes);
        }
        let line = b"HTTP/1.1 200 OK";
        for cut in 0..13 {
            assert_eq!(response(&line[..cut]), Plausible::NeedMore);
        }
        assert_eq!(response(line), Plausible::Yes);
        assert_eq!(response(b"HTTP/1.0 404\r\n"), Plausible::Yes);
    }

    #[test]
    fn other_text_is_refused() {
        for no in [
            "GET  / HTTP/1.1\r\n",
            "GET / HTTP/2.0\r\n",
            "GET / HTTP/1.1 x\r\n",
            "EHLO example.org\r\n",
            "{\"a\":1}",
            " GET / HTTP/1.1\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(request(no.as_bytes()), Plausible::No, "{no}");
        }
        for odd in ["get", "Get", "M_ETHOD", "x.y"] {
            let line = format!("{odd} / HTTP/1.1\r\n");
            assert_eq!(request(line.as_bytes()), Plausible::Yes);
            assert_eq!(known_request(line.as_bytes()), Plausible::No);
        }
        assert_eq!(request(b"OST / HTTP/1.1\r\n"), Plausible::Yes);
        assert_eq!(known_request(b"OST / HTTP/1.1\r\n"), Plausible::No);
        assert_eq!(known_request(b"POST / HTTP/1.1\r\n"), Plausible::Yes);
        assert_eq!(known_request(b"PO"), Plausible::NeedMore);
        for no in [
            "HTTP/2 200 OK\r\n",
            "HTTP/1.1 000 x",
            "HTTP/1.1 2000",
            "data: x",
        ] {
            assert_eq!(response(no.as_bytes()), Plausible::No, "{no}");
        }
    }
}
