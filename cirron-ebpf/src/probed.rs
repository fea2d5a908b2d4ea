//! A probe that a rule put there was reached: its values and texts go into the ring as they are.
//!
//! ```text
//! cookie -> Shape: operands -> values -> size class -> reservation: Hit, then the texts, read straight into it
//! ```
//! What a hit means is told by the agent, in the `PROBE_SPEC` of its number. Its header has the goroutine or, of Python, the
//! context. A value or text that cannot be read is marked and counted, and the hit is told all the same: it is a moment.
//! The thread's processor time is not told: what the kernel keeps of a running thread (`se.sum_exec_runtime`) is as old as
//! its last tick, and no helper gives the rest.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_attach_cookie, bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns,
        generated::{bpf_probe_read_user, bpf_probe_read_user_str},
    },
    programs::ProbeContext,
};
use cirron_common::{
    Counter, Shape,
    hit::{HIT_LEN, Hit, MAX_TEXTS, MAX_VALUES},
    operand::kind::ABSENT,
    record::{GOID, HEADER_LEN, kind, source},
    shape::{MAX_TEXT_BYTES, cookie, thinning as kind_of},
    tls::target,
};

use crate::{
    config::config,
    emit::{self, Call, With},
    goroutine,
    maps::{BEGINNERS, RING, SHAPES, TARGETS, count},
    operand::{self, Saved},
    python,
    socket::kernel,
    thinning,
};

/// Bytes of texts in the smaller size classes: the name of a scope; a name with some attributes.
const SMALL: usize = 64;
const MEDIUM: usize = 256;
const LARGE: usize = MAX_TEXT_BYTES as usize;

/// A hit and its texts. A text begins before `N` and has `N` bytes at most, so that they have room.
#[repr(C)]
struct HitWith<const N: usize> {
    hit: Hit,
    texts: [u8; N],
    rest: [u8; N],
}

/// Values that were read.
#[repr(C)]
struct Values {
    value: [u64; MAX_VALUES],
    /// As in [`Hit`].
    unread: u64,
    /// How many of those are there, and could not be read.
    faults: u64,
    /// Bytes of the texts, at most.
    text_bytes: u64,
}

/// Which hit it is.
struct What {
    probe: u32,
    stack: u64,
    cpu_ns: u64,
}

#[inline(always)]
pub fn try_hit(ctx: &ProbeContext) -> Option<u32> {
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: a live map value.
    let flags = unsafe { *TARGETS.get_ptr(&((pid_tgid >> 32) as u32))? };
    // SAFETY: the context of this program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let shape = SHAPES.get_ptr(cookie::shape(cookie))?;
    // SAFETY: written before the first probe that has its number, and never again.
    let shape = unsafe { &*shape };
    let context = match flags & target::GO {
        0 => 0,
        _ => goroutine::running(operand::goroutine(ctx.regs), flags),
    };
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let mut call = Call {
        context,
        ..Call::new(now_ns, pid_tgid, source::PROBE)
    };
    let depth = cookie::depth(cookie);
    let mut stack = operand::stack(ctx.regs, depth);
    if context & GOID != 0 {
        let top = goroutine::stack_top(operand::goroutine(ctx.regs));
        stack = stack.wrapping_sub(top.unwrap_or(0));
    }
    let hit = thinning::Hit {
        probe: cookie::probe(cookie),
        pid_tgid,
        context,
        ts_ns: call.ts_ns,
        stack,
        weight: shape.weight,
    };
    if shape.of_goroutine != 0 && context == 0 {
        // Between the attach and what tells the process to run Go, or on a stack of the runtime's own.
        thinning::leave_out(&hit);
        return None;
    }
    if !thinning::is_told(&hit, shape) {
        return None;
    }
    if flags & target::PYTHON != 0 {
        python::note(&mut call);
    }
    if context == 0 {
        note_beginner(pid_tgid, shape);
    }
    let mut values = Values {
        value: [0; MAX_VALUES],
        unread: 0,
        faults: 0,
        text_bytes: 0,
    };
    let saved = Saved::copy(ctx.regs);
    for index in 0..MAX_VALUES as u64 {
        if index >= shape.values as u64 {
            break;
        }
        cirron_read_value(&saved, depth, shape, index, &mut values);
    }
    let what = What {
        probe: hit.probe,
        stack,
        cpu_ns: runtime_ns(),
    };
    if values.text_bytes <= SMALL as u64 {
        tell::<SMALL>(&call, shape, &what, &values);
    } else if values.text_bytes <= MEDIUM as u64 {
        tell::<MEDIUM>(&call, shape, &what, &values);
    } else {
        tell::<LARGE>(&call, shape, &what, &values);
    }
    None
}

/// The thread may have a scope that is open from now on. Apart, for its part of the stack.
#[inline(never)]
fn note_beginner(pid_tgid: u64, shape: &Shape) {
    let begins = matches!(
        shape.thinning,
        kind_of::NONE | kind_of::BEGIN | kind_of::ENTER
    );
    if begins && BEGINNERS.get_ptr(&pid_tgid).is_none() {
        // Without room the scope ends with its process.
        let _ = BEGINNERS.insert(&pid_tgid, &1, 0);
    }
}

/// Processor time of the thread; 0: not known.
#[inline(always)]
fn runtime_ns() -> u64 {
    let at = config!(task_runtime);
    if at == u32::MAX {
        return 0;
    }
    // SAFETY: no arguments, always valid.
    kernel(unsafe { bpf_get_current_task() }, at).unwrap_or(0)
}

/// Reads the value at `index`. A global function to the verifier: walked once, not once for each value.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cirron_read_value(
    saved: *const Saved,
    depth: u64,
    shape: *const Shape,
    index: u64,
    to: *mut Values,
) -> u64 {
    if saved.is_null() || shape.is_null() || to.is_null() || index >= MAX_VALUES as u64 {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for whole structures.
    let (saved, shape, to) = unsafe { (&*saved, &*shape, &mut *to) };
    let i = index as usize;
    let operand = &shape.operands[i];
    if operand.kind == ABSENT {
        to.unread |= 1 << index;
        return 0;
    }
    let Some(value) = operand::value_of(saved, depth, operand) else {
        to.unread |= 1 << index;
        to.faults += 1;
        return 0;
    };
    to.value[i] = value;
    let most = shape.most[i] as u64;
    to.text_bytes += if is_ended(shape, i as u8) || value > most {
        most
    } else {
        value
    };
    0
}

/// The value is the address of a text that a 0 ends.
#[inline(always)]
fn is_ended(shape: &Shape, index: u8) -> bool {
    let mut is_ended = false;
    for n in 0..MAX_TEXTS {
        let text = &shape.text[n];
        is_ended |= text.address == index && text.length == index;
    }
    is_ended
}

/// Writes the record. Apart, for its part of the stack.
#[inline(never)]
fn tell<const N: usize>(call: &Call, shape: &Shape, what: &What, values: &Values) {
    let Some(mut entry) = RING.reserve::<With<HitWith<N>>>(0) else {
        count(Counter::ProbeHitsLost, 1);
        return;
    };
    let record = entry.as_mut_ptr();
    let mut faults = values.faults;
    let mut at = 0;
    // SAFETY: the record is ours until it is submitted.
    unsafe {
        let to = &raw mut (*record).payload.hit;
        (*to).probe = what.probe;
        (*to).values = shape.values;
        (*to).texts = shape.texts;
        (*to).unread = values.unread as u16;
        (*to).stack = what.stack;
        (*to).cpu_ns = what.cpu_ns;
        for i in 0..MAX_VALUES {
            (&raw mut (*to).value[i]).write_volatile(values.value[i]);
        }
        for n in 0..MAX_TEXTS {
            let text = &raw mut (*to).text[n];
            (*text).len = 0;
            (*text).captured = 0;
            (*text).fault = 0;
            if n < shape.texts as usize {
                let bytes = (&raw mut (*record).payload.texts).cast::<u8>();
                // SAFETY: as above.
                at += take::<N>(to, shape, n, bytes, at);
                faults += (*text).fault as u64;
            }
        }
        emit::write_header(
            &raw mut (*record).header,
            call,
            kind::PROBE_HIT,
            (HIT_LEN as u64 + at) as u32,
        );
    }
    if faults > 0 {
        count(Counter::ProbeFaults, faults);
    }
    count(Counter::Records, 1);
    entry.submit(emit::wakeup((HEADER_LEN + HIT_LEN + 2 * N) as u64));
}

/// Reads the text of number `n` to `at` of `bytes`, and gives how many bytes it took.
///
/// # Safety
/// `hit` must have its values, and `bytes` twice as many bytes as `N`.
#[inline(always)]
unsafe fn take<const N: usize>(
    hit: *mut Hit,
    shape: &Shape,
    n: usize,
    bytes: *mut u8,
    at: u64,
) -> u64 {
    const INDEX: usize = MAX_VALUES - 1;
    let (address_at, length_at) = (
        shape.text[n].address as usize & INDEX,
        shape.text[n].length as usize & INDEX,
    );
    let is_ended = address_at == length_at;
    // SAFETY: the caller's.
    unsafe {
        let text = &raw mut (*hit).text[n];
        let (address, length) = ((*hit).value[address_at], (*hit).value[length_at]);
        if ((*hit).unread >> address_at | (*hit).unread >> length_at) & 1 != 0 {
            (*text).fault = 1;
            return 0;
        }
        let most = shape.most[length_at] as u64;
        let wanted = if is_ended || length > most {
            most
        } else {
            length
        };
        if !is_ended {
            (*text).len = if length > u32::MAX as u64 {
                u32::MAX
            } else {
                length as u32
            };
        }
        if address == 0 || wanted == 0 {
            (*text).len = if address == 0 { 0 } else { (*text).len };
            return 0;
        }
        // Opaque to the compiler, so that the bounds stay where the verifier sees them.
        let wanted = core::ptr::read_volatile(&wanted);
        let at = core::ptr::read_volatile(&at) & (N as u64 - 1);
        let bounded = (wanted.wrapping_sub(1) & (N as u64 - 1)) + 1;
        let to = bytes.add(at as usize).cast();
        let from = address as *const core::ffi::c_void;
        let rc = if is_ended {
            bpf_probe_read_user_str(to, bounded as u32, from)
        } else {
            bpf_probe_read_user(to, bounded as u32, from)
        };
        if rc < 0 {
            (*text).fault = 1;
            return 0;
        }
        let captured = if is_ended {
            // With the 0 that ends it, or that was put over its last byte.
            let before_end = if rc > 0 { rc as u64 - 1 } else { 0 };
            (*text).len = before_end as u32;
            before_end
        } else {
            wanted
        };
        (*text).captured = captured as u16;
        captured
    }
}
