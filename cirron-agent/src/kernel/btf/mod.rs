//! Offsets of kernel structures, read from the running kernel's own BTF.
//!
//! Rust has no CO-RE relocations; what they would have patched is looked up here and handed to the
//! programs as constants. A member may lie inside anonymous structs and unions.

mod runtime;
mod tcp;
mod types;

use cirron_common::KernelConfig;

use super::LoadError;
use types::Types;

/// Where the running kernel shows its types.
pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Whether the first argument of the tracepoint is a pointer to `struct owner`.
pub(super) fn takes(tracepoint: &str, owner: &str) -> bool {
    let blob = std::fs::read(VMLINUX).unwrap_or_default();
    Types::new(&blob).is_ok_and(|types| types.takes(tracepoint, owner))
}

/// Reads every offset of [`KernelConfig`]. The switches stay 0.
pub(super) fn offsets() -> Result<KernelConfig, LoadError> {
    let unread = |why: String| LoadError::Types { path: VMLINUX, why };
    let blob = std::fs::read(VMLINUX).map_err(|e| unread(e.to_string()))?;
    let types = Types::new(&blob).map_err(|e| unread(e.to_string()))?;
    let at = |owner: &str, member: &str| {
        let offset = types.offset(owner, member);
        offset.ok_or_else(|| LoadError::Member {
            owner: owner.to_owned(),
            member: member.to_owned(),
        })
    };
    let common = at("sock", "__sk_common")?;
    let in_sock = |member: &str| at("sock_common", member).map(|o| common + o);
    // From 6.13 on it counts from zero.
    let (file_refs, file_one_ref) = match types.offset("file", "f_ref") {
        Some(offset) => (offset, 0),
        None => (at("file", "f_count")?, 1),
    };
    // Without them no two sockets are known to be the ends of one connection.
    let bytes_of = |owner: &str, path: &[&str]| types.bits(owner, path).map(|bits| bits / 8);
    let net = bytes_of("sock_common", &["skc_net", "net"]).map(|o| common + o);
    let net = net.zip(bytes_of("net", &["ns", "inum"]));
    let tcp = tcp::offsets(&types).unwrap_or_default();
    // Without them nobody knows which end of an older connection connected.
    let bound = types.offset("inet_connection_sock", "icsk_bind_hash");
    let bound = bound.zip(types.offset("inet_bind_bucket", "fastreuse"));
    Ok(KernelConfig {
        task_files: at("task_struct", "files")?,
        files_fdt: at("files_struct", "fdt")?,
        fdt_max_fds: at("fdtable", "max_fds")?,
        fdt_fd: at("fdtable", "fd")?,
        file_flags: at("file", "f_flags")?,
        file_inode: at("file", "f_inode")?,
        file_private: at("file", "private_data")?,
        file_refs,
        file_one_ref,
        inode_mode: at("inode", "i_mode")?,
        inode_ino: at("inode", "i_ino")?,
        socket_inode: at("socket_alloc", "vfs_inode")? - at("socket_alloc", "socket")?,
        socket_sk: at("socket", "sk")?,
        socket_type: at("socket", "type")?,
        sk_family: in_sock("skc_family")?,
        sk_daddr: in_sock("skc_daddr")?,
        sk_saddr: in_sock("skc_rcv_saddr")?,
        sk_dport: in_sock("skc_dport")?,
        sk_num: in_sock("skc_num")?,
        sk_v6_daddr: in_sock("skc_v6_daddr").unwrap_or(u32::MAX),
        sk_v6_saddr: in_sock("skc_v6_rcv_saddr").unwrap_or(u32::MAX),
        sk_net: net.map_or(u32::MAX, |(net, _)| net),
        net_number: net.map_or(u32::MAX, |(_, number)| number),
        unix_peer: at("unix_sock", "peer").unwrap_or(u32::MAX),
        unix_addr: at("unix_sock", "addr").unwrap_or(u32::MAX),
        sk_socket: at("sock", "sk_socket")?,
        sk_err: at("sock", "sk_err")?,
        sk_shutdown: at("sock", "sk_shutdown")?,
        task_tgid: at("task_struct", "tgid")?,
        task_fsbase: (types.bits("task_struct", &["thread", "fsbase"]))
            .map_or(u32::MAX, |bits| bits / 8),
        task_runtime: runtime::offset(&types).unwrap_or(u32::MAX),
        task_signal: at("task_struct", "signal")?,
        signal_live: at("signal_struct", "live")?,
        icsk_bind_hash: bound.map_or(0, |(hash, _)| hash),
        bind_fastreuse: bound.map_or(u32::MAX, |(_, reuse)| reuse),
        kiocb_opcode: at("io_kiocb", "opcode").unwrap_or(u32::MAX),
        wakeup_bytes: 0,
        tells_listeners: 0,
        ..tcp
    })
}
