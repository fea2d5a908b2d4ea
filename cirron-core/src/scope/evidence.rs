//! How it is known that a scope began, and when; and who works for it.

/// Its first byte was seen.
pub(crate) const BYTES: &str = "bytes";
/// It was under way when the first of it was seen.
pub(crate) const JOINED: &str = "joined";
/// A message asked for it, or told of it.
pub(crate) const MESSAGE: &str = "message";
/// Who works for it read bytes of its request last.
pub(crate) const READ: &str = "read";
