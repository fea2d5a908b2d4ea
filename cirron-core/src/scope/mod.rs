//! Scopes: from exchange events to spans and marks, as the SDK would have written them.

mod arrival;
mod asked;
mod call;
mod contexts;
pub(crate) mod evidence;
mod exchange;
mod field_body;
mod grpc;
mod joined;
mod label;
mod last;
mod marks;
mod messages;
pub mod names;
mod net;
mod network;
mod overhead;
mod payload;
mod place;
mod price;
mod probe;
mod sniff;
mod socket;
mod span;
mod store;
mod tokens;
mod told;
mod turn;
mod turns;
mod wanted;
mod write;

pub(crate) use arrival::Arrival;
pub(crate) use contexts::Contexts;
pub use contexts::{Context, Work};
pub(crate) use exchange::{ExchangeScope, ScopeContext};
pub use label::Label;
pub(crate) use net::{NetFigures, NetScope};
pub(crate) use place::Place;
pub(crate) use probe::{Made, Noted, Probes, Reached, ScopeKey};
pub use span::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};
pub use store::{About, Join, Origin, Row, Rows, Start, Watched};
pub(crate) use store::{Life, ScopeFacts, Store, Withheld};

#[cfg(test)]
mod tests;
