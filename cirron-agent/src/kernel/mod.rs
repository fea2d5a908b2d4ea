//! The kernel side as the shell sees it: load and attach, choose targets, read records, counters.
//!
//! It owns the eBPF objects; dropping it detaches everything. It knows nothing of HTTP or files.

use std::time::Duration;

use cirron_common::counters::COUNTERS;

/// What the loader is told.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Bytes of the ring, rounded up to a power of two of pages.
    pub ring_bytes: u32,
    /// Children of targets become targets, in the kernel, at fork.
    pub follow_children: bool,
}

/// Why nothing could be attached; its text says the missing fact and, on its own line, the fix.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A program was refused, a structure was not found, a map could not be made.
    #[error("{what}\n  {fix}")]
    Refused {
        /// The missing fact.
        what: String,
        /// What to do about it.
        fix: String,
    },
}

/// What became of one row of the probe table.
#[derive(Clone, Debug)]
pub struct ProbeVerdict {
    /// ELF name of the program.
    pub name: &'static str,
    /// `attached`, `unsupported`, `broken`.
    pub verdict: &'static str,
    /// Why, where it is not attached.
    pub detail: String,
}

/// The loaded programs and their maps.
#[derive(Debug)]
pub struct Kernel {}

impl Kernel {
    /// Loads and attaches every program of the probe table.
    pub fn load(_options: &LoadOptions) -> Result<Kernel, LoadError> {
        Err(LoadError::Refused {
            what: "not written yet".into(),
            fix: String::new(),
        })
    }
    /// What became of each probe.
    pub fn verdicts(&self) -> &[ProbeVerdict] {
        &[]
    }
    /// Makes `tgid` a target.
    pub fn add_target(&mut self, _tgid: u32) -> anyhow::Result<()> {
        Ok(())
    }
    /// `tgid` is a target no more.
    pub fn remove_target(&mut self, _tgid: u32) -> anyhow::Result<()> {
        Ok(())
    }
    /// No more bytes of this connection are wanted.
    pub fn mute(&mut self, _conn: u64, _epoch: u64) -> anyhow::Result<()> {
        Ok(())
    }
    /// Sums over CPUs, indexed by `cirron_common::Counter`.
    pub fn counters(&self) -> anyhow::Result<[u64; COUNTERS as usize]> {
        Ok([0; COUNTERS as usize])
    }
    /// The reader of the ring, for its own thread; `None` the second time.
    pub fn take_reader(&mut self) -> Option<Reader> {
        None
    }
}

/// Reads the ring. Lives on its own thread.
#[derive(Debug)]
pub struct Reader {}

impl Reader {
    /// Waits up to `timeout` for records, then appends what is there to `batch`, up to
    /// `max_bytes`. Returns the number of records appended; 0 means that the ring is empty.
    ///
    /// Each record is appended as a `u32` length (native-endian), the record verbatim, and zeros
    /// up to a multiple of 8 bytes. See [`records`].
    pub fn read(
        &mut self,
        _timeout: Duration,
        _batch: &mut Vec<u8>,
        _max_bytes: usize,
    ) -> anyhow::Result<usize> {
        Ok(0)
    }
}

/// The records of a batch that [`Reader::read`] filled.
pub fn records(mut batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(batch.get(..4)?.try_into().ok()?) as usize;
        let record = batch.get(4..4 + len)?;
        batch = batch.get((4 + len).next_multiple_of(8)..).unwrap_or(&[]);
        Some(record)
    })
}
