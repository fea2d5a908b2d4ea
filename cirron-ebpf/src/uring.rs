//! What targets hand to io_uring: no system call moves its bytes, so they are not seen. Counted, so
//! that the summary can say so. libuv, for one, uses a ring without moving socket bytes through it.

use cirron_common::Counter;

use crate::{
    config::config,
    maps::{TARGETS, count},
    socket::kernel,
};

/// `IORING_OP_*` that move bytes of sockets only (`include/uapi/linux/io_uring.h`).
mod op {
    pub const SENDMSG: u8 = 9;
    pub const RECVMSG: u8 = 10;
    pub const SEND: u8 = 26;
    pub const RECV: u8 = 27;
    pub const SEND_ZC: u8 = 47;
    pub const SENDMSG_ZC: u8 = 48;
    pub const RECV_ZC: u8 = 58;
}

/// `request`: `struct io_kiocb *`.
#[inline(always)]
pub fn try_submit(request: u64) -> Option<i32> {
    let tgid = (aya_ebpf::helpers::bpf_get_current_pid_tgid() >> 32) as u32;
    TARGETS.get_ptr(&tgid)?;
    let opcode: u8 = kernel(request, config!(kiocb_opcode))?;
    if matches!(
        opcode,
        op::SENDMSG
            | op::RECVMSG
            | op::SEND
            | op::RECV
            | op::SEND_ZC
            | op::SENDMSG_ZC
            | op::RECV_ZC
    ) {
        count(Counter::IoUringTransfers, 1);
    }
    None
}
