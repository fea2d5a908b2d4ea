//! Looking at a spool: what the verbs of the agent that read one are made of.
//!
//! ```text
//! cirron-spool (rows, batch by batch) -> request (values) -> requests (one by one, joined) -> exports, reports
//! ```
//! A spool is anybody's: what is unknown is absent, what is damaged is counted, and memory is bounded whatever its size.
//! Nothing here attaches, and nothing needs rights.

pub mod endpoint;
pub mod explain;
pub mod export;
pub mod figures;
pub mod filter;
pub mod joined;
pub mod key;
mod recent;
pub mod report;
pub mod request;
pub mod requests;
mod seen;
pub mod semconv;
pub mod session;
mod survey;
#[cfg(test)]
mod testing;
pub mod tree;
mod units;
