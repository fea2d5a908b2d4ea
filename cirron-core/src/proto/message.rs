//! The parts of an HTTP message, whatever version carried it.

use bytes::Bytes;

/// HTTP version as `network.protocol.version` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `1.0`
    Http10,
    /// `1.1`
    Http11,
    /// `2`
    Http2,
}

impl Version {
    /// The text of `network.protocol.version`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
            Version::Http2 => "2",
        }
    }
}

/// Header fields in order of arrival; names are lowercase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    /// Those that are known.
    pub fields: Vec<(String, Bytes)>,
    /// How many more there are, which refer to what was sent before we looked (HPACK).
    pub unknown: usize,
}

impl From<Vec<(String, Bytes)>> for Headers {
    /// All are known.
    fn from(fields: Vec<(String, Bytes)>) -> Headers {
        Headers { fields, unknown: 0 }
    }
}

impl Headers {
    /// The first value of `name` (lowercase).
    pub(crate) fn get(&self, name: &str) -> Option<&Bytes> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The first value of `name` (lowercase), if it is UTF-8, without surrounding blanks.
    pub(crate) fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|v| std::str::from_utf8(v).ok())
            .map(str::trim)
    }

    /// Every value of `name` (lowercase), in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Bytes> {
        self.fields
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v)
    }

    /// The value of all lines of `name` together (RFC 9110, section 5.3). Empty: there is none.
    pub(crate) fn joined(&self, name: &str) -> String {
        let texts: Vec<_> = self.all(name).map(|v| String::from_utf8_lossy(v)).collect();
        texts.join(",")
    }
}

/// A request's start line and header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    /// As sent, for instance `POST`.
    pub method: String,
    /// The path as sent, without query, fragment, userinfo and parameters; `*`, or host and port, for
    /// those target forms.
    pub path: String,
    /// Whether a query string followed. Its text is never kept.
    pub has_query: bool,
    /// Version of the message.
    pub version: Version,
    /// Header fields.
    pub headers: Headers,
    /// Bytes of the head on the wire.
    pub wire_len: u64,
}

/// A response's status line and header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// Version of the message.
    pub version: Version,
    /// Header fields.
    pub headers: Headers,
    /// Bytes of the head on the wire.
    pub wire_len: u64,
}

/// How one message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageEnd {
    /// By its own framing. Bytes of its body may still have been lost (`RequestGap`, `ResponseGap`).
    Complete,
    /// The connection ended first.
    Aborted,
    /// A hole took its framing: where it ended is not known.
    Lost,
}
