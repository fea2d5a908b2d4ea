//! What may stand before the first request of a connection: the PROXY protocol's header (HAProxy's
//! `proxy-protocol.txt`, versions 1 and 2), or bytes that mean nothing.

use super::h1::start_line::{self, Plausible, follow};
use super::sniff::{Sniff, sniff};
use crate::cut::{behind, upto};

/// Begins a header of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of such a header, without the addresses.
const V2_FIXED: usize = 16;
/// Begins a header of version 1.
const V1: &[u8] = b"PROXY ";
/// Bytes that one has at most, with its line end.
const V1_MAX: usize = 107;

/// What such a line goes on with.
const V1_KINDS: [&[u8]; 3] = [b"TCP4 ", b"TCP6 ", b"UNKNOWN"];

/// What these bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// A header, and its length in bytes.
    Whole(usize),
    /// It may become one.
    NeedMore,
    /// None.
    No,
}

/// Whether a header of the PROXY protocol stands here.
pub(crate) fn header(bytes: &[u8]) -> Header {
    match (follow(bytes, V2), follow(bytes, V1)) {
        (Plausible::Yes, _) => v2(bytes),
        (_, Plausible::Yes) => v1(bytes),
        (Plausible::NeedMore, _) | (_, Plausible::NeedMore) => Header::NeedMore,
        (Plausible::No, Plausible::No) => Header::No,
    }
}

fn v2(bytes: &[u8]) -> Header {
    let Some([.., hi, lo]) = bytes.get(..V2_FIXED) else {
        return Header::NeedMore;
    };
    let len = V2_FIXED + usize::from(u16::from_be_bytes([*hi, *lo]));
    if len <= bytes.len() {
        Header::Whole(len)
    } else {
        Header::NeedMore
    }
}

fn v1(bytes: &[u8]) -> Header {
    let rest = behind(bytes, V1.len());
    let kinds = V1_KINDS.map(|kind| follow(rest, kind));
    if kinds.iter().all(|kind| *kind == Plausible::No) {
        return Header::No;
    }
    let line = upto(bytes, V1_MAX);
    match line.windows(2).position(|two| two == b"\r\n") {
        Some(end) => Header::Whole(end + 2),
        None if bytes.len() < V1_MAX => Header::NeedMore,
        None => Header::No,
    }
}

/// Nothing that is known begins so.
pub(crate) fn is_junk(bytes: &[u8]) -> bool {
    sniff(bytes, true) == Sniff::Other
}

/// Where a line begins in these bytes that can only be a request's, with a method that is known.
pub(crate) fn request_in(bytes: &[u8]) -> Option<usize> {
    let is_line = |at: usize| start_line::known_request(behind(bytes, at)) == Plausible::Yes;
    let behind = bytes.windows(2).enumerate();
    let behind = behind.filter_map(|(at, two)| (two == b"\r\n").then_some(at + 2));
    std::iter::once(0).chain(behind).find(|at| is_line(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\n";

    #[test]
    fn headers_of_both_versions_are_as_long_as_they_say() {
        let v1 = b"PROXY TCP4 10.0.0.1 10.0.0.2 40000 80\r\n";
        let v2 = [V2, &[0x21, 0x11, 0, 12][..], &[7; 12]].concat();
        for header in [&v1[..], &v2, b"PROXY UNKNOWN\r\n"] {
            let whole = [header, GET].concat();
            assert_eq!(super::header(&whole), Header::Whole(header.len()));
            for cut in 0..header.len() {
                assert_eq!(super::header(&whole[..cut]), Header::NeedMore, "{cut}");
            }
        }
        let long = [V1, b"TCP4 ", &[b'x'; 200][..], b"\r\n"].concat();
        for none in [
            &long[..],
            GET,
            b"PROXYS / HTTP/1.1\r\n",
            b"PROXY / HTTP/1.1\r\n",
        ] {
            assert_eq!(super::header(none), Header::No);
        }
    }

    #[test]
    fn a_request_is_found_where_a_line_begins_and_nowhere_else() {
        let at = |before: &[u8]| request_in(&[before, GET].concat());
        assert_eq!(
            (at(b""), at(b"junk\r\n"), at(b"\0\r\n\r\n")),
            (Some(0), Some(6), Some(5))
        );
        assert_eq!(
            (
                at(b"junk"),
                at(b"junk\n"),
                request_in(b"junk\r\nOST / HTTP/1.1\r\n")
            ),
            (None, None, None)
        );
    }
}
