//! Shared test helpers: every split, every gap, and the rules that all exchanges keep.
//!
//! For the tests of this crate and, by the feature `testing`, for the fuzz targets. [`split`] feeds
//! any parser its input cut everywhere and with holes; [`ledger`] takes exchange events, checks
//! their order, and gives a form that can be compared; [`fuzz`] reads operations out of arbitrary
//! bytes; [`records`] makes what the kernel side would have written. They panic when a rule is broken: that is their purpose.
#![expect(clippy::indexing_slicing, reason = "a test that panics fails")]

pub mod fuzz;
#[cfg(test)]
pub(crate) mod h2;
mod ledger;
pub mod records;
pub(crate) mod split;

pub(crate) use ledger::Ledger;
#[cfg(test)]
pub(crate) use ledger::{ExchangeLog, Times};
pub(crate) use split::Fed;
#[cfg(test)]
pub(crate) use split::{assert_gap_safe, assert_split_invariant};
