//! Heads: httparse's view of the bytes, made into our own types.
//!
//! One copy of the head's bytes is shared by all of its values. The query string is left out of
//! what is built, so that nothing behind this module can write it down.

use std::mem::MaybeUninit;

use bytes::Bytes;
use httparse::{Header, ParserConfig, Status};

use crate::cut::{behind, upto};
use crate::limits::MAX_HEADERS;
use crate::proto::message::{Headers, RequestHead, ResponseHead, Version};
use crate::proto::target::path_of;

/// Three answers, as httparse gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeadStatus<T> {
    /// The head, and its bytes on the wire.
    Complete(T, usize),
    /// More bytes are needed.
    Partial,
    /// Not a head, or more than [`MAX_HEADERS`] lines.
    Invalid,
}

/// Parses a request's head at the beginning of `bytes`.
pub(crate) fn parse_request(bytes: &[u8]) -> HeadStatus<RequestHead> {
    let mut space = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut req = httparse::Request::new(&mut []);
    let len = match ParserConfig::default()
        .parse_request_with_uninit_headers(&mut req, bytes, &mut space)
    {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return HeadStatus::Partial,
        Err(_) => return HeadStatus::Invalid,
    };
    let (Some(method), Some(target), Some(version)) = (req.method, req.path, req.version) else {
        return HeadStatus::Invalid;
    };
    let (path, has_query) = path_of(method, target);
    let head = RequestHead {
        method: method.to_owned(),
        path,
        has_query,
        version: version_of(version),
        headers: headers_of(req.headers, upto(bytes, len)),
        wire_len: len as u64,
    };
    HeadStatus::Complete(head, len)
}

/// Parses a response's head at the beginning of `bytes`.
pub(crate) fn parse_response(bytes: &[u8]) -> HeadStatus<ResponseHead> {
    let mut space = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut res = httparse::Response::new(&mut []);
    let len = match ParserConfig::default()
        .parse_response_with_uninit_headers(&mut res, bytes, &mut space)
    {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return HeadStatus::Partial,
        Err(_) => return HeadStatus::Invalid,
    };
    let (Some(status @ 100..), Some(version)) = (res.code, res.version) else {
        return HeadStatus::Invalid;
    };
    let head = ResponseHead {
        status,
        version: version_of(version),
        headers: headers_of(res.headers, upto(bytes, len)),
        wire_len: len as u64,
    };
    HeadStatus::Complete(head, len)
}

/// Parses trailer fields, with the empty line that ends them.
pub(super) fn parse_trailers(bytes: &[u8]) -> HeadStatus<Headers> {
    // Most often there are none.
    if let [b'\r', b'\n', ..] = bytes {
        return HeadStatus::Complete(Headers::default(), 2);
    }
    let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(bytes, &mut space) {
        Ok(Status::Complete((len, fields))) => {
            HeadStatus::Complete(headers_of(fields, upto(bytes, len)), len)
        }
        Ok(Status::Partial) => HeadStatus::Partial,
        Err(_) => HeadStatus::Invalid,
    }
}

fn version_of(minor: u8) -> Version {
    if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    }
}

fn headers_of(fields: &[Header<'_>], head: &[u8]) -> Headers {
    let Some(first) = fields.first() else {
        return Headers::default();
    };
    // From the first field on: the start line, and with it the query string, is not kept.
    let offset = |p: *const u8| p as usize - head.as_ptr() as usize;
    let base = offset(first.name.as_ptr());
    let shared = Bytes::copy_from_slice(behind(head, base));
    let field = |h: &Header<'_>| {
        // httparse gives an empty value a place of its own choice.
        let value = if h.value.is_empty() {
            Bytes::new()
        } else {
            let at = offset(h.value.as_ptr()) - base;
            shared.slice(at..at + h.value.len())
        };
        (h.name.to_ascii_lowercase(), value)
    };
    fields.iter().map(field).collect::<Vec<_>>().into()
}
