//! What was done, what was lost, and what was tried.

/// Counts of one connection, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were opened.
    pub records: u64,
    /// Plaintext that was given, in bytes.
    pub plaintext_bytes: u64,
    /// Secrets that were tried on a record.
    pub trials: u64,
    /// Keys' sequence numbers that were tried on a record behind a hole.
    pub searched: u64,
    /// Holes of the ciphertext.
    pub holes: u64,
    /// Ciphertext in holes: never seen, or of a record that a hole touched.
    pub lost_bytes: u64,
    /// Records, whole and in order, that their keys did not open.
    pub failed_records: u64,
    /// Early data that the server rejected, in bytes of ciphertext. It is no plaintext: its client sends it again.
    pub rejected_early_bytes: u64,
    /// Ciphertext that came after the connection had been given up, or had waited for that.
    pub unread_bytes: u64,
    /// Bytes that came again.
    pub stale_bytes: u64,
}

/// Counts of a pool, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Secrets that were taken.
    pub learned: u64,
    /// Secrets that were there already.
    pub repeated: u64,
    /// Secrets whose length is none of a secret.
    pub bad_length: u64,
    /// Sets that were found to be a connection's.
    pub bound: u64,
    /// Sets that no connection was found for, and that were wiped to keep the bound.
    pub evicted_unbound: u64,
    /// Masters that were wiped to keep the bound.
    pub evicted_masters: u64,
}
