//! Where a process is in the hierarchy of cgroups, and which container that makes it part of.
//!
//! Sits beside [`super::facts`]. Runtimes name a container's cgroup after its id, 64 hexadecimal
//! digits, plain (`/docker/ID`, `/kubepods/burstable/podUID/ID`) or with a word and `.scope` around it (`docker-ID.scope`,
//! `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`). Names of other forms are no container's.

use std::fs::File;
use std::io::Read as _;

use super::asked;

/// Digits of a container's id.
const ID_DIGITS: usize = 64;

/// Bytes of the list of a process's cgroups: a path has 4096 at most, and the longest names that runtimes make have 300.
const MAX_BYTES: u64 = 64 * 1024;

/// The path of a process's cgroup; `None` where it has gone.
pub fn read(tgid: u32) -> Option<String> {
    asked();
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{tgid}/cgroup")).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    path(&String::from_utf8_lossy(&bytes)).map(str::to_owned)
}

/// The path of the cgroup: on a machine of version 1, where there is one for each controller, the longest.
fn path(proc_cgroup: &str) -> Option<&str> {
    let paths = proc_cgroup
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2));
    paths.max_by_key(|path| path.len())
}

/// The id of the innermost container that a path leads into.
pub fn container(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let id = part.rsplit('-').next()?;
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (id.len() == ID_DIGITS && id.bytes().all(is_digit)).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_container_is_known_by_the_names_that_runtimes_give_its_cgroup() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/kubepods/burstable/pod6c1a-44/{id}"),
            format!("/kubepods.slice/kubepods-pod6c1a_44.slice/cri-containerd-{id}.scope"),
            format!("/kubepods.slice/crio-{id}.scope/nested/app"),
        ] {
            assert_eq!(container(&path), Some(id.as_str()), "{path}");
        }
        let upper = id.to_uppercase();
        for path in [
            "/",
            "/user.slice/user-1000.slice/session-3.scope",
            &upper,
            &id[1..],
        ] {
            assert_eq!(container(path), None, "{path}");
        }
    }

    #[test]
    fn the_path_is_the_longest_of_all_controllers() {
        assert_eq!(
            path("0::/system.slice/vllm.service\n").unwrap(),
            "/system.slice/vllm.service"
        );
        assert_eq!(
            path("9:name=systemd:/\n4:memory:/a:b/c\n0::/\n").unwrap(),
            "/a:b/c"
        );
        assert_eq!(path(""), None);
    }
}
