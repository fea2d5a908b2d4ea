//! A thread that must not wait for procfs does not read it: the core's.
//!
//! Every way to procfs asks here, and so do the process tables of tests. In a build with assertions one that is
//! forbidden panics, which is a failure of the test.

use std::cell::Cell;

thread_local! {
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// This thread never asks, from now on.
pub fn never_here() {
    FORBIDDEN.set(true);
}

/// Procfs is about to be read.
pub(crate) fn asked() {
    debug_assert!(!FORBIDDEN.get(), "this thread must not read procfs");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{Processes as _, Procfs, short_name};
    use crate::probes::images::images;

    #[test]
    fn every_way_to_procfs_is_shut_where_it_was_said_to_be() {
        let ours = std::process::id();
        let ways: [fn(u32); 6] = [
            |pid| _ = Procfs.identify(pid),
            |pid| drop(Procfs.facts(pid)),
            |pid| drop(Procfs.descendants(&[pid])),
            |pid| _ = Procfs.waits_for_us(pid),
            |pid| drop(short_name(pid)),
            |pid| drop(images(pid)),
        ];
        for way in ways {
            way(ours);
            let forbidden = std::thread::spawn(move || {
                never_here();
                way(ours);
            });
            assert!(forbidden.join().is_err());
        }
    }
}
