//! What depends on the processor: saved registers and system call numbers. x86-64.

/// `struct pt_regs` of x86-64.
#[repr(C)]
pub struct PtRegs {
    r15: u64,
    /// In a Go program the goroutine.
    pub r14: u64,
    r13: u64,
    r12: u64,
    bp: u64,
    bx: u64,
    r11: u64,
    /// Fourth argument.
    pub r10: u64,
    r9: u64,
    /// Fifth argument.
    pub r8: u64,
    /// Result.
    pub ax: u64,
    cx: u64,
    /// Third argument.
    pub dx: u64,
    /// Second argument.
    pub si: u64,
    /// First argument.
    pub di: u64,
    /// The call's number.
    pub orig_ax: u64,
    ip: u64,
    /// Code segment: tells 32-bit tasks.
    pub cs: u64,
    flags: u64,
    /// Stack pointer.
    pub sp: u64,
}

/// `__USER32_CS`: the code segment of 32-bit tasks, whose call numbers and structures differ.
pub const USER32_CS: u64 = 0x23;

/// System call numbers (`arch/x86/entry/syscalls/syscall_64.tbl`).
pub mod nr {
    pub const READ: u64 = 0;
    pub const WRITE: u64 = 1;
    pub const CLOSE: u64 = 3;
    pub const POLL: u64 = 7;
    pub const MMAP: u64 = 9;
    pub const READV: u64 = 19;
    pub const WRITEV: u64 = 20;
    pub const SELECT: u64 = 23;
    pub const DUP: u64 = 32;
    pub const DUP2: u64 = 33;
    pub const SENDFILE: u64 = 40;
    pub const FCNTL: u64 = 72;
    pub const CONNECT: u64 = 42;
    pub const ACCEPT: u64 = 43;
    pub const SENDTO: u64 = 44;
    pub const RECVFROM: u64 = 45;
    pub const SENDMSG: u64 = 46;
    pub const RECVMSG: u64 = 47;
    pub const SHUTDOWN: u64 = 48;
    pub const SETSOCKOPT: u64 = 54;
    pub const EPOLL_WAIT: u64 = 232;
    pub const PSELECT6: u64 = 270;
    pub const PPOLL: u64 = 271;
    pub const SPLICE: u64 = 275;
    pub const EPOLL_PWAIT: u64 = 281;
    pub const ACCEPT4: u64 = 288;
    pub const DUP3: u64 = 292;
    pub const RECVMMSG: u64 = 299;
    pub const SENDMMSG: u64 = 307;
    pub const PREADV2: u64 = 327;
    pub const PWRITEV2: u64 = 328;
    pub const CLOSE_RANGE: u64 = 436;
    pub const EPOLL_PWAIT2: u64 = 441;
}
