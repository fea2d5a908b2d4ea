//! The maps. Names and sizes are `cirron_common::maps`.

use core::arch::asm;

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use cirron_common::{
    Counter, Shape, Signature,
    conn::{ConnState, Runner},
    counters, maps,
    python::Interpreter,
    shape::{Rate, RateKey, SkipKey},
    tls::{GoKey, Sealed, SslCall, SslKey, SslState},
};

#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(maps::RING_BYTES, 0);

#[map]
pub static TARGETS: HashMap<u32, u32> = HashMap::with_max_entries(maps::MAX_TARGETS, 0);

#[map]
pub static CONNS: LruHashMap<u64, ConnState> = LruHashMap::with_max_entries(maps::MAX_CONNS, 0);

#[map]
pub static FDS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(maps::MAX_FDS, 0);

#[map]
pub static MUTED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(maps::MAX_MUTED, 0);

#[map]
pub static SSLS: LruHashMap<SslKey, SslState> = LruHashMap::with_max_entries(maps::MAX_SSLS, 0);

#[map]
pub static SSL_CALLS: LruHashMap<u64, SslCall> =
    LruHashMap::with_max_entries(maps::MAX_SSL_CALLS, 0);

#[map]
pub static GO_CALLS: LruHashMap<GoKey, SslCall> =
    LruHashMap::with_max_entries(maps::MAX_GO_CALLS, 0);

#[map]
pub static SEALED: LruHashMap<u64, Sealed> = LruHashMap::with_max_entries(maps::MAX_SEALED, 0);

#[map]
pub static SIGNATURES: Array<Signature> = Array::with_max_entries(maps::MAX_SIGNATURES, 0);

#[map]
pub static SHAPES: Array<Shape> = Array::with_max_entries(maps::MAX_SHAPES, 0);

#[map]
pub static RATES: LruHashMap<RateKey, Rate> = LruHashMap::with_max_entries(maps::MAX_RATES, 0);

/// One: how many processes have been told of that began to listen.
#[map]
pub static LISTENERS: Array<Listeners> = Array::with_max_entries(1, 0);

#[map]
pub static SKIPS: LruHashMap<SkipKey, u64> = LruHashMap::with_max_entries(maps::MAX_SKIPS, 0);

#[map]
pub static BEGINNERS: LruHashMap<u64, u8> = LruHashMap::with_max_entries(maps::MAX_BEGINNERS, 0);

#[map]
pub static INTERPRETERS: HashMap<u32, Interpreter> =
    HashMap::with_max_entries(maps::MAX_INTERPRETERS, 0);

#[map]
pub static TURNS: LruHashMap<Runner, u64> = LruHashMap::with_max_entries(maps::MAX_TURNS, 0);

#[map]
pub static GO_ASKED: LruHashMap<GoKey, u64> = LruHashMap::with_max_entries(maps::MAX_GO_ASKED, 0);

#[map]
pub static GO_WRITERS: LruHashMap<Runner, u64> =
    LruHashMap::with_max_entries(maps::MAX_GO_ASKED, 0);

#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counters::COUNTERS, 0);

/// Value of [`LISTENERS`].
#[repr(C)]
pub struct Listeners {
    /// When its second began.
    pub since_ns: u64,
    /// Since then.
    pub told: u64,
}

/// Adds `n` to a counter of this CPU. In one step: a thread that is preempted in the middle of two would
/// take back what others have counted meanwhile.
#[inline(always)]
pub fn count(counter: Counter, n: u64) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        add(slot, n);
    }
}

/// Adds `n` to a word of a live map value, in one step.
#[inline(always)]
pub fn add(slot: *mut u64, n: u64) {
    // No operation of the language's: it has none for this target, whose atomics do not compare.
    // SAFETY: a live and aligned map value.
    unsafe { asm!("lock *(u64 *)({slot} + 0) += {n}", slot = in(reg) slot, n = in(reg) n) };
}

/// Key of [`FDS`].
#[inline(always)]
pub fn fd_key(tgid: u32, fd: i32) -> u64 {
    (tgid as u64) << 32 | fd as u32 as u64
}
