//! Rights that are given up once everything is set up.
//!
//! Capabilities are a thread's. Each thread keeps what it needs and drops the rest, from its
//! bounding set as well; those that were started before the main thread drops its own do so
//! themselves. `docs/security.md` says what stays and why.

mod probe;
mod seccomp;
pub mod ship;

use std::os::fd::RawFd;
use std::path::Path;

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::files::Users;

/// What loads programs, reads maps and attaches to libraries that are mapped later.
const ATTACH: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);

/// What it takes to look at processes of other users: their memory maps, environments and files.
const LOOK: CapabilitySet = CapabilitySet::SYS_PTRACE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::CHECKPOINT_RESTORE);

/// What it takes to write into directories of another user, and to give files to whoever typed
/// `sudo`.
const FILES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER);

/// Who keeps what.
#[derive(Clone, Copy, Debug)]
pub struct Rights {
    capture: CapabilitySet,
    files: CapabilitySet,
    /// Nothing is dropped: in tests, whose process goes on.
    all: bool,
}

impl Rights {
    /// For a capture that writes to these paths; `command`: it started one, which it signals.
    pub fn needed(paths: &[&Path], users: Users, command: bool) -> Rights {
        let had = rustix::thread::capabilities(None)
            .map_or(CapabilitySet::empty(), |sets| sets.permitted);
        let mut capture = ATTACH | LOOK;
        // Where it stands for the others.
        if !had.contains(capture) {
            capture |= CapabilitySet::SYS_ADMIN;
        }
        if command {
            capture |= CapabilitySet::KILL;
        }
        let mut files = CapabilitySet::empty();
        if users.give_away() || paths.iter().any(|path| users.is_foreign(path)) {
            files |= FILES;
        }
        if paths.iter().any(|path| Users::is_in_proc(path)) {
            files |= FILES | CapabilitySet::SYS_PTRACE;
        }
        Rights {
            capture: capture & had,
            files: files & had,
            all: false,
        }
    }

    /// For a capture that opens perf events later on: with CAP_SYS_ADMIN, where the kernel asks for no less.
    #[must_use]
    pub fn with_events(self) -> Rights {
        match !self.all && probe::events_need_more(self.capture) {
            true => Rights {
                // It opened one, so that we have that right.
                capture: self.capture | CapabilitySet::SYS_ADMIN,
                ..self
            },
            false => self,
        }
    }

    /// All stay.
    pub fn unchanged() -> Rights {
        Rights {
            capture: CapabilitySet::empty(),
            files: CapabilitySet::empty(),
            all: true,
        }
    }

    /// For a thread that watches processes.
    pub fn keep_for_capture(self) {
        if !self.all {
            keep(self.capture);
        }
    }

    /// For the main thread, when all others have been started: the same, and no thread executes a
    /// program or makes any other call that a capture does not need, but to accept on `listener`.
    pub fn settle(self, listener: Option<RawFd>) {
        if self.all {
            return;
        }
        self.keep_for_capture();
        if let Err(e) = seccomp::deny(seccomp::Part::Capture(listener)) {
            tracing::warn!("{e:#}");
        }
    }

    /// For a thread that writes files of ours.
    pub fn keep_for_files(self) {
        if !self.all {
            keep(self.files);
        }
    }

    /// For a thread that only computes.
    pub fn keep_nothing(self) {
        if !self.all {
            keep_none();
        }
    }
}

/// For a thread that needs no right at all.
pub fn keep_none() {
    keep(CapabilitySet::empty());
}

/// For a process of its own that asks somebody over the network: no other right, and no call that a capture does not make
/// either. Before it starts a thread.
///
/// # Errors
/// Where the system calls cannot be denied.
pub fn keep_the_network_alone() -> anyhow::Result<()> {
    keep_none();
    seccomp::deny(seccomp::Part::Ask)
}

/// Drops the rest from the bounding set of this thread.
fn bound(kept: CapabilitySet) {
    // Without CAP_SETPCAP there is nothing that a program executed later could get from it.
    for set in CapabilitySet::all().difference(kept).iter() {
        let _ = rustix::thread::remove_capability_from_bounding_set(set);
    }
}

/// Drops the rest, of this thread.
fn keep(kept: CapabilitySet) {
    bound(kept);
    // Older kernels know none of them.
    let _ = rustix::thread::clear_ambient_capability_set();
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    if let Err(e) = rustix::thread::set_capabilities(None, sets) {
        tracing::warn!("capabilities that are not needed cannot be dropped: {e}");
    }
    crate::inherited::forbid_dumps();
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_thread_keeps_what_it_is_told_and_the_others_keep_theirs() {
        let before = rustix::thread::capabilities(None).unwrap();
        std::thread::spawn(|| {
            keep(CapabilitySet::BPF & rustix::thread::capabilities(None).unwrap().permitted);
            let after = rustix::thread::capabilities(None).unwrap();
            assert!(CapabilitySet::BPF.contains(after.permitted));
            assert_eq!(after.permitted, after.effective);
            keep_none();
            let none = rustix::thread::capabilities(None).unwrap();
            assert!(none.permitted.is_empty() && none.effective.is_empty());
        })
        .join()
        .unwrap();
        assert_eq!(rustix::thread::capabilities(None).unwrap(), before);
    }

    #[test]
    fn a_capture_that_opens_events_keeps_what_the_kernel_asks_for() {
        // As root, on a kernel that asks for CAP_SYS_ADMIN, the first would fail without the second.
        let rights = Rights::needed(&[], Users::with(None), false).with_events();
        assert!(!probe::events_need_more(rights.capture));
        assert!(Rights::unchanged().with_events().all);
    }

    #[test]
    fn files_of_our_own_need_no_right() {
        let tmp = tempfile::tempdir().unwrap();
        let users = Users::with(None);
        let rights = Rights::needed(&[&tmp.path().join("a/b")], users, false);
        assert!(rights.files.is_empty() && !rights.capture.contains(CapabilitySet::KILL));
        if std::os::unix::fs::chown(tmp.path(), Some(12_345), None).is_ok() {
            let rights = Rights::needed(&[&tmp.path().join("a/b")], users, true);
            assert_eq!(rights.files, FILES);
            assert!(rights.capture.contains(ATTACH | CapabilitySet::KILL));
        }
    }
}
