//! Scopes: from exchange events to spans and marks, as the SDK would have written them.

pub mod span;

pub use span::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};
