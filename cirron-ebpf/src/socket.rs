//! From a descriptor of the current process to its stream socket.
//!
//! The kernel's own structures are walked on every call, so dup, fd reuse, fork and descriptor
//! passing are right by construction. The inode number is the connection's key: the kernel makes
//! them one after the other, and `/proc/PID/fd` shows the same.

use aya_ebpf::helpers::{bpf_get_current_task, bpf_probe_read_kernel};
use cirron_common::conn::{ConnInfo, held, role};

use crate::{config::config, maps::CONNS};

const S_IFMT: u16 = 0o170000;
const S_IFSOCK: u16 = 0o140000;
const SOCK_STREAM: u16 = 1;
const AF_UNIX: u16 = 1;
/// Both directions of a socket are shut.
pub const SHUTDOWN_MASK: u8 = 3;
const AF_INET: u16 = 2;
const IPPROTO_TCP: u16 = 6;
const AF_INET6: u16 = 10;
/// `socket_type` and IPv6 offsets that the running kernel does not have.
const ABSENT: u32 = u32::MAX;

/// A socket that a descriptor leads to.
#[derive(Clone, Copy)]
pub struct FdSocket {
    /// `struct file *`
    pub file: u64,
    /// Its inode number.
    pub ino: u64,
}

/// Of a connection of which nothing is known yet. Aligned, so that it is cleared and copied by words: a function that
/// does so by bytes would take its part of the stack, which is short.
#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
pub struct Blank(pub ConnInfo);

/// Reads a `T` at a kernel address.
#[inline(always)]
pub fn kernel<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address and fails where it cannot read.
    unsafe { bpf_probe_read_kernel((base + offset as u64) as *const T).ok() }
}

/// The socket behind `fd`, `None` for anything that is not a socket.
#[inline(always)]
pub fn from_fd(fd: i32) -> Option<FdSocket> {
    // SAFETY: no arguments, always valid.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = kernel(task, config!(task_files))?;
    if files == 0 || fd < 0 {
        return None;
    }
    let fdt: u64 = kernel(files, config!(files_fdt))?;
    let max: u32 = kernel(fdt, config!(fdt_max_fds))?;
    if fd as u32 >= max {
        return None;
    }
    let array: u64 = kernel(fdt, config!(fdt_fd))?;
    let file: u64 = kernel(array + fd as u64 * 8, 0)?;
    if file == 0 {
        return None;
    }
    let ino = inode_of(file)?;
    Some(FdSocket { file, ino })
}

/// The inode number of a socket's file, `None` for any other file.
#[inline(always)]
fn inode_of(file: u64) -> Option<u64> {
    let inode: u64 = kernel(file, config!(file_inode))?;
    let mode: u16 = kernel(inode, config!(inode_mode))?;
    if mode & S_IFMT != S_IFSOCK {
        return None;
    }
    kernel(inode, config!(inode_ino))
}

/// Both directions are shut: what the peer of a Unix socket does when it closes.
#[inline(always)]
pub fn is_shut(socket: &FdSocket) -> Option<bool> {
    let sock: u64 = kernel(socket.file, config!(file_private))?;
    let sk: u64 = kernel(sock, config!(socket_sk))?;
    Some(kernel::<u8>(sk, config!(sk_shutdown))? == SHUTDOWN_MASK)
}

/// How many hold the socket `ino`, whose file was seen at `file`: descriptors of any process, messages that
/// pass one, and calls that are in it. All of them are counted in its file.
///
/// Too many are possible of a file that was freed just now; too few are not: the file of a socket that is
/// held stands where it stood. A global function to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_holders(file: u64, ino: u64) -> u64 {
    if inode_of(file) != Some(ino) {
        return 0;
    }
    let one = config!(file_one_ref) as i64;
    match kernel::<i64>(file, config!(file_refs)) {
        Some(refs) if refs >= one => (refs - one + 1) as u64,
        _ => 0,
    }
}

/// Addresses and family of a stream socket go to `out`; false for datagrams and families that we do
/// not read.
#[inline(always)]
pub fn info(socket: &FdSocket, role: u8, out: &mut ConnInfo) -> bool {
    cirron_socket_info(socket, role as u64, out) != 0
}

/// A global function to the verifier, so that what it reads into is not on its callers' stack.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cirron_socket_info(socket: *const FdSocket, role: u64, out: *mut ConnInfo) -> u64 {
    if socket.is_null() || out.is_null() {
        return 0;
    }
    // SAFETY: not null, and the verifier checks callers for whole values.
    let (file, out) = unsafe { ((*socket).file, &mut *out) };
    out.role = role as u8;
    out.late = (role as u8 == role::UNKNOWN) as u8;
    read_info(file, out).is_some() as u64
}

#[inline(always)]
fn read_info(file: u64, out: &mut ConnInfo) -> Option<()> {
    let sock: u64 = kernel(file, config!(file_private))?;
    let kind: u16 = kernel(sock, config!(socket_type))?;
    if kind != SOCK_STREAM {
        return None;
    }
    let sk: u64 = kernel(sock, config!(socket_sk))?;
    if sk == 0 {
        return None;
    }
    let family: u16 = kernel(sk, config!(sk_family))?;
    out.family = family;
    match family {
        AF_UNIX => {
            if out.role == role::ACCEPTED {
                let ino = unix_peer(sk).unwrap_or(0);
                out.peer_addr[..8].copy_from_slice(&ino.to_ne_bytes());
            } else if out.role == role::UNKNOWN && is_unnamed_of_named(sk) == Some(true) {
                out.role = role::CONNECTED;
            }
            return Some(());
        }
        AF_INET => {
            ports(sk, out);
            let local: u32 = kernel(sk, config!(sk_saddr)).unwrap_or(0);
            let peer: u32 = kernel(sk, config!(sk_daddr)).unwrap_or(0);
            out.local_addr[..4].copy_from_slice(&local.to_ne_bytes());
            out.peer_addr[..4].copy_from_slice(&peer.to_ne_bytes());
        }
        AF_INET6 => {
            ports(sk, out);
            if config!(sk_v6_daddr) != ABSENT {
                // As words: bytes would be cleared by a function, which takes a part of the stack.
                let local: [u64; 2] = kernel(sk, config!(sk_v6_saddr)).unwrap_or([0; 2]);
                out.local_addr[..8].copy_from_slice(&local[0].to_ne_bytes());
                out.local_addr[8..].copy_from_slice(&local[1].to_ne_bytes());
                let peer: [u64; 2] = kernel(sk, config!(sk_v6_daddr)).unwrap_or([0; 2]);
                out.peer_addr[..8].copy_from_slice(&peer[0].to_ne_bytes());
                out.peer_addr[8..].copy_from_slice(&peer[1].to_ne_bytes());
            }
        }
        _ => return None,
    }
    out.netns = netns(sk).unwrap_or(0);
    out.first_seq = first_seq(sk, out.role).unwrap_or(0);
    if out.role == role::UNKNOWN && port_is_connect_s(sk) == Some(true) {
        out.role = role::CONNECTED;
    }
    Some(())
}

/// The kernel chose the local port in `connect`: of such a port's sockets none was accepted. (`inet_hash_connect` marks the
/// bucket with -1, which `bind` never does, and what is accepted has the bucket of its listener, also when that is gone.)
#[inline(always)]
fn port_is_connect_s(sk: u64) -> Option<bool> {
    if config!(bind_fastreuse) == ABSENT || !is_tcp(sk)? {
        return None;
    }
    let bucket: u64 = kernel(sk, config!(icsk_bind_hash))?;
    if bucket == 0 {
        return None;
    }
    Some(kernel::<i8>(bucket, config!(bind_fastreuse))? == -1)
}

/// Of a Unix socket without a name whose peer has one: that has it of its listener.
#[inline(always)]
fn is_unnamed_of_named(sk: u64) -> Option<bool> {
    if config!(unix_peer) == ABSENT || config!(unix_addr) == ABSENT {
        return None;
    }
    let peer: u64 = kernel(sk, config!(unix_peer))?;
    if peer == 0 {
        return None;
    }
    let own: u64 = kernel(sk, config!(unix_addr))?;
    let other: u64 = kernel(peer, config!(unix_addr))?;
    Some(own == 0 && other != 0)
}

#[inline(always)]
fn is_tcp(sk: u64) -> Option<bool> {
    Some(config!(tcp_known) != 0 && kernel::<u16>(sk, config!(sk_protocol))? == IPPROTO_TCP)
}

/// The inode number of the socket at the other end of a Unix socket.
#[inline(always)]
fn unix_peer(sk: u64) -> Option<u64> {
    if config!(unix_peer) == ABSENT {
        return None;
    }
    let peer: u64 = kernel(sk, config!(unix_peer))?;
    if peer == 0 {
        return None;
    }
    let sock: u64 = kernel(peer, config!(sk_socket))?;
    if sock == 0 {
        return None;
    }
    kernel(sock + config!(socket_inode) as u64, config!(inode_ino))
}

#[inline(always)]
fn netns(sk: u64) -> Option<u32> {
    if config!(sk_net) == ABSENT {
        return None;
    }
    let net: u64 = kernel(sk, config!(sk_net))?;
    kernel(net, config!(net_number))
}

/// See [`ConnInfo::first_seq`]. Who connected has written nothing yet; who accepted may have been sent something.
#[inline(always)]
fn first_seq(sk: u64, role: u8) -> Option<u32> {
    if !is_tcp(sk)? {
        return None;
    }
    match role {
        role::CONNECTED => kernel(sk, config!(tcp_write_seq)),
        role::ACCEPTED => {
            let next: u32 = kernel(sk, config!(tcp_rcv_nxt))?;
            let received: u64 = kernel(sk, config!(tcp_received))?;
            Some(next.wrapping_sub(received as u32))
        }
        _ => None,
    }
}

#[inline(always)]
fn ports(sk: u64, info: &mut ConnInfo) {
    info.local_port = kernel(sk, config!(sk_num)).unwrap_or(0);
    info.peer_port = u16::from_be(kernel(sk, config!(sk_dport)).unwrap_or(0));
}

/// See [`held`].
#[inline(always)]
pub fn check(ino: u64, epoch: u64) -> u32 {
    let Some(state) = CONNS.get_ptr(&ino) else {
        return held::UNKNOWN;
    };
    // SAFETY: a live map value.
    let (of, file) = unsafe { ((*state).epoch, (*state).file) };
    if of != epoch {
        return held::UNKNOWN;
    }
    let holders = cirron_holders(file, ino);
    let counted = if holders > held::MAX_HOLDERS as u64 {
        held::MAX_HOLDERS
    } else {
        holders as u32
    };
    held::RELEASED + counted
}
