//! One link for each place: what every kernel that we support can do.
//!
//! The kernel closes these one after the other under one lock (`event_mutex`), each after a grace
//! period of its own: closing them in several threads is not faster.
//!
//! aya loads these programs as they are, not on the thread's stack ([`super::stack`]): no kernel that
//! gives them another one is without the links of [`super::multi`]. It knows no semaphores: the links are made here.

use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::Context as _;
use aya::Ebpf;
use aya::programs::UProbe;

use super::{Probe, UprobeProgram, bpf};

/// Where the kernel says which kind of events these are.
const EVENT_TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";

/// The programs, loaded; they stay in the [`Ebpf`].
pub(super) struct Single {
    event_type: u32,
}

fn program(ebpf: &mut Ebpf, program: UprobeProgram) -> anyhow::Result<&mut UProbe> {
    let name = program.name();
    Ok(ebpf.program_mut(name).context(name)?.try_into()?)
}

impl Single {
    pub(super) fn load(ebpf: &mut Ebpf) -> anyhow::Result<Single> {
        for which in UprobeProgram::ALL {
            program(ebpf, which)?.load().context(which.name())?;
        }
        let event_type = fs::read_to_string(EVENT_TYPE).context(EVENT_TYPE)?;
        let event_type = event_type.trim().parse().context(EVENT_TYPE)?;
        Ok(Single { event_type })
    }

    /// Links for all of `probes`, in their order, or none.
    pub(super) fn attach(
        &self,
        ebpf: &mut Ebpf,
        path: &CStr,
        probes: &[Probe],
    ) -> anyhow::Result<Vec<OwnedFd>> {
        let mut made = Vec::new();
        for probe in probes {
            let link = program(ebpf, probe.program)?
                .fd()
                .map_err(anyhow::Error::from)
                .and_then(|fd| Ok(bpf::link_uprobe(fd.as_fd(), self.event_type, path, probe)?));
            made.push(link.with_context(|| format!("at {:#x}", probe.offset))?);
        }
        Ok(made)
    }
}

/// Closes links, in the opposite order.
pub(super) fn close(mut links: Vec<OwnedFd>) {
    while let Some(link) = links.pop() {
        drop(link);
    }
}
