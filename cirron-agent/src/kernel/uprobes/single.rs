//! One link for each place: what every kernel that we support can do.
//!
//! The kernel closes these one after the other under one lock (`event_mutex`), each after a grace
//! period of its own: closing them in several threads is not faster.
//!
//! aya loads these programs as they are, not on the thread's stack ([`super::stack`]): no kernel that
//! gives them another one is without the links of [`super::multi`].

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use aya::Ebpf;
use aya::programs::UProbe;
use aya::programs::uprobe::{
    UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeLinkId, UProbeScope,
};

use super::{Probe, UprobeProgram};

/// The programs, loaded; they and their links stay in the [`Ebpf`].
pub(super) struct Single(());

/// A link of one place, which stays in the [`Ebpf`].
pub(super) struct SingleLink(UprobeProgram, UProbeLinkId);

fn program(ebpf: &mut Ebpf, program: UprobeProgram) -> anyhow::Result<&mut UProbe> {
    let name = program.name();
    Ok(ebpf.program_mut(name).context(name)?.try_into()?)
}

impl Single {
    pub(super) fn load(ebpf: &mut Ebpf) -> anyhow::Result<Single> {
        for which in UprobeProgram::ALL {
            program(ebpf, which)?.load().context(which.name())?;
        }
        Ok(Single(()))
    }

    /// Links for all of `probes`, in their order, or none.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        path: &CStr,
        probes: &[Probe],
    ) -> anyhow::Result<Vec<SingleLink>> {
        let file = Path::new(OsStr::from_bytes(path.to_bytes()));
        let mut made = Vec::new();
        for probe in probes {
            let at = UProbeAttachPoint {
                location: UProbeAttachLocation::AbsoluteOffset(probe.offset),
                cookie: Some(probe.cookie),
            };
            match program(ebpf, probe.program)?.attach(at, file, UProbeScope::AllProcesses) {
                Ok(link) => made.push(SingleLink(probe.program, link)),
                Err(e) => {
                    drop(Single::take(ebpf, made));
                    return Err(e).context(format!("at {:#x}", probe.offset));
                }
            }
        }
        Ok(made)
    }

    /// Takes links out of `ebpf`: dropped, they are closed. What cannot be taken now is closed at the end.
    pub(super) fn take(ebpf: &mut Ebpf, links: Vec<SingleLink>) -> Vec<UProbeLink> {
        let links = links.into_iter();
        links
            .filter_map(|SingleLink(which, link)| program(ebpf, which).ok()?.take_link(link).ok())
            .collect()
    }
}
