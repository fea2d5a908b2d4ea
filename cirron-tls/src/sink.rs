//! What comes out of a connection.

/// A direction of a connection, as its process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dir {
    /// Bytes that the process wrote.
    Sent,
    /// Bytes that the process read.
    Received,
}

impl Dir {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Dir {
        match self {
            Dir::Sent => Dir::Received,
            Dir::Received => Dir::Sent,
        }
    }
}

/// Takes what a connection gives. A mark is what the caller gave with the bytes that completed a record: its time,
/// say.
pub trait Sink<M> {
    /// Plaintext, at least one byte, in order.
    fn plaintext(&mut self, dir: Dir, mark: M, bytes: &[u8]);
    /// Plaintext that nobody will see: so many bytes, or, where that cannot be known, `None`.
    fn gap(&mut self, dir: Dir, mark: M, len: Option<u64>);
    /// The peer said that it sends no more.
    fn close_notify(&mut self, dir: Dir, mark: M);
    /// The connection is read no further. Told once.
    fn verdict(&mut self, verdict: Verdict);
}

/// Why a connection is read no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its first bytes are no TLS record.
    NotTls,
    /// It is TLS, and cannot be read.
    GaveUp(Reason),
}

/// Why a TLS connection cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No secret came before too much waited for one.
    NoSecret,
    /// Too many secrets were tried, and none fits.
    NoMatch,
    /// A version before TLS 1.2.
    Version,
    /// A cipher suite that is not read, by its number.
    Suite(u16),
    /// A hello, or the bytes that should be one, cannot be understood.
    Hello,
    /// A hello is longer than is read.
    HelloTooLong,
    /// A hello that is needed was lost.
    HelloLost,
    /// Behind a hole no record was found that its keys open.
    Lost,
}
