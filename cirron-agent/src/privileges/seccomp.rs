//! System calls that a capture never makes, denied to all threads.
//!
//! A list of what is denied, not of what is allowed: a C library or a kernel that brings a new call
//! for an old thing must not end a capture. What is denied fails with EPERM.

use std::collections::BTreeMap;

use anyhow::Context as _;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Programs, other processes, the network, mounts, namespaces, modules, keys, clocks, identities.
const DENIED: [libc::c_long; 91] = [
    // Another program, another process.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_userfaultfd,
    libc::SYS_personality,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    // The network: an agent opens no connection and takes none.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // File systems and what is mounted where.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_nfsservctl,
    libc::SYS_setns,
    libc::SYS_unshare,
    // The machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    // Keys, and other users.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
];

/// Set in a call's number by the x32 ABI, in which calls have the same numbers otherwise.
const X32: libc::c_long = 0x4000_0000;

/// Numbers that x32 has for itself: execve, ptrace, kexec_load, process_vm_readv and _writev, execveat.
const X32_OWN: [libc::c_long; 6] = [520, 521, 528, 539, 540, 545];

/// What a process needs that asks somebody over the network. A look-up of a name binds a socket of its own.
pub(super) const NETWORK: [libc::c_long; 3] = [libc::SYS_socket, libc::SYS_connect, libc::SYS_bind];

/// Denies them to every thread, for good, but for those that are `kept`. No program that were executed later could get
/// more rights.
pub(super) fn deny(kept: &[libc::c_long]) -> anyhow::Result<()> {
    let own = X32_OWN.iter().map(|number| X32 | number);
    let x32 = DENIED.iter().map(|number| X32 | number).chain(own);
    let rules: BTreeMap<_, _> = DENIED
        .iter()
        .copied()
        .filter(|number| !kept.contains(number))
        .chain(x32)
        .map(|number| (number, Vec::new()))
        .collect();
    let errno = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, TargetArch::x86_64)?;
    let program = BpfProgram::try_from(filter)?;
    seccompiler::apply_filter_all_threads(&program)
        .context("system calls that are not needed cannot be denied")
}
