//! From the fields of a header block to the head of a message (RFC 9113, section 8.3).

use bytes::Bytes;

use super::hpack::Fields;
use crate::proto::message::{Headers, RequestHead, ResponseHead, Version};
use crate::proto::target::path_of;

/// A header list, its pseudo-header fields apart. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderList {
    /// `:method`.
    pub method: Option<String>,
    /// `:path`, query and all.
    path: Option<Bytes>,
    /// `:authority`.
    authority: Option<Bytes>,
    /// `:protocol` (RFC 8441).
    protocol: Option<Bytes>,
    /// `:status`.
    pub status: Option<u16>,
    /// Of a request, by one of its pseudo-header fields.
    pub is_request: bool,
    /// The other fields.
    pub headers: Headers,
    /// Bytes of the frames that carried it.
    pub wire_len: u64,
}

/// Bytes of a field besides its name and value.
const FIELD_BYTES: usize = size_of::<(String, Bytes)>();

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl HeaderList {
    pub(super) fn new(fields: Fields, wire_len: u64) -> HeaderList {
        let mut list = HeaderList {
            wire_len,
            ..HeaderList::default()
        };
        list.headers.unknown = fields.unknown;
        for (name, value) in fields.known {
            let Some(pseudo) = name.strip_prefix(b":") else {
                let name = text(&name).to_ascii_lowercase();
                list.headers.fields.push((name, value));
                continue;
            };
            match pseudo {
                b"status" => list.status = text(&value).parse().ok(),
                b"method" => list.method = Some(text(&value)),
                b"path" => list.path = Some(value),
                b"authority" => list.authority = Some(value),
                b"protocol" => list.protocol = Some(value),
                _ => {}
            }
            list.is_request |= pseudo != b"status";
        }
        list
    }

    /// Bytes that it holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let fields = self.headers.fields.iter();
        let field = |(name, value): &(String, Bytes)| name.capacity() + value.len() + FIELD_BYTES;
        let path = self.path.as_ref().map_or(0, Bytes::len);
        size_of::<HeaderList>() + path + fields.map(field).sum::<usize>()
    }

    /// Nothing in it may be a pseudo-header field: trailers.
    pub(crate) fn is_trailers(&self) -> bool {
        !self.is_request && self.status.is_none() && self.headers.unknown == 0
    }

    /// A request that makes its stream a WebSocket (RFC 8441, section 5).
    pub(crate) fn asks_websocket(&self) -> bool {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.method.as_deref() == Some("CONNECT") && protocol.eq_ignore_ascii_case(b"websocket")
    }

    /// As the head of a request. `None` where its method or its path is not known.
    pub(crate) fn request(&self) -> Option<RequestHead> {
        let method = self.method.clone()?;
        // CONNECT has no path (RFC 9113, section 8.5).
        let target = match &self.path {
            Some(path) => path,
            None if method == "CONNECT" => self.authority.as_ref()?,
            None => return None,
        };
        let (path, has_query) = path_of(&method, &text(target));
        let mut headers = self.headers.clone();
        // As section 8.3.1 says for HTTP/1.
        if let Some(authority) = &self.authority
            && headers.get("host").is_none()
        {
            headers.fields.insert(0, ("host".into(), authority.clone()));
        }
        Some(RequestHead {
            method,
            path,
            has_query,
            version: Version::Http2,
            headers,
            wire_len: self.wire_len,
        })
    }

    /// As the head of a response. `None` where its status is not known.
    pub(crate) fn response(&self) -> Option<ResponseHead> {
        Some(ResponseHead {
            status: self.status?,
            version: Version::Http2,
            headers: self.headers.clone(),
            wire_len: self.wire_len,
        })
    }
}
