//! Ids of spans, marks and requests, made by the shell.
//!
//! The core has no randomness: it asks an [`IdSource`]. The agent's makes UUID4s, the replay's
//! counts.

use std::fmt;

/// 128 bits, written as 32 lowercase hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes ids, each different from all before.
pub trait IdSource {
    /// The next id.
    fn next_id(&mut self) -> Id;
}

/// Counts from 1: for tests and replays, whose output must not change from run to run.
#[derive(Debug, Default)]
pub struct SequentialIds(u128);

impl IdSource for SequentialIds {
    fn next_id(&mut self) -> Id {
        self.0 += 1;
        Id(self.0.to_be_bytes())
    }
}
