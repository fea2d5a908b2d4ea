//! Go's `crypto/tls.(*Conn)`: the register ABI, keyed by goroutine.
//!
//! A goroutine may leave its thread inside `Read` and come back on another, so the note of a call
//! is kept under the goroutine's address (`r14`). Exits stand on return instructions: a uretprobe
//! would write to a stack that Go moves. The socket's calls inside are made with the goroutine
//! still in `r14`, which links them. Source: Go's `src/cmd/compile/abi-internal.md`.

use aya_ebpf::{helpers::bpf_probe_read_user, programs::ProbeContext};
use cirron_common::{
    conn::role,
    record::{close, direction},
    tls::{GoKey, op},
};

use crate::{
    called::{Place, direction_of, returned},
    gohttp, goroutine,
    maps::{GO_CALLS, SSLS},
    tls::{
        Inside, TlsEvent, cirron_tls_take_bytes, cirron_tls_tell_end, introduce, watched_thread,
    },
};

/// `isClient` of `crypto/tls.Conn`: behind the interface `conn`, in every version.
const IS_CLIENT: u64 = 16;

/// The note of the goroutine's call, for a system call that it makes.
#[inline(always)]
pub fn call_of(pid_tgid: u64, goroutine: u64) -> Option<Inside> {
    let key = GoKey {
        goroutine,
        tgid: pid_tgid >> 32,
    };
    // SAFETY: what is needed is copied at once.
    unsafe { GO_CALLS.get(&key) }.map(Inside::from_call)
}

#[inline(always)]
pub fn try_enter(ctx: &ProbeContext) -> Option<u32> {
    let (pid_tgid, flags) = watched_thread()?;
    let place = Place::reached(ctx);
    let signature = place.signature()?;
    let event = place.event(signature, pid_tgid)?;
    match event.op {
        op::BEGIN_SERVER => return begin(&event, role::ACCEPTED),
        op::BEGIN_CLIENT => return begin(&event, role::CONNECTED),
        op::CLOSE => {
            cirron_tls_tell_end(&event, close::LOCAL_CLOSE);
            return None;
        }
        op::SHUTDOWN => {
            cirron_tls_tell_end(&event, close::LOCAL_SHUT_WRITE);
            return None;
        }
        op::REQUEST | op::SEND => return note_http(&place, &event, flags),
        _ => {}
    }
    let key = GoKey {
        goroutine: place.goroutine(),
        tgid: pid_tgid >> 32,
    };
    let call = place.note(signature, &event, 0)?;
    let _ = GO_CALLS.insert(key, call, 0);
    None
}

#[inline(always)]
pub fn try_exit(ctx: &ProbeContext) -> Option<u32> {
    let (pid_tgid, flags) = watched_thread()?;
    let place = Place::reached(ctx);
    let key = GoKey {
        goroutine: place.goroutine(),
        tgid: pid_tgid >> 32,
    };
    // SAFETY: copied at once.
    let call = *unsafe { GO_CALLS.get(&key) }?;
    let _ = GO_CALLS.remove(&key);
    let len = place.moved(&call)?;
    let dir = direction_of(&call);
    let event = returned(&call, pid_tgid, dir, len);
    let is_new = match SSLS.get_ptr(&event.key()) {
        // SAFETY: a live map value.
        Some(state) => call.is_after(unsafe { (*state).closed_ns }),
        None => true,
    };
    if is_new {
        introduce(&event, role_of(call.object), true)?;
    }
    let mut context = goroutine::number(key.goroutine, flags).unwrap_or(0);
    if dir == direction::OUTBOUND {
        context = gohttp::asked_by(context, pid_tgid);
    }
    cirron_tls_take_bytes(&event, dir as u64, call.buffer, len, context);
    None
}

/// Go's HTTP client asks, or writes what was asked. Apart, for its part of the stack.
#[inline(never)]
fn note_http(place: &Place, event: &TlsEvent, flags: u32) -> Option<u32> {
    let context = goroutine::number(place.goroutine(), flags)?;
    match event.op {
        op::REQUEST => gohttp::note_request(event.object, context, event.pid_tgid),
        _ => gohttp::note_writer(event.object, context, event.pid_tgid),
    }
    None
}

/// The role that a connection has from its birth.
#[inline(always)]
fn role_of(object: u64) -> u8 {
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_user((object + IS_CLIENT) as *const u8) } {
        Ok(0) => role::ACCEPTED,
        Ok(1) => role::CONNECTED,
        _ => role::UNKNOWN,
    }
}

/// A handshake, once for each connection: an object that is known has been closed, or collected
/// without a `Close`, and this is another one at its address.
#[inline(never)]
fn begin(event: &TlsEvent, role: u8) -> Option<u32> {
    if let Some(state) = SSLS.get_ptr(&event.key()) {
        // SAFETY: a live map value.
        let (is_unused, closed_ns) = unsafe { ((*state).at.is_start(), (*state).closed_ns) };
        // The stack grew, and the function began again.
        if is_unused && closed_ns == 0 {
            return None;
        }
        cirron_tls_tell_end(event, close::LOCAL_CLOSE);
    }
    introduce(event, role, false)?;
    None
}
