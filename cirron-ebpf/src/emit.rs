//! Writing records: size classes, wake-ups, and counting what does not fit.

use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_ringbuf_query};
use cirron_common::{
    ABI_VERSION, Counter, RecordHeader,
    conn::{CONN_INFO_LEN, ConnInfo},
    record::{HEADER_LEN, flag, kind, source},
};

use crate::{
    config::config,
    maps::{RING, count},
};

/// Bytes of one record's payload at most: the largest size class.
pub const CHUNK: u64 = 65_536;

const BPF_RB_NO_WAKEUP: u64 = 1;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// What all records of one call share.
#[derive(Clone, Copy)]
pub struct Call {
    pub ts_ns: u64,
    pub conn: u64,
    pub epoch: u64,
    pub pid_tgid: u64,
    /// As in the header.
    pub told: u32,
    /// Bits of [`flag`] that all of them have.
    pub flags: u8,
    pub direction: u8,
    pub source: u8,
}

#[repr(C)]
struct Sized<const N: usize> {
    header: RecordHeader,
    payload: [u8; N],
}

/// What of a header is not its call's.
struct Rest {
    kind: u8,
    flags: u8,
    cap_len: u32,
    pos: u64,
    orig_len: u64,
}

/// Writes a header field by field: built first and copied then it would take the stack, of which
/// kernels before 6.13 allow 512 bytes to all functions of a program together.
///
/// # Safety
/// `to` must be valid for writes.
#[inline(always)]
unsafe fn write_header(to: *mut RecordHeader, call: &Call, rest: &Rest) {
    let slack_us = match call.flags & flag::COARSE {
        0 => 0,
        // The tick, and one on either side: whoever counts them may be late, then and now.
        _ => (3 * config!(tick_ns) / 1000) as u16,
    };
    // SAFETY: the caller's.
    unsafe {
        (*to).abi = ABI_VERSION;
        (*to).kind = rest.kind;
        (*to).direction = call.direction;
        (*to).source = call.source;
        (*to).flags = rest.flags | call.flags;
        (*to).slack_us = slack_us;
        (*to).ts_ns = call.ts_ns;
        (*to).conn = call.conn;
        (*to).epoch = call.epoch;
        (*to).pos = rest.pos;
        (*to).orig_len = rest.orig_len;
        (*to).cap_len = rest.cap_len;
        (*to).told = call.told;
        (*to).tgid = (call.pid_tgid >> 32) as u32;
        (*to).tid = call.pid_tgid as u32;
    }
}

/// Wakes the reader once, when this record takes the ring past the mark. Below it the reader comes
/// by itself a few times a second: time stamps are ours, so nothing is lost by waiting.
#[inline(always)]
fn wakeup(len: u64) -> u64 {
    // SAFETY: the map pointer is valid, the helper only reads counters.
    let unread =
        unsafe { bpf_ringbuf_query(core::ptr::addr_of!(RING) as *mut _, BPF_RB_AVAIL_DATA) };
    let mark = config!(wakeup_bytes) as u64;
    if unread >= mark && unread < mark + len {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    }
}

/// Reserves a record of class `N` and copies `len` bytes of the target's memory into it.
#[inline(always)]
fn put<const N: usize>(call: &Call, pos: u64, from: u64, len: u64, flags: u8) {
    let Some(mut entry) = RING.reserve::<Sized<N>>(0) else {
        count(Counter::RingFull, 1);
        count(Counter::RingFullBytes, len);
        return;
    };
    let record = entry.as_mut_ptr();
    // Opaque to the compiler, so that the bound below stays where the verifier sees it.
    // SAFETY: a local.
    let len = unsafe { core::ptr::read_volatile(&len) };
    let bounded = (len.wrapping_sub(1) & (N as u64 - 1)) + 1;
    // SAFETY: `payload` has N bytes and `bounded` is at most N; the helper fails on a bad source.
    let rc = unsafe {
        bpf_probe_read_user(
            core::ptr::addr_of_mut!((*record).payload) as *mut _,
            bounded as u32,
            from as *const _,
        )
    };
    let (cap_len, flags) = if rc == 0 {
        count(Counter::CapturedBytes, len);
        (len as u32, flags)
    } else {
        count(Counter::Fault, 1);
        count(Counter::FaultBytes, len);
        (0, flags | flag::FAULT)
    };
    let rest = Rest {
        kind: kind::DATA,
        flags,
        cap_len,
        pos,
        orig_len: len,
    };
    // SAFETY: the record is ours until it is submitted.
    unsafe { write_header(&raw mut (*record).header, call, &rest) };
    count(Counter::Records, 1);
    entry.submit(wakeup((HEADER_LEN + N) as u64));
}

/// One record of 1 to [`CHUNK`] bytes. Size classes: a token event of 200 bytes takes 576, not 64 Ki.
///
/// A global function to the verifier: walked once, not once for each step of each caller.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_emit_chunk(call: *const Call, pos: u64, from: u64, len: u64) -> u64 {
    if call.is_null() {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for a whole `Call`.
    let call = unsafe { &*call };
    if len <= 512 {
        put::<512>(call, pos, from, len, 0);
    } else if len <= 4_096 {
        put::<4_096>(call, pos, from, len, 0);
    } else if len <= 16_384 {
        put::<16_384>(call, pos, from, len, 0);
    } else {
        put::<65_536>(call, pos, from, len, 0);
    }
    0
}

/// `len` bytes that passed uncaptured.
#[inline(never)]
pub fn gap(call: &Call, pos: u64, len: u64, flags: u8) {
    event(call, kind::DATA, pos, len, flags);
}

/// A record without payload.
#[inline(always)]
pub fn event(call: &Call, kind: u8, pos: u64, orig_len: u64, flags: u8) {
    submit(call, kind, pos, orig_len, flags, wakeup(HEADER_LEN as u64));
}

#[inline(always)]
fn submit(call: &Call, kind: u8, pos: u64, orig_len: u64, flags: u8, wakeup: u64) {
    let Some(mut entry) = RING.reserve::<RecordHeader>(0) else {
        count(Counter::EventsLost, 1);
        return;
    };
    let rest = Rest {
        kind,
        flags,
        cap_len: 0,
        pos,
        orig_len,
    };
    // SAFETY: the record is ours until it is submitted.
    unsafe { write_header(entry.as_mut_ptr(), call, &rest) };
    count(Counter::Records, 1);
    entry.submit(wakeup);
}

/// A `CONN_OPEN` record.
#[inline(always)]
pub fn open(call: &Call, info: &ConnInfo) {
    with_info(call, kind::CONN_OPEN, 0, 0, info, 0);
}

/// A `CONN_LINK` record.
#[inline(always)]
pub fn link(call: &Call, socket: u64, socket_epoch: u64, info: &ConnInfo, flags: u8) {
    with_info(call, kind::CONN_LINK, socket_epoch, socket, info, flags);
}

#[inline(always)]
fn with_info(call: &Call, kind: u8, pos: u64, orig_len: u64, info: &ConnInfo, flags: u8) {
    #[repr(C)]
    struct Open {
        header: RecordHeader,
        info: ConnInfo,
    }
    let Some(mut entry) = RING.reserve::<Open>(0) else {
        count(Counter::EventsLost, 1);
        return;
    };
    let record = entry.as_mut_ptr();
    let rest = Rest {
        kind,
        flags,
        cap_len: CONN_INFO_LEN as u32,
        pos,
        orig_len,
    };
    // SAFETY: the record is ours until it is submitted.
    unsafe {
        write_header(&raw mut (*record).header, call, &rest);
        (*record).info = *info;
    }
    count(Counter::Records, 1);
    entry.submit(wakeup((HEADER_LEN + CONN_INFO_LEN) as u64));
}

/// A process record: no connection.
#[inline(always)]
pub fn process(kind: u8, ts_ns: u64, pid_tgid: u64, value: u64) {
    let call = Call {
        ts_ns,
        conn: 0,
        epoch: 0,
        pid_tgid,
        told: 0,
        flags: 0,
        direction: 0,
        source: source::PROCESS,
    };
    // Rare, and what follows (facts of the process, probes in a library) should not be late.
    submit(&call, kind, 0, value, 0, BPF_RB_FORCE_WAKEUP);
}
