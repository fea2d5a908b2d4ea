//! Scopes: from exchange events to spans and marks, as the SDK would have written them.

mod arrival;
mod asked;
mod call;
mod exchange_scope;
mod grpc;
mod joined;
mod label;
mod last;
mod marks;
mod messages;
pub mod names;
mod network;
mod payload;
mod sniff;
mod socket;
pub mod span;
mod tokens;
mod told;
mod turns;
mod write;

pub use arrival::Arrival;
pub use exchange_scope::{ExchangeScope, ScopeContext, ScopeFacts, Written};
pub use label::Label;
pub use span::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};

#[cfg(test)]
mod tests;
