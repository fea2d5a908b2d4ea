//! The spool: batches of spans and marks as the Cirron SDK writes them.
//!
//! [`json`] is the shape of one span and one mark, [`batch`] collects them, [`dir`] puts a batch
//! on disk and keeps the directory under its cap, [`sink`] decides when and what again after a
//! loss. `cirron-spool` reads it back. The format is the SDK's public one
//! (`docs/spool-format.md` of cirron-sdk, version 1).

pub mod batch;
pub mod dir;
mod entries;
pub mod json;
pub mod sink;
pub mod stamp;
#[cfg(test)]
pub mod testing;

/// `schema_version` of a batch.
pub const SCHEMA_VERSION: u32 = 1;

/// Bytes that the directory may hold, the SDK's `DEFAULT_SPOOL_MAX_BYTES`.
pub const DEFAULT_MAX_BYTES: u64 = 1_000_000_000;

/// Between two flushes, the SDK's `DEFAULT_INTERVAL_SEC`.
pub const DEFAULT_FLUSH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);
