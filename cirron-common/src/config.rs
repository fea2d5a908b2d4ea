//! What the loader tells the programs, as one read-only global.
//!
//! Rust has no CO-RE relocations: the offsets of kernel structures are read from the running
//! kernel's BTF by the loader and handed in. The verifier sees them as constants.

/// Byte offsets into kernel structures, and the sizes that the programs obey.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelConfig {
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.max_fds`
    pub fdt_max_fds: u32,
    /// `fdtable.fd`
    pub fdt_fd: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `file.private_data`
    pub file_private: u32,
    /// `file.f_ref`, before 6.13 `file.f_count`
    pub file_refs: u32,
    /// What stands there of a file that is held once: 0, or before 6.13 1.
    pub file_one_ref: u32,
    /// `inode.i_mode`
    pub inode_mode: u32,
    /// `inode.i_ino`
    pub inode_ino: u32,
    /// `socket_alloc.vfs_inode` less `socket_alloc.socket`: from a `struct socket` to its inode.
    pub socket_inode: u32,
    /// `socket.sk`
    pub socket_sk: u32,
    /// `socket.type`
    pub socket_type: u32,
    /// `sock.__sk_common.skc_family`
    pub sk_family: u32,
    /// `sock.__sk_common.skc_daddr`
    pub sk_daddr: u32,
    /// `sock.__sk_common.skc_rcv_saddr`
    pub sk_saddr: u32,
    /// `sock.__sk_common.skc_dport`, network order
    pub sk_dport: u32,
    /// `sock.__sk_common.skc_num`, host order
    pub sk_num: u32,
    /// `sock.__sk_common.skc_v6_daddr`; `u32::MAX` where the kernel has no IPv6
    pub sk_v6_daddr: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`; `u32::MAX` where the kernel has no IPv6
    pub sk_v6_saddr: u32,
    /// `sock.sk_socket`
    pub sk_socket: u32,
    /// `sock.sk_err`
    pub sk_err: u32,
    /// `sock.sk_shutdown`
    pub sk_shutdown: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// `io_kiocb.opcode`; `u32::MAX` where the kernel has no io_uring
    pub kiocb_opcode: u32,
    /// Unread bytes in the ring past which a record wakes the reader.
    pub wakeup_bytes: u32,
    /// 1: children of targets become targets.
    pub follow_children: u32,
}

const _: () = assert!(core::mem::size_of::<KernelConfig>() == 29 * 4);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, only `u32` fields, no padding.
unsafe impl aya::Pod for KernelConfig {}
