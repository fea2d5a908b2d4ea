//! What a connection speaks, told from the first bytes of one direction.
//!
//! Looks at the shape of the bytes, never at ports or substrings. TLS is recognised so that it can be
//! named and left alone. It keeps nothing: the caller shows it the first bytes
//! again, with more behind them, while the answer is [`Sniff::NeedMore`].

use super::h1::start_line::{self, Plausible, follow};
use super::h2::PREFACE;
use crate::cut::behind;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sniff {
    /// Not yet certain.
    NeedMore,
    /// An HTTP/1 request line: this direction carries requests.
    Http1Request,
    /// An HTTP/1 status line: this direction carries responses.
    Http1Response,
    /// The HTTP/2 preface: this direction carries requests.
    Http2Preface,
    /// HTTP/2 frames: a server's first SETTINGS.
    Http2Frames,
    /// A TLS record.
    Tls,
    /// Nothing known.
    Other,
}

/// Tells from the first bytes of a direction. Empty lines before a start line are passed over
/// (RFC 9112, section 2.2). `first`: they are the first of the connection; else only methods that
/// are known make a request line.
pub(crate) fn sniff(bytes: &[u8], first: bool) -> Sniff {
    let blank = bytes
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    let line = behind(bytes, blank);
    let request = if first {
        start_line::request(line)
    } else {
        start_line::known_request(line)
    };
    let answers = [
        (follow(bytes, PREFACE), Sniff::Http2Preface),
        (request, Sniff::Http1Request),
        (start_line::response(line), Sniff::Http1Response),
        (tls_record(bytes), Sniff::Tls),
        (http2_settings(bytes), Sniff::Http2Frames),
    ];
    if let Some((_, yes)) = answers.iter().find(|(p, _)| *p == Plausible::Yes) {
        return *yes;
    }
    if answers.iter().any(|(p, _)| *p == Plausible::NeedMore) {
        return Sniff::NeedMore;
    }
    Sniff::Other
}

/// A TLS record header (RFC 8446, section 5.1): type 20 to 24, version 3.0 to 3.4, a length that
/// the standard allows.
fn tls_record(bytes: &[u8]) -> Plausible {
    let right = |i: usize, b: u8| match i {
        0 => (20..=24).contains(&b),
        1 => b == 3,
        2 => b <= 4,
        _ => true,
    };
    if !bytes.iter().take(3).enumerate().all(|(i, b)| right(i, *b)) {
        return Plausible::No;
    }
    match *bytes {
        [_, _, _, hi, lo, ..] => {
            let len = u16::from_be_bytes([hi, lo]);
            if (1..=(1 << 14) + 2048).contains(&len) {
                Plausible::Yes
            } else {
                Plausible::No
            }
        }
        [..] => Plausible::NeedMore,
    }
}

/// A SETTINGS frame on stream 0 whose length is a multiple of 6 (RFC 9113, section 6.5), as a
/// server may send it before it has seen the preface.
fn http2_settings(bytes: &[u8]) -> Plausible {
    let right = |i: usize, b: u8| match i {
        0 | 1 | 4..=8 => b == 0,
        2 => b.is_multiple_of(6),
        _ => b == 4,
    };
    if !bytes.iter().take(9).enumerate().all(|(i, b)| right(i, *b)) {
        return Plausible::No;
    }
    if bytes.len() < 9 {
        Plausible::NeedMore
    } else {
        Plausible::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_beginnings_are_told_and_their_prefixes_need_more() {
        let cases: [(&[u8], Sniff); 9] = [
            (
                b"POST /v1/chat/completions HTTP/1.1\r\n",
                Sniff::Http1Request,
            ),
            (b"\r\nGET / HTTP/1.0\r\n", Sniff::Http1Request),
            (b"HTTP/1.1 200 ", Sniff::Http1Response),
            (PREFACE, Sniff::Http2Preface),
            (&[0, 0, 18, 4, 0, 0, 0, 0, 0], Sniff::Http2Frames),
            (&[0x16, 3, 1, 2, 0], Sniff::Tls),
            (&[0x17, 3, 3, 0x40, 0], Sniff::Tls),
            (b"PRINT /x HTTP/1.1\r\n", Sniff::Http1Request),
            (b"PUT /x HTTP/1.1\r\n", Sniff::Http1Request),
        ];
        for (bytes, want) in cases {
            assert_eq!(sniff(bytes, true), want);
            for cut in 0..bytes.len() {
                assert_eq!(
                    sniff(&bytes[..cut], true),
                    Sniff::NeedMore,
                    "{bytes:?} {cut}"
                );
            }
        }
    }

    #[test]
    fn other_protocols_are_other() {
        for other in [
            &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
            b"*1\r\n$4\r\nPING\r\n",
            b"EHLO mail.example\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            &[0x16, 3, 9, 0, 5],
            &[0, 0, 8, 1],
            b"{\"json\":true}",
        ] {
            assert_eq!(sniff(other, true), Sniff::Other, "{other:?}");
        }
    }
}
