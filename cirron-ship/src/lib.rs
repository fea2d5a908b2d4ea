//! Sends the batches of a spool to where they are wanted, each at least once.
//!
//! ```text
//!                 .--> Follower -> Courier -> Destination   a thread for each destination,
//!  DIR/spool/*.json                  |                      with queue, ledger and backoff of its own
//!                 '--> ...        Ledger: DIR/ship/NAME.json
//! ```
//! The spool is the source of truth: nothing is kept in memory but the names of batches that are next. What a destination
//! has is its ledger's to know ([`ledger`]), a small file that is replaced whole, so that a process that is killed sends its
//! last batch again under the same id and none is left out. Batches go in the order of their names, which is that of
//! their making; one that must wait holds those behind it, of its own destination only.
//!
//! What it does not do: read a batch's contents (but that it is whole JSON, and its id), make batches, keep the spool
//! under its cap. Of a batch that the cap removed before it was sent it counts that ([`counts`]).

pub mod batch;
pub mod cirron;
pub mod counts;
pub mod courier;
pub mod destination;
pub mod follow;
pub mod http;
pub mod ledger;
pub mod place;
pub mod remove;
pub mod shipper;
pub mod status;
#[cfg(test)]
mod testing;
