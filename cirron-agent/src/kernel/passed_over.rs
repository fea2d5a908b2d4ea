//! How often the kernel passed one of our programs over, because the same one was running on that
//! processor: what happened then was not seen, and nobody knows whose it was. From Linux 5.12 on the
//! kernel counts it, for each program; 0 before.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::Ebpf;
use aya::programs::Program;

/// The programs on tracepoints. Those inside TLS libraries are never passed over.
pub(super) struct PassedOver(Vec<OwnedFd>);

impl PassedOver {
    /// Of the programs that are loaded.
    pub(super) fn open(ebpf: &Ebpf) -> PassedOver {
        let fd = |program: &Program| program.fd().ok()?.as_fd().try_clone_to_owned().ok();
        PassedOver(ebpf.programs().filter_map(|(_, p)| fd(p)).collect())
    }

    /// So far, all of them together.
    pub(super) fn count(&self) -> u64 {
        let count = |fd: &OwnedFd| {
            let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
            misses(&fs::read_to_string(path).ok()?)
        };
        self.0.iter().filter_map(count).sum()
    }
}

fn misses(fdinfo: &str) -> Option<u64> {
    let line = fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::misses;

    #[test]
    fn the_count_is_found_where_the_kernel_gives_it() {
        let text =
            "pos:\t0\nprog_type:\t26\nrun_cnt:\t0\nrecursion_misses:\t479\nverified_insns:\t9\n";
        assert_eq!(misses(text), Some(479));
        assert_eq!(misses("pos:\t0\nprog_type:\t26\n"), None);
    }
}
