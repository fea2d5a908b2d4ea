//! How long a body is: RFC 9112, section 6.3, rule by rule.

use super::AnswerTo;
use crate::proto::message::{Headers, RequestHead, ResponseHead};

/// The framing of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// Number of bytes, at least 1.
    Length(u64),
    /// Chunked coding.
    Chunked,
    /// Until the connection ends.
    UntilEof,
    /// No HTTP follows (`101`, or 2xx to CONNECT).
    Tunnel,
    /// The head contradicts itself: where the message ends cannot be told.
    Unknown,
}

/// Of a request.
pub(super) fn of_request(head: &RequestHead) -> Framing {
    if head.method == "CONNECT" {
        return Framing::Tunnel;
    }
    match coding(&head.headers) {
        Coding::Chunked => Framing::Chunked,
        // Rule 4: a server answers 400 and closes.
        Coding::Other => Framing::Unknown,
        Coding::None => length(&head.headers).unwrap_or(Framing::None),
    }
}

/// Of a response, given what it answers.
pub(super) fn of_response(head: &ResponseHead, to: AnswerTo) -> Framing {
    match (head.status, to) {
        (101, _) | (200..=299, AnswerTo::Connect) => return Framing::Tunnel,
        (100..=199 | 204 | 304, _) | (_, AnswerTo::Head) => return Framing::None,
        (_, AnswerTo::Connect | AnswerTo::Other) => {}
    }
    match coding(&head.headers) {
        Coding::Chunked => Framing::Chunked,
        Coding::Other => Framing::UntilEof,
        Coding::None => length(&head.headers).unwrap_or(Framing::UntilEof),
    }
}

enum Coding {
    None,
    Chunked,
    Other,
}

/// Transfer-Encoding wins over Content-Length (rule 3); what counts is whether chunked is last.
fn coding(headers: &Headers) -> Coding {
    let Some(last) = headers.all("transfer-encoding").last() else {
        return Coding::None;
    };
    let last = last
        .rsplit(|b| *b == b',')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    match last {
        _ if last.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
        // Of RFC 2616; it says nothing.
        _ if last.eq_ignore_ascii_case(b"identity") => Coding::None,
        _ => Coding::Other,
    }
}

/// Rule 5: repeated equal lengths are one, different or malformed ones are an error.
fn length(headers: &Headers) -> Option<Framing> {
    let mut found = None;
    let values = headers
        .all("content-length")
        .flat_map(|v| v.split(|b| *b == b','));
    for value in values {
        let value = value.trim_ascii();
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Some(Framing::Unknown);
        }
        let n = std::str::from_utf8(value)
            .ok()
            .and_then(|v| v.parse::<u64>().ok());
        match (n, found) {
            (None, _) => return Some(Framing::Unknown),
            (Some(n), Some(other)) if n != other => return Some(Framing::Unknown),
            (Some(n), _) => found = Some(n),
        }
    }
    found.map(|n| {
        if n == 0 {
            Framing::None
        } else {
            Framing::Length(n)
        }
    })
}
