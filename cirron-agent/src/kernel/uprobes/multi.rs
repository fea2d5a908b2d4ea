//! Links of many places (`BPF_TRACE_UPROBE_MULTI`, Linux 6.6): a file's places for one program are
//! one link, attached by one call and closed after one grace period.
//!
//! aya 0.14 cannot load programs for them. So the object is read a second time here, by aya's own
//! reader of objects, and its uprobe programs are put onto the maps that aya has made: both copies
//! share all state, the configuration included. Whether the kernel knows such links is tried.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::thread;

use anyhow::{Context as _, ensure};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya_obj::{Function, Object};

use super::{Probe, UprobeProgram, bpf, stack};

/// Threads that close links. With more links each has several, and as many grace periods to wait.
const MAX_CLOSERS: usize = 64;

/// The programs.
pub(super) struct Multi {
    programs: Vec<(UprobeProgram, OwnedFd)>,
    /// Why the kernel refused to keep the programs on the thread's stack ([`stack`]).
    refused: Option<io::Error>,
}

impl Multi {
    /// Loads the programs onto the maps of `ebpf`.
    pub(super) fn load(ebpf: &Ebpf) -> anyhow::Result<Multi> {
        let mut object = Object::parse(super::super::OBJECT)?;
        let features = aya::features();
        let btf = features
            .btf()
            .map(|known| object.fixup_and_sanitize_btf(known))
            .transpose()?
            .flatten()
            .map(|btf| bpf::load_btf(&btf.to_bytes()))
            .transpose()
            .context("the programs' types")?;
        ensure!(
            !object.has_btf_relocations(),
            "the object asks for relocations by type"
        );
        relocate(&mut object, ebpf)?;
        object.sanitize_functions(features);
        let btf = btf.as_ref().map(OwnedFd::as_fd);
        let mut programs = Vec::new();
        let mut refused = None;
        for which in UprobeProgram::ALL {
            let source = Source::find(&object, which)
                .with_context(|| format!("{}: not in the eBPF object", which.name()))?;
            let program = match source.load(&stack::of_the_thread(source.function), btf) {
                Ok(program) => program,
                Err(e) => {
                    refused = Some(e);
                    source.load(source.function, btf).context(which.name())?
                }
            };
            programs.push((which, program));
        }
        if let Some((_, program)) = programs.first() {
            knows_links(program.as_fd())?;
        }
        Ok(Multi { programs, refused })
    }

    /// What was loaded, in words.
    pub(super) fn detail(&self) -> String {
        let links = "one link for each file and program";
        match &self.refused {
            None => links.to_owned(),
            Some(e) => format!(
                "{links}; not on the thread's stack ({e}): from Linux 6.13 on bytes of connections may be mixed"
            ),
        }
    }

    /// Links for all of `probes`, or none.
    pub(super) fn attach(&self, path: &CStr, probes: &[Probe]) -> anyhow::Result<Vec<MultiLink>> {
        let mut made = Vec::new();
        let turns = [false, true].iter();
        for (is_last, (which, program)) in
            turns.flat_map(|is_last| self.programs.iter().map(move |p| (*is_last, p)))
        {
            let of_link = |probe: &&Probe| probe.program == *which && probe.is_last == is_last;
            let probes: Vec<&Probe> = probes.iter().filter(of_link).collect();
            if probes.is_empty() {
                continue;
            }
            let link = bpf::link_uprobes(program.as_fd(), path, &probes).with_context(|| {
                let offsets: Vec<u64> = probes.iter().map(|probe| probe.offset).collect();
                format!("{} at {offsets:x?}", which.name())
            })?;
            made.push(MultiLink { link, is_last });
        }
        Ok(made)
    }
}

/// A link of places.
pub(super) struct MultiLink {
    link: OwnedFd,
    /// As of its probes.
    is_last: bool,
}

/// Closes links and gives their number: those first that were made last.
pub(super) fn close(links: Vec<MultiLink>) -> usize {
    let (last, first): (Vec<MultiLink>, Vec<MultiLink>) =
        links.into_iter().partition(|link| link.is_last);
    let close = |links: Vec<MultiLink>| {
        close_at_once(
            links
                .into_iter()
                .map(|MultiLink { link, .. }| link)
                .collect(),
        )
    };
    close(last) + close(first)
}

/// Each waits for a grace period; closed at the same time, they wait for the same one.
fn close_at_once(mut links: Vec<OwnedFd>) -> usize {
    let count = links.len();
    let share = count.div_ceil(MAX_CLOSERS).max(1);
    thread::scope(|scope| {
        while !links.is_empty() {
            let part = links.split_off(links.len().saturating_sub(share));
            // Where no thread can be started, they are closed here.
            let _ = thread::Builder::new()
                .name("cirron-detach".into())
                .spawn_scoped(scope, move || drop(part));
        }
    });
    count
}

/// Puts the descriptors of `ebpf`'s maps into the instructions, and functions behind their callers.
fn relocate(object: &mut Object, ebpf: &Ebpf) -> anyhow::Result<()> {
    let mut maps = Vec::new();
    for (name, map) in std::mem::take(&mut object.maps) {
        let fd = ebpf
            .map(&name)
            .and_then(fd)
            .with_context(|| format!("the map {name} is not there"))?;
        maps.push((name, fd, map));
    }
    let text: HashSet<usize> = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object.relocate_maps(
        maps.iter().map(|(name, fd, map)| (name.as_str(), *fd, map)),
        &text,
    )?;
    object.relocate_calls(&text)?;
    Ok(())
}

/// The descriptor of a map of a kind that the object has.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "aya's enum has a variant for each kind of map that there is"
)]
fn fd(map: &Map) -> Option<RawFd> {
    let data: &MapData = match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data)
        | Map::PerfEventArray(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd().as_raw_fd())
}

/// A program in the object.
struct Source<'a> {
    which: UprobeProgram,
    license: &'a CStr,
    function: &'a Function,
}

impl<'a> Source<'a> {
    fn find(object: &'a Object, which: UprobeProgram) -> Option<Source<'a>> {
        let program = object.programs.get(which.name())?;
        Some(Source {
            which,
            license: &program.license,
            function: object.functions.get(&program.function_key())?,
        })
    }

    /// Loads `function`, which is its own or made of it.
    fn load(&self, function: &Function, btf: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
        bpf::load_uprobe(self.which.name(), self.license, function, btf)
    }
}

/// Kernels before 6.6 load the programs, and refuse the links. A directory has no code: a kernel
/// that knows them says that it is no file (`EBADF`), any other does not get as far (`EINVAL`).
fn knows_links(program: BorrowedFd<'_>) -> anyhow::Result<()> {
    let nowhere = Probe {
        program: UprobeProgram::Enter,
        offset: 0,
        cookie: 0,
        semaphore: 0,
        is_last: false,
    };
    let error = match bpf::link_uprobes(program, c"/", &[&nowhere]) {
        Ok(_) => io::Error::other("a directory was taken for a file"),
        Err(e) => e,
    };
    ensure!(
        error.raw_os_error() == Some(libc::EBADF),
        "the kernel refuses links of many places: {error}"
    );
    Ok(())
}
