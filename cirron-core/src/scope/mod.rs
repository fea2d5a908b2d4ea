//! Scopes: from exchange events to spans and marks, as the SDK would have written them.

mod arrival;
mod asked;
mod call;
mod contexts;
pub mod evidence;
mod exchange;
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
mod store;
mod tokens;
mod told;
mod turn;
mod turns;
mod write;

pub use arrival::Arrival;
pub(crate) use contexts::Contexts;
pub use contexts::{Context, Work};
pub use exchange::{ExchangeScope, ScopeContext};
pub use label::Label;
pub use span::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};
pub use store::{
    About, Closing, Content, Desk, Life, Origin, Row, Rows, ScopeFacts, Start, Store, Watched,
};

#[cfg(test)]
mod tests;
