//! System calls that a process of ours never makes, denied to all its threads.
//!
//! A list of what is denied, not of what is allowed: a C library or a kernel that brings a new call
//! for an old thing must not end a capture. What is denied fails with EPERM.

use std::collections::BTreeMap;
use std::os::fd::RawFd;

use anyhow::Context as _;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Who makes which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Watches: no program, no network, but to accept on this descriptor, the socket of `top`.
    Capture(Option<RawFd>),
    /// Asks somebody over the network, and does nothing else.
    Ask,
    /// Ships: the network, and no program, no eBPF.
    Ship,
    /// Starts the one that ships: what that one may, and a program.
    Keep,
}

/// Another program.
const PROGRAMS: [libc::c_long; 4] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_fork,
    libc::SYS_vfork,
];

/// Others over the network: an agent opens no connection. A look-up of a name binds a socket of its own.
const ASKING: [libc::c_long; 3] = [libc::SYS_socket, libc::SYS_connect, libc::SYS_bind];

/// And it takes none, but for the one socket that it may accept on.
const SERVING: [libc::c_long; 3] = [libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4];

/// What only a capture does.
const WATCHING: [libc::c_long; 2] = [libc::SYS_bpf, libc::SYS_perf_event_open];

/// Other processes, mounts, namespaces, modules, keys, clocks, identities: nobody.
const DENIED: [libc::c_long; 81] = [
    // Another process.
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
    // All of the above by another way.
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

/// Numbers that x32 has for itself: execve, ptrace, kexec_load, process_vm_readv and _writev, execveat. No program of ours
/// is one of x32, those that one of us starts included.
const X32_OWN: [libc::c_long; 6] = [520, 521, 528, 539, 540, 545];

/// Denies them to every thread, for good. No program that were executed later could get more rights.
pub(super) fn deny(part: Part) -> anyhow::Result<()> {
    let more: &[&[libc::c_long]] = match part {
        Part::Capture(_) => &[&PROGRAMS, &ASKING, &SERVING],
        Part::Ask => &[&PROGRAMS, &SERVING, &WATCHING],
        Part::Ship => &[&PROGRAMS, &WATCHING],
        Part::Keep => &[&WATCHING],
    };
    let denied = || DENIED.iter().chain(more.iter().copied().flatten());
    let x32 = denied().chain(&X32_OWN).map(|number| X32 | number);
    let mut rules: BTreeMap<_, _> = denied()
        .copied()
        .chain(x32)
        .map(|number| (number, Vec::new()))
        .collect();
    if let Part::Capture(Some(listener)) = part {
        let other = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Ne,
            u64::from(listener.unsigned_abs()),
        )?;
        rules.insert(libc::SYS_accept4, vec![SeccompRule::new(vec![other])?]);
    }
    let errno = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, TargetArch::x86_64)?;
    let program = BpfProgram::try_from(filter)?;
    seccompiler::apply_filter_all_threads(&program)
        .context("system calls that are not needed cannot be denied")
}
