//! Functions of TLS libraries: plaintext, before it is encrypted and after it was decrypted.
//!
//! One program stands on entries, one on exits; the attach cookie says which function a place
//! belongs to. An entry notes the call by thread, the exit copies. A function that calls another of
//! the table (`SSL_write_ex` calls `SSL_write_ex2`) is seen once: the inner entry replaces the note,
//! the inner exit takes it, the outer exit finds none. A handshake inside of another call leaves that
//! one's note as it is.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_attach_cookie, bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_user,
    },
    programs::ProbeContext,
};
use cirron_common::{
    Counter,
    conn::{Positions, role},
    record::{close, direction, flag, source},
    tls::{SslCall, SslKey, SslState, cookie, op, target},
};

use crate::{
    emit::{self, Call},
    flow,
    iov::{self, Buffers},
    maps::{MUTED, SEALED, SSL_CALLS, SSLS, TARGETS, count},
    sent,
    socket::{self, Blank, FdSocket},
};

/// Sends in a row whose lengths fit, until a socket is an object's. One may be by chance.
const CERTAIN: u64 = 2;

/// An event in a TLS library, by a thread of a target.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TlsEvent {
    pub ts_ns: u64,
    pub pid_tgid: u64,
    /// Address of the connection's object.
    pub object: u64,
    /// One of [`op`].
    pub op: u64,
}

impl TlsEvent {
    #[inline(always)]
    pub fn key(&self) -> SslKey {
        SslKey {
            object: self.object,
            tgid: self.pid_tgid >> 32,
        }
    }

    #[inline(always)]
    fn call(&self, epoch: u64, direction: u8) -> Call {
        Call {
            ts_ns: self.ts_ns,
            conn: self.object,
            epoch,
            pid_tgid: self.pid_tgid,
            context: 0,
            told: 0,
            flags: 0,
            direction,
            source: source::TLS,
        }
    }
}

/// A call under way inside a library: the part of its note that a system call needs.
#[derive(Clone, Copy)]
pub struct Inside {
    /// Address of the connection's object.
    pub object: u64,
    /// One of [`op`].
    pub op: u64,
}

impl Inside {
    #[inline(always)]
    pub fn from_call(call: &SslCall) -> Inside {
        Inside {
            object: call.object,
            op: call.op,
        }
    }
}

/// The thread's identity where its process is a target whose TLS is watched.
#[inline(always)]
pub fn of_target() -> Option<u64> {
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: a live map value.
    let flags = unsafe { *TARGETS.get_ptr(&((pid_tgid >> 32) as u32))? };
    (flags & target::TLS != 0).then_some(pid_tgid)
}

#[inline(always)]
pub fn try_enter(ctx: &ProbeContext) -> Option<u32> {
    let pid_tgid = of_target()?;
    // SAFETY: the context of this program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let op = cookie::op(cookie);
    let object: u64 = ctx.arg(0)?;
    let event = TlsEvent {
        // SAFETY: no arguments.
        ts_ns: unsafe { bpf_ktime_get_ns() },
        pid_tgid,
        object,
        op,
    };
    match op {
        op::BEGIN_SERVER => return begin(&event, role::ACCEPTED),
        op::BEGIN_CLIENT => return begin(&event, role::CONNECTED),
        op::FREE | op::CLEAR => {
            cirron_tls_ended(&event, close::LOCAL_CLOSE);
            return None;
        }
        op::SHUTDOWN => {
            cirron_tls_ended(&event, close::LOCAL_SHUT_WRITE);
            return None;
        }
        _ => {}
    }
    // SAFETY: the saved registers of this event.
    let sp = unsafe { (*ctx.regs).rsp };
    let stack = sp.wrapping_add(cookie::depth(cookie));
    // A read or write that shakes hands first, as BoringSSL's do, is still under way behind it.
    if op == op::HANDSHAKE && call_of(pid_tgid, stack).is_some_and(|outer| outer.object == object) {
        return None;
    }
    // Both are read, each at its own constant offset: the verifier refuses a computed one.
    // SAFETY: the saved registers of this event.
    let (fourth, fifth) = unsafe {
        (
            core::ptr::read_volatile(&raw const (*ctx.regs).rcx),
            core::ptr::read_volatile(&raw const (*ctx.regs).r8),
        )
    };
    let length_at = match op {
        op::READ_EX | op::WRITE_EX => fourth,
        op::WRITE_EX2 => fifth,
        _ => 0,
    };
    let call = SslCall {
        object,
        buffer: ctx.arg(1)?,
        length_at,
        op,
        stack,
        ts_ns: event.ts_ns,
    };
    let _ = SSL_CALLS.insert(pid_tgid, call, 0);
    None
}

#[inline(always)]
pub fn try_exit(ctx: &ProbeContext) -> Option<u32> {
    let pid_tgid = of_target()?;
    // SAFETY: copied at once.
    let call = *unsafe { SSL_CALLS.get(&pid_tgid) }?;
    // SAFETY: the context of this program.
    let depth = cookie::depth(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    // SAFETY: the saved registers of this event.
    let (result, sp) = unsafe { ((*ctx.regs).rax, (*ctx.regs).rsp) };
    // A function that ours also ends in was called by somebody else, or we missed an exit.
    if call.stack != sp.wrapping_add(depth) {
        return None;
    }
    let _ = SSL_CALLS.remove(&pid_tgid);
    // Results are 32-bit: a wider read turns -1 into a length.
    let narrow = result as i32;
    let len = match call.op {
        op::READ | op::WRITE => positive(narrow as i64),
        op::READ_LONG | op::WRITE_LONG | op::SENDFILE => positive(result as i64),
        op::READ_EX | op::WRITE_EX | op::WRITE_EX2 => {
            if narrow <= 0 {
                None
            } else {
                // SAFETY: the helper checks the address.
                unsafe { bpf_probe_read_user(call.length_at as *const u64) }.ok()
            }
        }
        _ => None,
    }?;
    let dir = match call.op {
        op::READ | op::READ_EX | op::READ_LONG => direction::INBOUND,
        _ => direction::OUTBOUND,
    };
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let event = TlsEvent {
        ts_ns: if dir == direction::OUTBOUND {
            call.written_at(len, now_ns)
        } else {
            now_ns
        },
        pid_tgid,
        object: call.object,
        op: call.op,
    };
    cirron_tls_moved(&event, dir as u64, call.buffer, len, 0);
    if dir == direction::OUTBOUND {
        seal(&event, len);
    }
    None
}

#[inline(always)]
fn positive(n: i64) -> Option<u64> {
    if n > 0 { Some(n as u64) } else { None }
}

/// `len` bytes of plaintext at `buffer` moved; `context` as in the record. A global function to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_tls_moved(
    event: *const TlsEvent,
    dir: u64,
    buffer: u64,
    len: u64,
    context: u64,
) -> u64 {
    if event.is_null() || len == 0 {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for a whole `TlsEvent`.
    let event = unsafe { &*event };
    let Some(state) = known(event) else {
        return 1;
    };
    let dir = dir as u8;
    // SAFETY: a live map value; the application must order the reads and the writes of an object.
    let (epoch, pos) = unsafe { ((*state).epoch, (*state).at.advance(dir, len)) };
    count(Counter::StreamBytes, len);
    // A key must lie on the stack: kernels up to 6.1 take no other memory for one.
    // SAFETY: a plain field.
    let object = unsafe { core::ptr::read_volatile(&raw const event.object) };
    // SAFETY: the value is copied at once.
    if unsafe { MUTED.get(&object) } == Some(&epoch) {
        count(Counter::MutedBytes, len);
        return 0;
    }
    let mut call = event.call(epoch, dir);
    call.context = context;
    // SAFETY: a live map value.
    sent::inside(&mut call, unsafe { (*state).socket }, pos);
    if event.op == op::SENDFILE {
        count(Counter::BypassBytes, len);
        emit::gap(&call, pos, len, flag::BYPASS);
        return 0;
    }
    let mut buffers = Buffers::flat(buffer, len);
    iov::walk(&call, &mut buffers, pos, len);
    0
}

/// The object's state, made known on first sight: in the middle of its life.
#[inline(always)]
fn known(event: &TlsEvent) -> Option<*mut SslState> {
    let key = event.key();
    if let Some(state) = SSLS.get_ptr_mut(&key) {
        return Some(state);
    }
    introduce(event, role::UNKNOWN, true)?;
    SSLS.get_ptr_mut(&key)
}

/// An object of which nothing is known; not on the stack, which is short.
static NEW: SslState = SslState {
    epoch: 0,
    at: Positions::START,
    socket: 0,
    candidate: 0,
    matches: 0,
    closed_ns: 0,
};

/// Makes an object known. `late`: it may have moved bytes before.
#[inline(never)]
pub fn introduce(event: &TlsEvent, role: u8, late: bool) -> Option<()> {
    let key = event.key();
    if SSLS.insert(&key, &NEW, 0).is_err() {
        count(Counter::ConnMapFull, 1);
        return None;
    }
    // SAFETY: a live map value.
    unsafe { (*SSLS.get_ptr_mut(&key)?).epoch = event.ts_ns };
    let mut blank = Blank::default();
    let info = &mut blank.0;
    info.role = role;
    info.late = late as u8;
    emit::open(&event.call(event.ts_ns, direction::NONE), &blank);
    Some(())
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

/// The object is used no more ([`close::LOCAL_CLOSE`]) or writes no more. A global function to the
/// verifier.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_tls_ended(event: *const TlsEvent, why: u64) -> u64 {
    if event.is_null() {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for a whole `TlsEvent`.
    let event = unsafe { &*event };
    let key = event.key();
    let Some(state) = SSLS.get_ptr_mut(&key) else {
        return 1;
    };
    // SAFETY: a live map value.
    let (epoch, at, closed) = unsafe { ((*state).epoch, (*state).at, (*state).closed_ns != 0) };
    // Said before: a `Close` may come twice.
    if closed {
        return 0;
    }
    // OpenSSL clears an object at its first handshake: nothing has ended then.
    if event.op == op::CLEAR && at.is_start() {
        return 0;
    }
    if event.op == op::CLOSE {
        // A call that is under way still has its bytes to tell, and whose they are.
        // SAFETY: a live map value.
        unsafe { (*state).closed_ns = event.ts_ns };
    } else if why == close::LOCAL_CLOSE {
        let _ = SSLS.remove(&key);
    }
    let at = flow::told(key.object, epoch, at);
    emit::close(&event.call(epoch, direction::NONE), why, at);
    0
}

/// The call under way inside a TLS library, by thread, for a system call made with the stack
/// pointer `sp`: deeper than the library's function, or that one has been left by a way that we do
/// not see.
#[inline(always)]
pub fn call_of(pid_tgid: u64, sp: u64) -> Option<Inside> {
    // SAFETY: what is needed is copied at once.
    let call = unsafe { SSL_CALLS.get(&pid_tgid) }?;
    if sp < call.stack {
        Some(Inside::from_call(call))
    } else {
        None
    }
}

/// A call inside a TLS library moves bytes of a socket: this is where its ciphertext goes.
/// `Some`: it does, so that the socket's bytes are of no further interest.
#[inline(never)]
pub fn link(event: &TlsEvent, socket: &FdSocket, socket_epoch: u64, evidence: u64) -> Option<()> {
    let state = known(event)?;
    // SAFETY: a live map value.
    let (epoch, linked) = unsafe {
        let linked = (*state).socket == socket.ino;
        (*state).socket = socket.ino;
        ((*state).epoch, linked)
    };
    if !linked {
        let mut blank = Blank::default();
        let info = &mut blank.0;
        if !socket::info(socket, role::UNKNOWN, info) {
            return None;
        }
        emit::link(
            &event.call(epoch, direction::NONE),
            socket.ino,
            socket_epoch,
            &blank,
            evidence,
        );
    }
    Some(())
}

/// Notes what the thread wrote to an object that does not move its socket's bytes itself. Also where its
/// socket is known by lengths: two objects that are written to before a send are told apart by neither.
#[inline(always)]
fn seal(event: &TlsEvent, len: u64) -> Option<()> {
    let state = SSLS.get_ptr(&event.key())?;
    // SAFETY: a live map value.
    if unsafe { (*state).socket != 0 && (*state).matches < CERTAIN } {
        return None;
    }
    // SAFETY: copied at once.
    let before = unsafe { SEALED.get(&event.pid_tgid) }.copied();
    let sealed = before.unwrap_or_default().and(event.object, len);
    SEALED.insert(event.pid_tgid, sealed, 0).ok()
}

/// The thread sent `len` bytes on the socket `ino` outside of the library. Twice in a row what it had
/// written before, encrypted, on the same socket: that is where the object's ciphertext goes. Gives
/// the object; 0: none is certain.
#[inline(never)]
pub fn sent(pid_tgid: u64, ino: u64, len: u64) -> u64 {
    match_lengths(pid_tgid, ino, len).unwrap_or(0)
}

#[inline(always)]
fn match_lengths(pid_tgid: u64, ino: u64, len: u64) -> Option<u64> {
    // SAFETY: copied at once.
    let sealed = *unsafe { SEALED.get(&pid_tgid) }?;
    let _ = SEALED.remove(&pid_tgid);
    let key = SslKey {
        object: sealed.object,
        tgid: pid_tgid >> 32,
    };
    let state = SSLS.get_ptr_mut(&key)?;
    // SAFETY: a live map value.
    if unsafe { (*state).socket } != 0 {
        // It is known already.
        return None;
    }
    let same = sealed.is_sent_by(len);
    // SAFETY: a live map value; the thread that writes to the object is this one.
    let certain = unsafe {
        if !same {
            (*state).matches = 0;
        } else if (*state).candidate == ino {
            (*state).matches += 1;
        } else {
            (*state).candidate = ino;
            (*state).matches = 1;
        }
        (*state).matches >= CERTAIN
    };
    certain.then_some(sealed.object)
}
