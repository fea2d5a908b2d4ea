//! Writing records: size classes, wake-ups, and counting what does not fit.

use aya_ebpf::helpers::{
    bpf_ktime_get_ns,
    generated::{bpf_probe_read_user, bpf_ringbuf_query},
};
use cirron_common::{
    ABI_VERSION, Counter, RecordHeader,
    conn::Positions,
    record::{
        Close, ContextLife, DATA_LEN, Data, Fork, HEADER_LEN, Link, Sent, direction, flag, kind,
        source,
    },
};

use crate::{
    config::config,
    maps::{RING, count},
    socket::Blank,
};

/// Bytes of a stream in one record at most: the largest size class.
pub const CHUNK: u64 = 65_536;

pub const BPF_RB_NO_WAKEUP: u64 = 1;
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
    pub context: u64,
    pub version: u64,
    /// As in [`Data`].
    pub told: u32,
    /// Bits of [`flag`] that all of them have.
    pub flags: u8,
    pub direction: u8,
    pub source: u8,
}

impl Call {
    /// On no connection, and nothing more is known of it.
    #[inline(always)]
    pub fn new(ts_ns: u64, pid_tgid: u64, source: u8) -> Call {
        Call {
            ts_ns,
            conn: 0,
            epoch: 0,
            pid_tgid,
            context: 0,
            version: 0,
            told: 0,
            flags: 0,
            direction: direction::NONE,
            source,
        }
    }

    /// Of a runtime inside of the process.
    #[inline(always)]
    pub fn of_runtime(pid_tgid: u64) -> Call {
        // SAFETY: no arguments.
        let now_ns = unsafe { bpf_ktime_get_ns() };
        Call::new(now_ns, pid_tgid, source::RUNTIME)
    }
}

/// A record in the ring, with the payload of its kind.
#[repr(C)]
pub struct With<P> {
    pub header: RecordHeader,
    pub payload: P,
}

/// Bytes of a size class, behind what is said of them.
#[repr(C)]
struct Bytes<const N: usize> {
    data: Data,
    bytes: [u8; N],
}

/// What of a [`Data`] is not its call's.
struct Part {
    pos: u64,
    len: u64,
    flags: u8,
}

/// Writes a header field by field: built first and copied then it would take the stack, of which
/// kernels before 6.13 allow 512 bytes to all functions of a program together.
///
/// # Safety
/// `to` must be valid for writes.
#[inline(always)]
pub unsafe fn write_header(to: *mut RecordHeader, call: &Call, kind: u8, payload_len: u32) {
    // SAFETY: the caller's.
    unsafe {
        (*to).abi = ABI_VERSION;
        (*to).kind = kind;
        (*to).source = call.source;
        (*to).payload_len = payload_len;
        (*to).ts_ns = call.ts_ns;
        (*to).conn = call.conn;
        (*to).epoch = call.epoch;
        (*to).context = call.context;
        (*to).tgid = (call.pid_tgid >> 32) as u32;
        (*to).tid = call.pid_tgid as u32;
        (*to).version = call.version;
    }
}

/// As [`write_header`].
///
/// # Safety
/// `to` must be valid for writes.
#[inline(always)]
unsafe fn write_data(to: *mut Data, call: &Call, part: &Part) {
    let slack_us = match call.flags & flag::COARSE {
        0 => 0,
        // The tick, and one on either side: whoever counts them may be late, then and now.
        _ => (3 * config!(tick_ns) / 1000) as u16,
    };
    // SAFETY: the caller's.
    unsafe {
        (*to).pos = part.pos;
        (*to).len = part.len;
        (*to).told = call.told;
        (*to).slack_us = slack_us;
        (*to).direction = call.direction;
        (*to).flags = part.flags | call.flags;
    }
}

/// Wakes the reader once, when this record takes the ring past the mark. Below it the reader comes
/// by itself a few times a second: time stamps are ours, so nothing is lost by waiting.
#[inline(always)]
pub fn wakeup(len: u64) -> u64 {
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
    let Some(mut entry) = RING.reserve::<With<Bytes<N>>>(0) else {
        count(Counter::RingFull, 1);
        count(Counter::RingFullBytes, len);
        return;
    };
    let record = entry.as_mut_ptr();
    // Opaque to the compiler, so that the bound below stays where the verifier sees it.
    // SAFETY: a local.
    let len = unsafe { core::ptr::read_volatile(&len) };
    let bounded = (len.wrapping_sub(1) & (N as u64 - 1)) + 1;
    // SAFETY: there are N bytes and `bounded` is at most N; the helper fails on a bad source.
    let rc = unsafe {
        bpf_probe_read_user(
            core::ptr::addr_of_mut!((*record).payload.bytes) as *mut _,
            bounded as u32,
            from as *const _,
        )
    };
    let (captured, flags) = if rc == 0 {
        count(Counter::CapturedBytes, len);
        (len as u32, flags)
    } else {
        count(Counter::Fault, 1);
        count(Counter::FaultBytes, len);
        (0, flags | flag::FAULT)
    };
    let part = Part { pos, len, flags };
    // SAFETY: the record is ours until it is submitted.
    unsafe {
        write_header(
            &raw mut (*record).header,
            call,
            kind::DATA,
            DATA_LEN as u32 + captured,
        );
        write_data(&raw mut (*record).payload.data, call, &part);
    }
    count(Counter::Records, 1);
    entry.submit(wakeup((HEADER_LEN + DATA_LEN + N) as u64));
}

/// One record of 1 to [`CHUNK`] bytes. Size classes: a token event of 200 bytes takes 584, not 64 Ki.
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

/// Writes a record of a fixed length. `fill` writes its payload.
#[inline(always)]
fn write<P: 'static>(call: &Call, kind: u8, wakeup: u64, fill: impl FnOnce(*mut P)) {
    let Some(mut entry) = RING.reserve::<With<P>>(0) else {
        count(Counter::EventsLost, 1);
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the record is ours until it is submitted.
    unsafe {
        write_header(&raw mut (*record).header, call, kind, size_of::<P>() as u32);
        fill(&raw mut (*record).payload);
    }
    count(Counter::Records, 1);
    entry.submit(wakeup);
}

#[inline(always)]
fn wakeup_for<P>() -> u64 {
    wakeup(size_of::<With<P>>() as u64)
}

/// `len` bytes that passed uncaptured.
#[inline(never)]
pub fn gap(call: &Call, pos: u64, len: u64, flags: u8) {
    let part = Part { pos, len, flags };
    write(call, kind::DATA, wakeup_for::<Data>(), |to: *mut Data| {
        // SAFETY: a record of ours.
        unsafe { write_data(to, call, &part) }
    });
}

/// A `CONN_CLOSE` record; `at`: where its bytes stand.
#[inline(always)]
pub fn close(call: &Call, why: u64, at: Positions) {
    write(
        call,
        kind::CONN_CLOSE,
        wakeup_for::<Close>(),
        |to: *mut Close| {
            // SAFETY: a record of ours.
            unsafe {
                (*to).why = why;
                (*to).at = at;
            }
        },
    );
}

/// A `SENT` record.
#[inline(always)]
pub fn sent(call: &Call, upto: u64, at_ns: u64, all: bool) {
    write(call, kind::SENT, wakeup_for::<Sent>(), |to: *mut Sent| {
        // SAFETY: a record of ours.
        unsafe {
            (*to).upto = upto;
            (*to).at_ns = at_ns;
            (*to).all = all as u64;
        }
    });
}

/// A `CONN_TUNED` record.
#[inline(always)]
pub fn tuned(call: &Call) {
    write(call, kind::CONN_TUNED, wakeup_for::<()>(), |_: *mut ()| {});
}

/// Writes addresses word by word: the compiler would have a function clear those that are known to be 0, and that
/// takes its part of the stack.
///
/// # Safety
/// `to` must be valid for writes.
#[inline(always)]
unsafe fn write_info(to: *mut Blank, info: &Blank) {
    const WORDS: usize = size_of::<Blank>() / size_of::<u64>();
    let from = core::ptr::from_ref(info).cast::<u64>();
    for i in 0..WORDS {
        // SAFETY: the caller's, and both are aligned to words and as long.
        unsafe { to.cast::<u64>().add(i).write_volatile(*from.add(i)) };
    }
}

/// A `CONTEXT_MADE` or `CONTEXT_ENDED` record.
#[inline(always)]
pub fn context_life(call: &Call, kind: u8, life: ContextLife) {
    write(
        call,
        kind,
        wakeup_for::<ContextLife>(),
        |to: *mut ContextLife| {
            // SAFETY: a record of ours.
            unsafe {
                (*to).context = life.context;
                (*to).number = life.number;
            }
        },
    );
}

/// A `CONN_OPEN` record.
#[inline(always)]
pub fn open(call: &Call, info: &Blank) {
    write(
        call,
        kind::CONN_OPEN,
        wakeup_for::<Blank>(),
        |to: *mut Blank| {
            // SAFETY: a record of ours.
            unsafe { write_info(to, info) }
        },
    );
}

/// A `CONN_LINK` record. `evidence`: one of [`cirron_common::record::evidence`].
#[inline(always)]
pub fn link(call: &Call, socket: u64, socket_epoch: u64, info: &Blank, evidence: u64) {
    write(
        call,
        kind::CONN_LINK,
        wakeup_for::<Link>(),
        |to: *mut Link| {
            // SAFETY: a record of ours, whose addresses begin at a multiple of 8 bytes.
            unsafe {
                (*to).socket = socket;
                (*to).socket_epoch = socket_epoch;
                (*to).evidence = evidence;
                write_info((&raw mut (*to).info).cast(), info);
            }
        },
    );
}

/// A process record without a payload. Rare, and what follows (facts of the process, probes in a library) should not be
/// late: it wakes the reader.
#[inline(always)]
pub fn process(kind: u8, ts_ns: u64, pid_tgid: u64) {
    write(
        &Call::new(ts_ns, pid_tgid, source::PROCESS),
        kind,
        BPF_RB_FORCE_WAKEUP,
        |_: *mut ()| {},
    );
}

/// A `PROC_FORK` record; it wakes the reader, as [`process`].
#[inline(always)]
pub fn fork(ts_ns: u64, pid_tgid: u64, child: u32) {
    write(
        &Call::new(ts_ns, pid_tgid, source::PROCESS),
        kind::PROC_FORK,
        BPF_RB_FORCE_WAKEUP,
        |to: *mut Fork| {
            // SAFETY: a record of ours.
            unsafe { (*to).child = child as u64 }
        },
    );
}
