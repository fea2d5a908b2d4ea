//! The kernel side as the shell sees it: load and attach, choose targets, read records, counters.
//!
//! It owns the eBPF objects; dropping it detaches everything. It knows nothing of HTTP or files.

mod btf;
mod check;
mod error;
mod log;
mod memory;
mod passed_over;
mod policy;
mod probes;
mod reader;
mod targets;
mod uprobes;
mod verdict;

use std::error::Error;

use aya::maps::{HashMap, MapData, MapError, PerCpuArray, RingBuf};
use aya::{Btf, Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use cirron_common::Counter;
use cirron_common::counters::COUNTERS;
use cirron_common::maps;
use cirron_common::tls::{SslKey, SslState};

use check::SocketCheck;
pub use check::SocketState;
pub use error::LoadError;
pub use memory::{MAPS_BYTES, PROGRAM_BYTES, memory_limit};
use passed_over::PassedOver;
pub use policy::Policy;
pub use reader::Reader;
use targets::Targets;
pub use uprobes::{Attachment, Detached, Links, Point, Reads, UprobeProgram, Uprobes};
use uprobes::{DescribedMaps, Numbered};
pub use verdict::{Failure, ProbeVerdict};

/// The programs, built by `build.rs` from `cirron-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/cirron-ebpf.o"));

/// What the programs are that were built into this agent.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// Hash of the object.
    pub sha256: &'static str,
    /// What built it, in its own words.
    pub compiler: &'static str,
    /// Version of the records that they write.
    pub abi: u16,
}

impl Programs {
    /// Of this agent.
    pub fn embedded() -> Programs {
        Programs {
            sha256: env!("CIRRON_OBJECT_SHA256"),
            compiler: env!("CIRRON_OBJECT_COMPILER"),
            abi: cirron_common::ABI_VERSION,
        }
    }
}

/// Unread bytes that wake the reader: an eighth of the ring, so that it never fills while the
/// reader sleeps, and seldom enough that a busy server pays no wake-up for a call.
const WAKEUP_SHARE: u32 = 8;

/// What the loader is told.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Bytes of the ring, rounded up to a power of two of pages.
    pub ring_bytes: u32,
    /// How often the maps of what is followed are halved.
    pub halvings: u32,
    /// Of the probes in TLS libraries.
    pub links: Links,
    /// Each process that begins to listen is told, so that it can become a target.
    pub tells_listeners: bool,
}

/// The loaded programs and their maps.
pub struct Kernel {
    log: Option<EbpfLogger<log::ToTracing>>,
    /// Owns the programs: dropping them detaches.
    uprobes: Option<Uprobes>,
    targets: Targets,
    muted: HashMap<MapData, u64, u64>,
    objects: HashMap<MapData, SslKey, SslState>,
    counters: PerCpuArray<MapData, u64>,
    passed_over: PassedOver,
    check: SocketCheck,
    reader: Option<Reader>,
    verdicts: Vec<ProbeVerdict>,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel")
            .field("verdicts", &self.verdicts)
            .finish_non_exhaustive()
    }
}

impl Kernel {
    /// Loads and attaches every program of the probe table, and loads those that are attached to
    /// TLS libraries later.
    pub fn load(options: &LoadOptions) -> Result<Kernel, LoadError> {
        let ring_bytes = options.ring_bytes.max(4096).next_power_of_two();
        let mut config = btf::offsets()?;
        config.wakeup_bytes = ring_bytes / WAKEUP_SHARE;
        config.tells_listeners = options.tells_listeners.into();
        let btf = Btf::from_sys_fs().map_err(|e| LoadError::Types {
            path: btf::VMLINUX,
            why: e.to_string(),
        })?;
        let mut loader = EbpfLoader::new();
        for (map, entries) in maps::HALVED {
            loader.map_max_entries(map, entries >> options.halvings);
        }
        let refused = |what, e: &(dyn Error + 'static)| refused(what, e, options, ring_bytes);
        let mut ebpf = loader
            .btf(Some(&btf))
            .override_global("CONFIG", &config, true)
            .override_global(log::LEVEL_GLOBAL, &log::level(), true)
            .map_max_entries(maps::RING, ring_bytes)
            .load(OBJECT)
            .map_err(|e| refused("cannot load the eBPF object", &e))?;
        let mut verdicts = probes::attach(probes::Attempt {
            ebpf: &mut ebpf,
            btf: &btf,
            config: &config,
        })?;
        let (check, verdict) = SocketCheck::load(&mut ebpf);
        verdicts.push(verdict);
        let loaded = uprobes::load(&mut ebpf, options.links);
        let targets = Targets::new(take(&mut ebpf, maps::TARGETS)?);
        let described = DescribedMaps {
            signatures: Numbered::new(take(&mut ebpf, maps::SIGNATURES)?),
            shapes: Numbered::new(take(&mut ebpf, maps::SHAPES)?),
            rates: take(&mut ebpf, maps::RATES)?,
            interpreters: take(&mut ebpf, maps::INTERPRETERS)?,
        };
        verdicts.push(loaded.verdict.clone());
        Ok(Kernel {
            log: log::reader(&mut ebpf),
            targets: targets.clone(),
            muted: take(&mut ebpf, maps::MUTED)?,
            objects: take(&mut ebpf, maps::SSLS)?,
            counters: take(&mut ebpf, maps::COUNTERS)?,
            passed_over: PassedOver::open(&ebpf),
            check,
            reader: Some(Reader::new(ring(&mut ebpf, refused)?)),
            uprobes: Some(Uprobes::new(ebpf, loaded, described, targets)),
            verdicts,
        })
    }

    /// Hands on what the programs said since the last time.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// What became of each probe.
    pub fn verdicts(&self) -> &[ProbeVerdict] {
        &self.verdicts
    }

    /// Makes `tgid` a target, or changes what of it is captured.
    pub fn set_target(&mut self, tgid: u32, policy: Policy) -> anyhow::Result<()> {
        self.targets.set(tgid, policy)
    }

    /// What of `tgid` is captured; `None` where it is no target.
    pub fn policy(&self, tgid: u32) -> Option<Policy> {
        self.targets.policy(tgid)
    }

    /// `tgid` is a target no more.
    pub fn remove_target(&mut self, tgid: u32) -> anyhow::Result<()> {
        self.targets.remove(tgid);
        Ok(())
    }

    /// No more bytes of this connection are wanted.
    pub fn mute(&mut self, conn: u64, epoch: u64) -> anyhow::Result<()> {
        Ok(self.muted.insert(conn, epoch, 0)?)
    }

    /// Whether anybody holds the connection's socket.
    pub fn socket(&self, conn: u64, epoch: u64) -> SocketState {
        self.check.ask(conn, epoch)
    }

    /// Whether the object of a TLS library is there that this process has at this address. One that was freed is not,
    /// whether or not that could be told.
    pub fn object(&self, address: u64, epoch: u64, tgid: u32) -> SocketState {
        let key = SslKey {
            object: address,
            tgid: tgid.into(),
        };
        match self.objects.get(&key, 0) {
            Ok(state) if state.epoch == epoch && state.closed_ns == 0 => SocketState::Held(1),
            Ok(_) | Err(MapError::KeyNotFound) => SocketState::Released,
            Err(_) => SocketState::Unknown,
        }
    }

    /// The programs, to be kept for as long as anything is to be captured; `None` the second time.
    pub fn take_uprobes(&mut self) -> Option<Uprobes> {
        self.uprobes.take()
    }

    /// Sums over CPUs, indexed by `cirron_common::Counter`, and what the kernel itself counts.
    pub fn counters(&self) -> anyhow::Result<[u64; COUNTERS as usize]> {
        let mut sums = [0; COUNTERS as usize];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = self.counters.get(&(i as u32), 0)?.iter().sum();
        }
        sums[Counter::PassedOver as usize] = self.passed_over.count();
        Ok(sums)
    }

    /// The reader of the ring, for its own thread; `None` the second time.
    pub fn take_reader(&mut self) -> Option<Reader> {
        self.reader.take()
    }
}

fn take<T: TryFrom<aya::maps::Map>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, LoadError> {
    ebpf.take_map(name)
        .and_then(|map| T::try_from(map).ok())
        .ok_or(LoadError::Map(name))
}

/// It is mapped into our memory here.
fn ring(
    ebpf: &mut Ebpf,
    refused: impl FnOnce(&'static str, &(dyn Error + 'static)) -> LoadError,
) -> Result<RingBuf<MapData>, LoadError> {
    let map = ebpf
        .take_map(maps::RING)
        .ok_or(LoadError::Map(maps::RING))?;
    RingBuf::try_from(map).map_err(|e| refused("cannot map the ring", &e))
}

/// A lack of memory has advice of its own.
fn refused(
    what: &'static str,
    error: &(dyn Error + 'static),
    options: &LoadOptions,
    ring_bytes: u32,
) -> LoadError {
    let failure = Failure::from_error(error);
    if failure.errno == Some(libc::ENOMEM) {
        memory::refused(format!("{what}: {failure}"), ring_bytes, options.halvings)
    } else {
        LoadError::Object { what, failure }
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

#[cfg(test)]
mod frames_tests;
