//! Objects of TLS libraries: plaintext, before it is encrypted and after it was decrypted, and the socket that it goes through.
//!
//! Stands behind the programs inside functions (`ctls`, `gotls`), which say what a call did to an object, and
//! behind `flow`, which says what a thread did to a socket meanwhile.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use cirron_common::{
    Counter,
    conn::{Positions, Turn, role},
    record::{close, direction, flag, source},
    tls::{SslCall, SslKey, SslState, op, target},
};

use crate::{
    emit::{self, Call},
    flow,
    iov::{self, Buffers},
    maps::{MUTED, SEALED, SSL_CALLS, SSLS, TARGETS, count},
    python, sent,
    socket::{self, Blank, FdSocket},
    turns,
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
            conn: self.object,
            epoch,
            direction,
            ..Call::new(self.ts_ns, self.pid_tgid, source::TLS)
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
            op: call.op as u64,
        }
    }
}

/// The thread's identity and what is known of its process, where that is a target whose TLS is watched.
#[inline(always)]
pub fn watched_thread() -> Option<(u64, u32)> {
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: a live map value.
    let flags = unsafe { *TARGETS.get_ptr(&((pid_tgid >> 32) as u32))? };
    (flags & target::TLS != 0).then_some((pid_tgid, flags))
}

/// `len` bytes of plaintext at `buffer` moved; `context` as in the record. Gives 1 where the object is not known to move
/// its socket's bytes itself. A global function to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_tls_take_bytes(
    event: *const TlsEvent,
    dir: u64,
    buffer: u64,
    len: u64,
    context: u64,
) -> u64 {
    if event.is_null() || len == 0 {
        return 0;
    }
    // SAFETY: not null, and the verifier checks callers for a whole `TlsEvent`.
    let event = unsafe { &*event };
    let Some(state) = find_or_introduce(event) else {
        return 0;
    };
    // SAFETY: a live map value.
    let (socket, matches) = unsafe { ((*state).socket, (*state).matches) };
    let is_elsewhere = (socket == 0 || matches >= CERTAIN) as u64;
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
        return is_elsewhere;
    }
    let mut call = event.call(epoch, dir);
    call.context = context;
    if context != 0 {
        // SAFETY: a live map value.
        let turn = unsafe { &raw mut (*state).turn };
        if dir == direction::INBOUND {
            turns::note_read(&call, turn, 0, 0);
        } else {
            turns::stamp_write(&mut call, turn);
        }
    }
    sent::stamp_plaintext(&mut call, socket, pos);
    if context == 0 {
        python::note(&mut call);
    }
    if event.op == op::SENDFILE {
        count(Counter::BypassBytes, len);
        emit::gap(&call, pos, len, flag::BYPASS);
        return is_elsewhere;
    }
    let mut buffers = Buffers::flat(buffer, len);
    iov::walk(&call, &mut buffers, pos, len);
    is_elsewhere
}

/// The object's state, made known on first sight: in the middle of its life.
#[inline(always)]
fn find_or_introduce(event: &TlsEvent) -> Option<*mut SslState> {
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
    turn: Turn::NONE,
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

/// The object is used no more ([`close::LOCAL_CLOSE`]) or writes no more. A global function to the
/// verifier.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_tls_tell_end(event: *const TlsEvent, why: u64) -> u64 {
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
    let at = flow::tellable(key.object, epoch, at);
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
    let state = find_or_introduce(event)?;
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
pub fn seal(event: &TlsEvent, len: u64) -> Option<()> {
    // SAFETY: copied at once.
    let before = unsafe { SEALED.get(&event.pid_tgid) }.copied();
    let sealed = before.unwrap_or_default().and(event.object, len);
    SEALED.insert(event.pid_tgid, sealed, 0).ok()
}

/// The thread sent `len` bytes on the socket `ino` outside of the library. Twice in a row what it had
/// written before, encrypted, on the same socket: that is where the object's ciphertext goes. Gives
/// the object; 0: none is certain.
#[inline(never)]
pub fn object_by_lengths(pid_tgid: u64, ino: u64, len: u64) -> u64 {
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
