//! A response joined in its middle: does this look like a chunk, or like the text of an event
//! stream?
//!
//! Only asked where a piece begins, of a response whose head was not seen or whose framing a hole
//! took. A chunk is believed when its line, its data and the CRLF behind them agree.

use super::start_line::{Plausible, follow};
use crate::cut::{behind, upto};
use crate::limits::MAX_CANDIDATE_BYTES;

/// Digits of a chunk size: 4 GiB is more than any server sends at once.
const MAX_SIZE_DIGITS: usize = 8;

/// Whether a chunk begins here. `terminator`: the last chunk counts too.
pub(super) fn chunk(bytes: &[u8], terminator: bool) -> Plausible {
    let digits = bytes.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits > MAX_SIZE_DIGITS {
        return Plausible::No;
    }
    let size = upto(bytes, digits).iter().fold(0_usize, |n, b| {
        (n << 4) | (*b as char).to_digit(16).unwrap_or(0) as usize
    });
    let line = match bytes.get(digits) {
        None => return Plausible::NeedMore,
        Some(_) if digits == 0 => return Plausible::No,
        Some(b'\r') => digits,
        Some(b';') => match bytes.iter().position(|b| *b == b'\r') {
            Some(at) => at,
            None if bytes.len() < MAX_CANDIDATE_BYTES => return Plausible::NeedMore,
            None => return Plausible::No,
        },
        Some(_) => return Plausible::No,
    };
    match follow(behind(bytes, line), b"\r\n") {
        Plausible::Yes => {}
        other @ (Plausible::No | Plausible::NeedMore) => return other,
    }
    let data = behind(bytes, line + 2);
    if size == 0 {
        return if terminator {
            follow(data, b"\r\n")
        } else {
            Plausible::No
        };
    }
    match data.get(size..) {
        Some(behind) => follow(behind, b"\r\n"),
        None if bytes.len() < MAX_CANDIDATE_BYTES => Plausible::NeedMore,
        None => Plausible::Yes,
    }
}

/// Whether a field of an event stream begins here (WHATWG HTML, section 9.2.6). A comment is not
/// enough to go by.
pub(super) fn event_stream(bytes: &[u8]) -> bool {
    [&b"data:"[..], b"event:", b"id:", b"retry:"]
        .iter()
        .any(|f| bytes.starts_with(f))
}

/// Whether this chunk is a document of a stream of lines, or an element of an array written piece by
/// piece: it ends with a line end, which a body that is one document has not.
fn documents(chunk: &[u8], data: &[u8]) -> bool {
    let digits = chunk.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let size = core::str::from_utf8(upto(chunk, digits)).unwrap_or_default();
    let size = usize::from_str_radix(size, 16).unwrap_or(usize::MAX);
    let begins = [&b"{\""[..], b"{\n", b"{\r", b"[{", b",{", b",\n", b",\r"];
    let whole = data.get(..size).is_some_and(|data| data.ends_with(b"\n"));
    whole && begins.iter().any(|sign| data.starts_with(sign))
}

/// Whether this direction, joined late, carries the body of a response. `hinted`: the connection's
/// role says that responses go this way; without that only a stream of events or of documents is
/// believed, since a request may be chunked too.
pub(crate) fn response_body(bytes: &[u8], hinted: bool) -> Plausible {
    if event_stream(bytes) {
        return Plausible::Yes;
    }
    match chunk(bytes, false) {
        Plausible::Yes if !hinted => {
            let data = memchr::memchr(b'\n', bytes).map_or(bytes, |at| behind(bytes, at + 1));
            if event_stream(data) || documents(bytes, data) {
                Plausible::Yes
            } else {
                Plausible::No
            }
        }
        other @ (Plausible::Yes | Plausible::No | Plausible::NeedMore) => other,
    }
}
