//! The loader's answers: offsets of kernel structures and a few switches.

use cirron_common::KernelConfig;

#[unsafe(no_mangle)]
static CONFIG: KernelConfig = KernelConfig {
    task_files: 0,
    files_fdt: 0,
    fdt_max_fds: 0,
    fdt_fd: 0,
    file_flags: 0,
    file_inode: 0,
    file_private: 0,
    file_refs: 0,
    file_one_ref: 0,
    inode_mode: 0,
    inode_ino: 0,
    socket_inode: 0,
    socket_sk: 0,
    socket_type: 0,
    sk_family: 0,
    sk_daddr: 0,
    sk_saddr: 0,
    sk_dport: 0,
    sk_num: 0,
    sk_v6_daddr: 0,
    sk_v6_saddr: 0,
    sk_net: 0,
    net_number: 0,
    unix_peer: 0,
    unix_addr: 0,
    sk_socket: 0,
    sk_err: 0,
    sk_shutdown: 0,
    task_tgid: 0,
    task_fsbase: 0,
    task_runtime: 0,
    task_signal: 0,
    signal_live: 0,
    kiocb_opcode: 0,
    sk_protocol: 0,
    tcp_known: 0,
    tcp_rcv_nxt: 0,
    tcp_received: 0,
    tcp_write_seq: 0,
    tcp_snd_nxt: 0,
    tcp_snd_una: 0,
    tcp_snd_wnd: 0,
    tcp_mss: 0,
    tcp_data_segs: 0,
    tcp_wstamp: 0,
    tcp_clock: 0,
    tcp_lsndtime: 0,
    tcp_rack_mstamp: 0,
    tcp_rack_end_seq: 0,
    icsk_lrcvtime: 0,
    icsk_bind_hash: 0,
    bind_fastreuse: 0,
    tick_ns: 0,
    tick_phase_ns: 0,
    wakeup_bytes: 0,
    tells_listeners: 0,
};

/// Reads one field of the configuration as the loader left it. The compiler must not take the
/// zeros above for granted.
macro_rules! config {
    ($field:ident) => {
        // SAFETY: a field of a static, read as it is.
        unsafe { core::ptr::read_volatile(core::ptr::addr_of!($crate::config::get().$field)) }
    };
}
pub(crate) use config;

#[inline(always)]
pub fn get() -> &'static KernelConfig {
    &CONFIG
}
