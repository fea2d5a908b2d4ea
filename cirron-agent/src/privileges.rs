//! Rights that are given up.

/// For a thread that needs no right at all.
pub fn keep_none() {}
