//! Scopes: from exchange events to spans and marks, as the SDK would have written them.

mod asked;
mod call;
mod exchange_scope;
mod joined;
mod marks;
pub mod names;
mod payload;
pub mod span;
mod tokens;
mod write;

pub use exchange_scope::{ExchangeScope, ScopeContext, ScopeFacts};
pub use span::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};

#[cfg(test)]
mod tests;
