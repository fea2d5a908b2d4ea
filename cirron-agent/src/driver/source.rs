//! The kernel side as the driver uses it: a trait, so that threads and shutdown are tested
//! without rights.

use std::time::Duration;

use cirron_common::counters::COUNTERS;

use crate::kernel::{Kernel, Policy, Reader, SocketState};

/// Sums of the kernel side's counters, by number.
pub type Counters = [u64; COUNTERS as usize];

/// Chooses what is captured; dropping it detaches.
pub trait Control: Send {
    /// Makes a process a target, or changes what of it is captured.
    fn set_target(&mut self, tgid: u32, policy: Policy) -> anyhow::Result<()>;
    /// What of a process is captured; `None` where it is no target.
    fn policy(&self, tgid: u32) -> Option<Policy>;
    /// It is a target no more.
    fn remove_target(&mut self, tgid: u32) -> anyhow::Result<()>;
    /// No more bytes of this connection.
    fn mute(&mut self, conn: u64, epoch: u64) -> anyhow::Result<()>;
    /// Whether anybody holds the connection's socket.
    fn socket(&self, conn: u64, epoch: u64) -> SocketState;
    /// Whether the object of a TLS library is still there that process `tgid` has at this address.
    fn object(&self, address: u64, epoch: u64, tgid: u32) -> SocketState;
    /// Hands on what the kernel side wants to say to people.
    fn flush_log(&mut self) {}
    /// What was captured, and what was lost and why.
    fn counters(&self) -> anyhow::Result<Counters>;
}

/// Gives the records, on its own thread; see [`Reader::read`].
pub trait RecordSource: Send {
    /// Waits up to `timeout`, then appends what is there, up to `max_bytes`.
    fn read(
        &mut self,
        timeout: Duration,
        batch: &mut Vec<u8>,
        max_bytes: usize,
    ) -> anyhow::Result<usize>;
}

impl Control for Kernel {
    fn set_target(&mut self, tgid: u32, policy: Policy) -> anyhow::Result<()> {
        Kernel::set_target(self, tgid, policy)
    }
    fn policy(&self, tgid: u32) -> Option<Policy> {
        Kernel::policy(self, tgid)
    }
    fn remove_target(&mut self, tgid: u32) -> anyhow::Result<()> {
        Kernel::remove_target(self, tgid)
    }
    fn mute(&mut self, conn: u64, epoch: u64) -> anyhow::Result<()> {
        Kernel::mute(self, conn, epoch)
    }
    fn socket(&self, conn: u64, epoch: u64) -> SocketState {
        Kernel::socket(self, conn, epoch)
    }
    fn object(&self, address: u64, epoch: u64, tgid: u32) -> SocketState {
        Kernel::object(self, address, epoch, tgid)
    }
    fn flush_log(&mut self) {
        Kernel::flush_log(self);
    }
    fn counters(&self) -> anyhow::Result<Counters> {
        Kernel::counters(self)
    }
}

impl RecordSource for Reader {
    fn read(
        &mut self,
        timeout: Duration,
        batch: &mut Vec<u8>,
        max_bytes: usize,
    ) -> anyhow::Result<usize> {
        Reader::read(self, timeout, batch, max_bytes)
    }
}
