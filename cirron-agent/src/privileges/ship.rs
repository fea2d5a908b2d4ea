//! What a process that ships gives up, before it has a thread: everything but the network and two directories.
//!
//! It becomes the user whose spool it is, drops every capability, can get no new one, makes no call that shipping does not
//! need ([`super::seccomp`]), and opens nothing but the spool, the ledgers, and what it takes to find a host and check its
//! certificate (Landlock, where the kernel has it).

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, path_beneath_rules,
};
use rustix::fs::{Gid, Uid};
use rustix::thread::CapabilitySet;

use super::seccomp::{self, Part};
use super::{bound, keep_none};

/// Hosts, certificates, and the libraries that the C library's search for a host loads.
const READ: [&str; 8] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/var/lib/ca-certificates",
    "/proc/self",
];

/// Newer kernels deny nothing more of files that shipping would not do.
const LANDLOCK: ABI = ABI::V3;

/// What could not be given up, for whoever has a log by then.
pub type Left = Vec<String>;

/// Becomes the owner of `spool`, where we are root and it is not root's, and drops every right. Before any thread is
/// started: identities and rights are a thread's.
pub fn become_owner(spool: Option<&File>) -> Left {
    let mut left = Left::new();
    // While the right to do so is there: another user has none.
    bound(CapabilitySet::empty());
    let owner = spool.and_then(|dir| dir.metadata().ok());
    let owner = owner.filter(|meta| rustix::process::geteuid().is_root() && meta.uid() != 0);
    if let Some(meta) = owner {
        let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
        let became = rustix::thread::set_thread_groups(&[])
            .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid))
            .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid));
        if let Err(e) = became {
            left.push(format!("it cannot become user {}: {e}", meta.uid()));
        }
    }
    keep_none();
    if let Err(e) = rustix::thread::set_no_new_privs(true) {
        left.push(format!("no_new_privs cannot be set: {e}"));
    }
    left
}

/// For the process that ships: no program, no eBPF, and no file but these. `removes`: batches.
pub fn confine(spool: &File, ship: &File, removes: bool, read: &[PathBuf]) -> Left {
    let mut left = Left::new();
    match landlock(spool, ship, removes, read) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => {}
        Ok(RulesetStatus::NotEnforced) => {
            left.push("the kernel has no Landlock: what it may open is not bounded".to_owned());
        }
        Err(e) => left.push(format!("what it may open is not bounded: {e}")),
    }
    if let Err(e) = seccomp::deny(Part::Ship) {
        left.push(format!("{e:#}"));
    }
    left
}

/// For the one that starts it.
pub fn confine_keeper() -> Left {
    let denied = seccomp::deny(Part::Keep);
    denied.err().map(|e| format!("{e:#}")).into_iter().collect()
}

fn landlock(
    spool: &File,
    ship: &File,
    removes: bool,
    read: &[PathBuf],
) -> Result<RulesetStatus, landlock::RulesetError> {
    let look: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let of_spool = match removes {
        true => look | AccessFs::RemoveFile,
        false => look,
    };
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(READ, look))?
        .add_rules(path_beneath_rules(read, look))?
        .add_rule(PathBeneath::new(spool, of_spool))?
        .add_rule(PathBeneath::new(
            ship,
            AccessFs::from_all(LANDLOCK) & !AccessFs::Execute,
        ))?
        .restrict_self()?;
    Ok(status.ruleset)
}
