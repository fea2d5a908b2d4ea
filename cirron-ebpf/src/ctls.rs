//! Functions of TLS libraries with C's convention, keyed by thread.
//!
//! One program stands on entries, one on exits, whatever the library: `called` reads what the function's signature says.
//! An entry notes the call by thread, the exit copies. A function that calls another of
//! the table (`SSL_write_ex` calls `SSL_write_ex2`) is seen once: the inner entry replaces the note,
//! the inner exit takes it, the outer exit finds none. A handshake inside of another call leaves that
//! one's note as it is.

use aya_ebpf::programs::ProbeContext;
use cirron_common::{
    conn::role,
    record::{close, direction},
    tls::op,
};

use crate::{
    called::{Place, direction_of, returned},
    maps::{SSL_CALLS, SSLS},
    secrets::announce,
    tls::{
        TlsEvent, call_of, cirron_tls_take_bytes, cirron_tls_tell_end, introduce, seal,
        watched_thread,
    },
};

#[inline(always)]
pub fn try_enter(ctx: &ProbeContext) -> Option<u32> {
    let (pid_tgid, _) = watched_thread()?;
    let place = Place::reached(ctx);
    let signature = place.signature()?;
    let event = place.event(signature, pid_tgid)?;
    match event.op {
        op::BEGIN_SERVER => return begin(&event, role::ACCEPTED),
        op::BEGIN_CLIENT => return begin(&event, role::CONNECTED),
        op::FREE | op::CLEAR => {
            cirron_tls_tell_end(&event, close::LOCAL_CLOSE);
            return None;
        }
        op::SHUTDOWN => {
            cirron_tls_tell_end(&event, close::LOCAL_SHUT_WRITE);
            return None;
        }
        op::SECRET => {
            let _ = announce(&place, signature, &event);
            return None;
        }
        _ => {}
    }
    let stack = place.stack();
    // A read or write that shakes hands first, as BoringSSL's do, is still under way behind it.
    if event.op == op::HANDSHAKE
        && call_of(pid_tgid, stack).is_some_and(|outer| outer.object == event.object)
    {
        return None;
    }
    let call = place.note(signature, &event, stack)?;
    let _ = SSL_CALLS.insert(pid_tgid, call, 0);
    None
}

#[inline(always)]
pub fn try_exit(ctx: &ProbeContext) -> Option<u32> {
    let (pid_tgid, _) = watched_thread()?;
    // SAFETY: copied at once.
    let call = *unsafe { SSL_CALLS.get(&pid_tgid) }?;
    let place = Place::reached(ctx);
    // A function that ours also ends in was called by somebody else, or we missed an exit.
    if call.stack != place.stack() {
        return None;
    }
    let _ = SSL_CALLS.remove(&pid_tgid);
    let len = place.moved(&call)?;
    let dir = direction_of(&call);
    let event = returned(&call, pid_tgid, dir, len);
    let is_elsewhere = cirron_tls_take_bytes(&event, dir as u64, call.buffer, len, 0) != 0;
    if is_elsewhere && dir == direction::OUTBOUND {
        seal(&event, len);
    }
    None
}

/// A connection's object takes its role, before any byte. One that has moved bytes has it already.
#[inline(never)]
fn begin(event: &TlsEvent, role: u8) -> Option<u32> {
    // Said twice: `SSL_set_accept_state`, then `SSL_accept`.
    if SSLS.get_ptr(&event.key()).is_none() {
        introduce(event, role, false)?;
    }
    None
}
