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
    /// `file.f_flags`
    pub file_flags: u32,
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
    /// `sock.__sk_common.skc_net.net`; `u32::MAX` where the kernel has no namespaces
    pub sk_net: u32,
    /// `net.ns.inum`
    pub net_number: u32,
    /// `unix_sock.peer`; `u32::MAX` where it is not known
    pub unix_peer: u32,
    /// `unix_sock.addr`; `u32::MAX` where it is not known
    pub unix_addr: u32,
    /// `sock.sk_socket`
    pub sk_socket: u32,
    /// `sock.sk_err`
    pub sk_err: u32,
    /// `sock.sk_shutdown`
    pub sk_shutdown: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.thread.fsbase`; `u32::MAX` where there is none
    pub task_fsbase: u32,
    /// `task_struct.se.sum_exec_runtime`; `u32::MAX` where it may stand still for longer than a tick
    pub task_runtime: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// `io_kiocb.opcode`; `u32::MAX` where the kernel has no io_uring
    pub kiocb_opcode: u32,
    /// `sock.sk_protocol`
    pub sk_protocol: u32,
    /// 1: the members of `tcp_sock` below were found.
    pub tcp_known: u32,
    /// `tcp_sock.rcv_nxt`
    pub tcp_rcv_nxt: u32,
    /// `tcp_sock.bytes_received`
    pub tcp_received: u32,
    /// `tcp_sock.write_seq`
    pub tcp_write_seq: u32,
    /// `tcp_sock.snd_nxt`
    pub tcp_snd_nxt: u32,
    /// `tcp_sock.snd_una`
    pub tcp_snd_una: u32,
    /// `tcp_sock.snd_wnd`
    pub tcp_snd_wnd: u32,
    /// `tcp_sock.mss_cache`
    pub tcp_mss: u32,
    /// `tcp_sock.data_segs_out`
    pub tcp_data_segs: u32,
    /// `tcp_sock.tcp_wstamp_ns`
    pub tcp_wstamp: u32,
    /// `tcp_sock.tcp_clock_cache`
    pub tcp_clock: u32,
    /// `tcp_sock.lsndtime`
    pub tcp_lsndtime: u32,
    /// `tcp_sock.rack.mstamp`
    pub tcp_rack_mstamp: u32,
    /// `tcp_sock.rack.end_seq`
    pub tcp_rack_end_seq: u32,
    /// `inet_connection_sock.icsk_ack.lrcvtime`
    pub icsk_lrcvtime: u32,
    /// `inet_connection_sock.icsk_bind_hash`
    pub icsk_bind_hash: u32,
    /// `inet_bind_bucket.fastreuse`; `u32::MAX` where it or the one before is not known
    pub bind_fastreuse: u32,
    /// Nanoseconds of one `jiffies`.
    pub tick_ns: u32,
    /// When in a tick `jiffies` advances: the monotonic clock's remainder by `tick_ns` at that moment.
    pub tick_phase_ns: u32,
    /// Unread bytes in the ring past which a record wakes the reader.
    pub wakeup_bytes: u32,
    /// Processes that begin to listen on TCP are told, targets or not: somebody looks for targets.
    pub tells_listeners: u32,
}

const _: () = assert!(core::mem::size_of::<KernelConfig>() == 56 * 4);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, only `u32` fields, no padding.
unsafe impl aya::Pod for KernelConfig {}
