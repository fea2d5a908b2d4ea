//! The ring's reader: one thread, woken in batches.

use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::Context;
use aya::maps::{MapData, RingBuf};

/// Reads the ring. Lives on its own thread.
pub struct Reader {
    ring: RingBuf<MapData>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    pub(super) fn new(ring: RingBuf<MapData>) -> Reader {
        Reader { ring }
    }

    /// Waits up to `timeout` for records, then appends what is there to `batch`, up to
    /// `max_bytes`. Returns the number of records appended; 0 means that the ring is empty.
    ///
    /// Each record is appended as a `u32` length (native-endian), the record verbatim, and zeros
    /// up to a multiple of 8 bytes. See [`super::records`].
    pub fn read(
        &mut self,
        timeout: Duration,
        batch: &mut Vec<u8>,
        max_bytes: usize,
    ) -> anyhow::Result<usize> {
        let taken = self.take(batch, max_bytes);
        if taken > 0 || timeout.is_zero() {
            return Ok(taken);
        }
        let mut poll = libc::pollfd {
            fd: self.ring.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one valid pollfd for the duration of the call.
        let rc = unsafe { libc::poll(&raw mut poll, 1, millis) };
        if rc < 0 {
            let error = std::io::Error::last_os_error();
            if error.kind() != std::io::ErrorKind::Interrupted {
                return Err(error).context("cannot wait for the ring buffer");
            }
        }
        Ok(self.take(batch, max_bytes))
    }

    fn take(&mut self, batch: &mut Vec<u8>, max_bytes: usize) -> usize {
        let mut taken = 0;
        while batch.len() < max_bytes {
            let Some(item) = self.ring.next() else { break };
            let record = used(&item);
            batch.extend_from_slice(&(record.len() as u32).to_ne_bytes());
            batch.extend_from_slice(record);
            batch.resize(batch.len().next_multiple_of(8), 0);
            taken += 1;
        }
        taken
    }
}

/// A record without the unused rest of its size class.
fn used(record: &[u8]) -> &[u8] {
    use cirron_common::record::{HEADER_LEN, RecordHeader};
    const LEN_AT: usize = std::mem::offset_of!(RecordHeader, payload_len);
    let len = record
        .get(LEN_AT..LEN_AT + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, |b| u32::from_ne_bytes(b) as usize);
    record.get(..HEADER_LEN + len).unwrap_or(record)
}
