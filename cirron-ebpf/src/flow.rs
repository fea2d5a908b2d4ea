//! Following a socket: what a hook saw of one becomes records of its connection.
//!
//! Stands behind the hooks that see sockets used (`syscalls`) and in front of the records (`emit`). A hook says who it was
//! ([`Caller`]), which socket, and what happened to it; positions, generations and what is muted are kept here, once.
//! Descriptors are `fds`'s, the bytes themselves are copied by `iov`.
//!
//! ```text
//! begin ──▶ known ──take_bytes──▶ known ──tell_half_end──▶ known      gone: with its socket (`tcp`, `fds`), or as the least recently used
//!             ▲
//! take_bytes ─┘ (first seen in the middle of its life: late)
//! ```
//!
//! Functions are inlined into their callers, which decide what gets a part of the stack of its own.

use cirron_common::{
    Counter,
    conn::{ConnState, Positions, Turn, role},
    record::{close, direction, evidence, source},
    tls::{op, target},
};

use crate::{
    arrived,
    emit::{self, Call},
    fds, gohttp, goroutine, gotls,
    maps::{CONNS, MUTED, count},
    python, sent,
    socket::{self, Blank, FdSocket},
    tls, turns,
};

pub const AF_UNIX: u32 = 1;

/// A thread of a target, at the moment of the hook.
#[derive(Clone, Copy)]
pub struct Caller {
    pub ts_ns: u64,
    pub pid_tgid: u64,
    /// Bits of [`cirron_common::tls::target`].
    pub target: u32,
    /// 1: the call asked for bytes that are there, and not to wait for any.
    pub is_hasty: u32,
    /// In Go's code the goroutine; anything in other's.
    pub r14: u64,
    /// The stack pointer.
    pub sp: u64,
}

impl Caller {
    #[inline(always)]
    pub fn tgid(&self) -> u32 {
        (self.pid_tgid >> 32) as u32
    }

    #[inline(always)]
    pub fn call(&self, conn: u64, epoch: u64, direction: u8) -> Call {
        Call {
            conn,
            epoch,
            direction,
            ..Call::new(self.ts_ns, self.pid_tgid, source::SOCKET)
        }
    }
}

/// The connection of a socket that `fd` leads to, made known on first sight.
#[inline(always)]
fn find_or_introduce(caller: &Caller, socket: &FdSocket, fd: i32) -> Option<*mut ConnState> {
    if let Some(state) = CONNS.get_ptr_mut(&socket.ino) {
        // SAFETY: a live map value.
        let known = unsafe { (*state).fd == fd && (*state).tgid == caller.tgid() };
        if !known {
            // SAFETY: as above.
            unsafe {
                (*state).fd = fd;
                (*state).tgid = caller.tgid();
            }
            fds::bind(caller.tgid(), fd, socket.ino);
        }
        return Some(state);
    }
    introduce(caller, socket, fd, role::UNKNOWN)?;
    CONNS.get_ptr_mut(&socket.ino)
}

/// A connection of which nothing is known; not on the stack, which is short.
static NEW: ConnState = ConnState {
    epoch: 0,
    at: Positions::START,
    tgid: 0,
    fd: 0,
    file: 0,
    family: 0,
    held: 0,
    tcp: 0,
    arrived_ns: 0,
    clock_ns: 0,
    sent_pos: 0,
    held_ns: 0,
    held_segments: 0,
    arrived_flags: 0,
    turn: Turn::NONE,
};

/// Enters a connection in the maps and tells the reader.
#[inline(never)]
fn introduce(caller: &Caller, socket: &FdSocket, fd: i32, role: u8) -> Option<()> {
    let mut blank = Blank::default();
    let info = &mut blank.0;
    if !socket::info(socket, role, info) {
        return None;
    }
    if CONNS.insert(socket.ino, &NEW, 0).is_err() {
        count(Counter::ConnMapFull, 1);
        return None;
    }
    let state = CONNS.get_ptr_mut(&socket.ino)?;
    // SAFETY: a live map value.
    unsafe {
        (*state).epoch = caller.ts_ns;
        (*state).tgid = caller.tgid();
        (*state).fd = fd;
        (*state).file = socket.file;
        (*state).family = info.family as u32;
        (*state).tcp = sent::tcp_of(socket);
    }
    fds::bind(caller.tgid(), fd, socket.ino);
    let mut call = caller.call(socket.ino, caller.ts_ns, direction::NONE);
    if caller.target & target::PYTHON != 0 && role == role::ACCEPTED {
        python::note(&mut call);
    }
    emit::open(&call, &blank);
    Some(())
}

/// A connection that has just begun.
#[inline(always)]
pub fn begin(caller: &Caller, socket: &FdSocket, fd: i32, role: u8) -> Option<()> {
    if role == role::CONNECTED && CONNS.get_ptr(&socket.ino).is_some() {
        // The second call of a non-blocking connect.
        return None;
    }
    introduce(caller, socket, fd, role)
}

/// What is in `call`, not in `caller`, need not be kept on the stack a second time.
#[inline(always)]
fn event_of(call: &Call, object: u64, op: u64) -> tls::TlsEvent {
    tls::TlsEvent {
        ts_ns: call.ts_ns,
        pid_tgid: call.pid_tgid,
        object,
        op,
    }
}

/// `len` bytes passed by a call: takes their positions and returns where they begin; whose they are goes to `call`. `None`
/// if nobody wants them.
#[inline(always)]
pub fn take_bytes(
    caller: &Caller,
    socket: &FdSocket,
    fd: i32,
    call: &mut Call,
    len: u64,
) -> Option<u64> {
    let dir = call.direction;
    let state = find_or_introduce(caller, socket, fd)?;
    // SAFETY: a live map value; one call at a time moves one direction of a socket, since the
    // application must order its own reads and writes.
    let (epoch, pos) = unsafe { ((*state).epoch, (*state).at.advance(dir, len)) };
    count(Counter::StreamBytes, len);
    call.conn = socket.ino;
    call.epoch = epoch;
    cirron_stamp(caller, call, state, socket.file, len);
    // The two keys lie on the stack already: it is short.
    let inside = || {
        tls::call_of(call.pid_tgid, caller.sp).or_else(|| gotls::call_of(call.pid_tgid, caller.r14))
    };
    if caller.target & target::TLS != 0
        && let Some(inside) = inside()
        && tls::link(
            &event_of(call, inside.object, inside.op),
            socket,
            call.epoch,
            evidence::CALL,
        )
        .is_some()
    {
        // Its plaintext is taken inside the library.
        let _ = MUTED.insert(&socket.ino, &call.epoch, 0);
        count(Counter::MutedBytes, len);
        return None;
    }
    // SAFETY: the value is copied at once.
    if unsafe { MUTED.get(&socket.ino) } == Some(&call.epoch) {
        if call.direction == direction::OUTBOUND {
            let object = tls::object_by_lengths(call.pid_tgid, socket.ino, len);
            if object != 0 {
                let event = event_of(call, object, op::WRITE);
                let _ = tls::link(&event, socket, call.epoch, evidence::LENGTHS);
            }
        }
        count(Counter::MutedBytes, len);
        return None;
    }
    name_runner(caller, call);
    Some(pos)
}

/// What the kernel and its reader or writer say of bytes of the socket of that file.
///
/// A global function to the verifier: each of its ways would be another state of all that follows.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_stamp(
    caller: *const Caller,
    call: *mut Call,
    state: *mut ConnState,
    file: u64,
    len: u64,
) -> u64 {
    if caller.is_null() || call.is_null() || state.is_null() {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for whole ones.
    let (caller, call) = unsafe { (&*caller, &mut *call) };
    if caller.target & target::GO != 0 {
        call.context = goroutine::running(caller.r14, caller.target);
    }
    // SAFETY: a live map value.
    let turn = unsafe { &raw mut (*state).turn };
    if call.direction == direction::INBOUND {
        arrived::stamp_read(call, state);
        turns::note_read(call, turn, file, caller.is_hasty);
    } else {
        sent::stamp_write(call, state, len);
        turns::stamp_write(call, turn);
    }
    0
}

/// Whom the record names. Apart, for its part of the stack.
#[inline(never)]
fn name_runner(caller: &Caller, call: &mut Call) {
    if call.direction == direction::OUTBOUND && call.context != 0 {
        call.context = gohttp::asked_by(call.context, call.pid_tgid);
    }
    if caller.target & target::PYTHON != 0 {
        python::note(call);
    }
}

/// Where the bytes of a connection (or an object) stand, if all that pass are told: of a muted one they are not.
#[inline(always)]
pub fn tellable(conn: u64, epoch: u64, at: Positions) -> Positions {
    // SAFETY: compared at once.
    if unsafe { MUTED.get(&conn) } == Some(&epoch) {
        Positions::UNKNOWN
    } else {
        at
    }
}

/// One direction of the connection ended: a read of nothing, or a shutdown.
#[inline(always)]
pub fn tell_half_end(caller: &Caller, socket: &FdSocket, why: u64) -> Option<()> {
    let state = CONNS.get_ptr(&socket.ino)?;
    end(caller, socket.ino, state, why);
    Some(())
}

/// A call on the socket failed, since the peer has closed: only its error tells so where no TCP state does.
#[inline(always)]
pub fn tell_peer_gone(caller: &Caller, socket: &FdSocket) -> Option<()> {
    let state = CONNS.get_ptr(&socket.ino)?;
    // SAFETY: a live map value.
    let family = unsafe { (*state).family };
    if family == AF_UNIX && socket::is_shut(socket)? {
        end(caller, socket.ino, state, close::PEER_RESET);
    }
    Some(())
}

/// An option was set that may let go what the kernel holds back. Of a connection that is new: where a server was told of it.
#[inline(always)]
pub fn note_option(caller: &Caller, socket: &FdSocket) -> Option<()> {
    let state = CONNS.get_ptr_mut(&socket.ino)?;
    // SAFETY: a live map value.
    let (epoch, is_new) = unsafe { ((*state).epoch, (*state).at.is_start()) };
    let mut call = caller.call(socket.ino, epoch, direction::OUTBOUND);
    if !is_new {
        return sent::look(&call, state);
    }
    if caller.target & target::PYTHON != 0 {
        python::note(&mut call);
        if call.version != 0 {
            emit::tuned(&call);
        }
    }
    None
}

/// Tells an end of the connection whose map value `state` is.
#[inline(never)]
pub fn end(caller: &Caller, conn: u64, state: *const ConnState, why: u64) {
    // SAFETY: a live map value.
    let (epoch, at) = unsafe { ((*state).epoch, (*state).at) };
    let call = caller.call(conn, epoch, direction::NONE);
    emit::close(&call, why, tellable(conn, epoch, at));
}
