//! The calls of `bpf(2)` that aya does not make for us, and one of `perf_event_open(2)`. Nothing is decided here.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use aya_obj::Function;
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_type, perf_event_attr};

use super::Probe;

/// From where on the semaphore stands in the configuration of an event (`PERF_UPROBE_REF_CTR_OFFSET_SHIFT`).
const SEMAPHORE_SHIFT: u32 = 32;

/// `bpf(2)`, for commands that give a descriptor.
fn call(command: bpf_cmd, attr: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: `attr` is whole and zeroed where it was not filled; what it points to outlives the
    // call: each caller below keeps it on its stack.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_ref(attr),
            size_of::<bpf_attr>(),
        )
    };
    made(rc)
}

/// The descriptor that a call has given.
fn made(rc: libc::c_long) -> io::Result<OwnedFd> {
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(rc).map_err(io::Error::other)?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of plain numbers.
    unsafe { std::mem::zeroed() }
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

/// Types of an object.
pub(super) fn load_btf(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: the variant of this command; the rest stays zero.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = address(bytes);
    load.btf_size = bytes.len() as u32;
    call(bpf_cmd::BPF_BTF_LOAD, &attr)
}

/// A program for links of many places.
pub(super) fn load_uprobe(
    name: &str,
    license: &CStr,
    function: &Function,
    btf: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let func_info = function.func_info.func_info_bytes();
    let line_info = function.line_info.line_info_bytes();
    let mut attr = zeroed();
    // SAFETY: the variant of this command; the rest stays zero.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    // Its last byte stays zero.
    let room = load.prog_name.len() - 1;
    for (to, from) in load.prog_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    load.expected_attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    load.insns = address(&function.instructions);
    load.insn_cnt = function.instructions.len() as u32;
    load.license = license.as_ptr() as u64;
    if let Some(btf) = btf {
        load.prog_btf_fd = btf.as_raw_fd() as u32;
        load.func_info = address(&func_info);
        load.func_info_cnt = function.func_info.len() as u32;
        load.func_info_rec_size = function.func_info_rec_size as u32;
        load.line_info = address(&line_info);
        load.line_info_cnt = function.line_info.len() as u32;
        load.line_info_rec_size = function.line_info_rec_size as u32;
    }
    call(bpf_cmd::BPF_PROG_LOAD, &attr)
}

/// Puts `program` at all `probes` of the file `path`, in their order, for all processes.
pub(super) fn link_uprobes(
    program: BorrowedFd<'_>,
    path: &CStr,
    probes: &[&Probe],
) -> io::Result<OwnedFd> {
    let offsets: Vec<u64> = probes.iter().map(|probe| probe.offset).collect();
    let cookies: Vec<u64> = probes.iter().map(|probe| probe.cookie).collect();
    let semaphores: Vec<u64> = probes.iter().map(|probe| probe.semaphore).collect();
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32;
    // SAFETY: the variant of this attach type; the rest stays zero.
    let multi = unsafe { &mut attr.link_create.__bindgen_anon_3.uprobe_multi };
    multi.path = path.as_ptr() as u64;
    multi.offsets = address(&offsets);
    multi.cookies = address(&cookies);
    multi.cnt = offsets.len() as u32;
    if semaphores.iter().any(|at| *at != 0) {
        multi.ref_ctr_offsets = address(&semaphores);
    }
    call(bpf_cmd::BPF_LINK_CREATE, &attr)
}

/// Puts `program` at one place of the file `path`, for all processes. `event_type`: the kernel's number of such events.
pub(super) fn link_uprobe(
    program: BorrowedFd<'_>,
    event_type: u32,
    path: &CStr,
    probe: &Probe,
) -> io::Result<OwnedFd> {
    let semaphore = u32::try_from(probe.semaphore).map_err(io::Error::other)?;
    // SAFETY: plain numbers.
    let mut event: perf_event_attr = unsafe { std::mem::zeroed() };
    event.size = size_of::<perf_event_attr>() as u32;
    event.type_ = event_type;
    event.config = u64::from(semaphore) << SEMAPHORE_SHIFT;
    event.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    event.__bindgen_anon_4.probe_offset = probe.offset;
    const ALL_PROCESSES: libc::c_int = -1;
    const FIRST_PROCESSOR: libc::c_int = 0;
    const NO_GROUP: libc::c_int = -1;
    /// Of `linux/perf_event.h`.
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
    // SAFETY: `event` is whole and zeroed where it was not filled; the path outlives the call.
    let event = made(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&event),
            ALL_PROCESSES,
            FIRST_PROCESSOR,
            NO_GROUP,
            PERF_FLAG_FD_CLOEXEC,
        )
    })?;
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    attr.link_create.__bindgen_anon_3.perf_event.bpf_cookie = probe.cookie;
    // The link holds the event.
    call(bpf_cmd::BPF_LINK_CREATE, &attr)
}
