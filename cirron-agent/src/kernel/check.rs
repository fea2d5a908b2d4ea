//! Whether a connection's socket is still held by anybody: the program `socket_check`, which is attached
//! to nothing and run from here. It reads the count of the socket's file, which no call of ours shows.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::Ebpf;
use aya::programs::{ProgramError, ProgramFd, RawTracePoint};
use aya_obj::generated::{bpf_attr, bpf_cmd};
use cirron_common::conn::held;

use super::verdict::{Failure, ProbeVerdict, Verdict};

const NAME: &str = "socket_check";

/// What the kernel side says of a connection's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketState {
    /// It cannot be said.
    Unknown,
    /// The kernel side does not follow this connection, or not any more.
    Forgotten,
    /// Somebody holds it: number of descriptors, of messages that pass one, and of calls that are in it.
    Held(u32),
    /// Nobody does any more.
    Released,
}

/// The loaded program; without it nothing can be said.
pub(super) struct SocketCheck(Option<OwnedFd>);

impl SocketCheck {
    pub(super) fn load(ebpf: &mut Ebpf) -> (SocketCheck, ProbeVerdict) {
        let loaded = ProbeVerdict {
            name: NAME,
            verdict: Verdict::Loaded,
            detail: String::new(),
        };
        match load(ebpf) {
            Ok(program) => (SocketCheck(Some(program)), loaded),
            Err(failure) => (SocketCheck(None), failure.on(NAME)),
        }
    }

    /// Of the connection with this inode number and generation.
    pub(super) fn ask(&self, conn: u64, epoch: u64) -> SocketState {
        match self
            .0
            .as_ref()
            .and_then(|program| run(program, [conn, epoch]))
        {
            None => SocketState::Unknown,
            Some(held::UNKNOWN) => SocketState::Forgotten,
            Some(held::RELEASED) => SocketState::Released,
            Some(more) => SocketState::Held(more - held::RELEASED),
        }
    }
}

fn load(ebpf: &mut Ebpf) -> Result<OwnedFd, Failure> {
    let program = ebpf.program_mut(NAME);
    let program = program.ok_or_else(|| Failure::in_object("not in the eBPF object"))?;
    let mut load = || -> Result<ProgramFd, ProgramError> {
        let program: &mut RawTracePoint = program.try_into()?;
        program.load()?;
        program.fd()?.try_clone().map_err(ProgramError::from)
    };
    let program = load().map_err(|e| Failure::from_error(&e))?;
    let fd = program.as_fd().try_clone_to_owned();
    fd.map_err(|e| Failure::from_error(&e))
}

/// What the program returns. aya runs only programs that it owns, and it does not let go of one.
fn run(program: &OwnedFd, arguments: [u64; 2]) -> Option<u32> {
    // SAFETY: a union of plain numbers.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the variant of this command; the rest stays zero.
    let test = unsafe { &mut attr.test };
    test.prog_fd = program.as_raw_fd() as u32;
    test.ctx_in = arguments.as_ptr() as u64;
    test.ctx_size_in = size_of_val(&arguments) as u32;
    // SAFETY: `attr` is whole, and the arguments outlive the call.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_PROG_TEST_RUN as libc::c_long,
            std::ptr::from_mut(&mut attr),
            size_of::<bpf_attr>(),
        )
    };
    // SAFETY: as above; the kernel has filled it in.
    let returned = unsafe { attr.test.retval };
    (rc == 0).then_some(returned)
}
