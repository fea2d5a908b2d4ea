//! What to do where the kernel has no memory for the maps: which limit it is, and what is needed.
//!
//! From 5.11 on the maps count for the memory cgroup of the process, and for no `ulimit -l`. The ring is mapped into
//! the process besides, twice in a row, which `ulimit -v` limits.

use std::fs;
use std::path::{Path, PathBuf};

use super::LoadError;

const MIB: u64 = 1024 * 1024;

/// Bytes that all maps but the ring take, about: where they are halved once more, and a ring of 8 MiB with them, the
/// highest usage of the cgroup is 9 MiB less.
pub const MAPS_BYTES: u64 = 40 * MIB;

/// Bytes that the program takes, and the kernel while it loads the others: with the maps 82 MiB were measured (`doctor`
/// in a cgroup of its own, its highest usage less the ring). The rest is for the buffers of a capture.
pub const PROGRAM_BYTES: u64 = 56 * MIB;

/// MiB that the program and its threads map, mostly without using them.
const MAPPED_MIB: u64 = 512;

/// The refusal, with what is needed and what limits it.
pub(super) fn refused(what: String, ring_bytes: u32, halvings: u32) -> LoadError {
    LoadError::Memory {
        what,
        advice: advice(
            u64::from(ring_bytes) / MIB,
            (PROGRAM_BYTES + (MAPS_BYTES >> halvings)) / MIB,
            memory_limit(),
            address_limit(),
        ),
    }
}

fn advice(ring_mib: u64, rest_mib: u64, cgroup: Option<u64>, address: Option<u64>) -> String {
    let need = rest_mib + ring_mib;
    // The ring is mapped twice in a row.
    let mapped = MAPPED_MIB + 2 * ring_mib;
    if let Some(limit) = address
        .map(|limit| limit / MIB)
        .filter(|limit| *limit < mapped)
    {
        let smaller = smaller(ring_mib, limit.saturating_sub(MAPPED_MIB) / 2);
        return format!(
            "its address space is limited to {limit} MiB (ulimit -v): allow {mapped} MiB{smaller}"
        );
    }
    match cgroup.map(|limit| limit / MIB) {
        Some(limit) => {
            let smaller = smaller(ring_mib, limit.saturating_sub(rest_mib));
            format!(
                "its maps and a ring of {ring_mib} MiB need some {need} MiB of its cgroup's memory, which is limited \
                 to {limit} MiB:\n  raise that (MemoryMax of a service, limits.memory of a container){smaller}"
            )
        }
        None => {
            let smaller = smaller(ring_mib, ring_mib.saturating_sub(1));
            format!(
                "its maps and a ring of {ring_mib} MiB need some {need} MiB of kernel memory: free some{smaller}"
            )
        }
    }
}

/// A smaller ring, where one fits into what is left for it.
fn smaller(ring_mib: u64, left: u64) -> String {
    match left.min(ring_mib.saturating_sub(1)).checked_ilog2() {
        Some(log) => format!(", or make the ring smaller with --ring-mib {}", 1u64 << log),
        None => String::new(),
    }
}

/// Bytes that the cgroups of this process allow, where one has a limit.
pub fn memory_limit() -> Option<u64> {
    cgroup_limit(Path::new("/sys/fs/cgroup"))
}

/// The least limit of this process's cgroups, of either version.
fn cgroup_limit(mount: &Path) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    directories(mount, &text)
        .iter()
        .flat_map(|(dir, file)| {
            dir.ancestors()
                .take_while(|dir| dir.starts_with(mount))
                .map(|dir| dir.join(file))
                .collect::<Vec<_>>()
        })
        .filter_map(|file| fs::read_to_string(file).ok())
        .filter_map(|text| limit(&text))
        .min()
}

/// Of `/proc/self/cgroup`: where the limits are, and what their file is called.
fn directories(mount: &Path, text: &str) -> Vec<(PathBuf, &'static str)> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            if controllers.is_empty() {
                Some((mount.join(path), "memory.max"))
            } else if controllers.split(',').any(|name| name == "memory") {
                Some((mount.join("memory").join(path), "memory.limit_in_bytes"))
            } else {
                None
            }
        })
        .collect()
}

/// A number; `max`, or one that no machine has, is none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

fn address_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_the_limit_that_there_is() {
        let text = advice(32, 96, Some(64 * MIB), None);
        assert!(
            text.contains("128 MiB") && text.contains("limited to 64 MiB"),
            "{text}"
        );
        assert!(!text.contains("--ring-mib"), "no ring fits: {text}");
        assert!(advice(32, 96, Some(115 * MIB), None).ends_with("--ring-mib 16"));
        let text = advice(4, 96, None, None);
        assert!(
            text.contains("kernel memory") && text.ends_with("--ring-mib 2"),
            "{text}"
        );
        assert!(!advice(1, 96, None, None).contains("--ring-mib"));
        let text = advice(32, 96, Some(64 * MIB), Some(530 * MIB));
        assert!(
            text.contains("ulimit -v") && text.contains("576 MiB"),
            "{text}"
        );
        assert!(text.ends_with("--ring-mib 8"), "{text}");
        assert!(!advice(32, 96, None, Some(8 << 30)).contains("ulimit"));
    }

    #[test]
    fn both_versions_of_cgroups_are_known() {
        let text = "12:cpu:/a\n9:memory,x:/b/c\n0::/system.slice/x.service\n";
        let mount = Path::new("/sys/fs/cgroup");
        let got = directories(mount, text);
        let want = [
            (mount.join("memory/b/c"), "memory.limit_in_bytes"),
            (mount.join("system.slice/x.service"), "memory.max"),
        ];
        assert_eq!(got, want);
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("67108864\n"), Some(64 * MIB));
    }
}
