//! Where a process is in the hierarchy of cgroups, and which container that makes it part of.
//!
//! Sits beside [`super::facts`]. Runtimes name a container's cgroup after its id, 64 hexadecimal
//! digits, plain (`/docker/ID`, `/kubepods/burstable/podUID/ID`), with a word and `.scope` around it (`docker-ID.scope`,
//! `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`), or with colons (`SLICE:cri-containerd:ID`, where runc
//! was given systemd's form without systemd). Names of other forms are no container's, nor are those of the programs that
//! hold one (`crio-conmon-ID.scope`, `libpod-conmon-ID.scope`): these run on the machine.

use std::fs::File;
use std::io::Read as _;

use super::asked;

/// Digits of a container's id.
const ID_DIGITS: usize = 64;

/// What stands before the id in the cgroup of a container's conmon.
const HOLDER: &str = "conmon-";

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
        let id = part.rsplit(['-', ':']).next()?;
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is_id = id.len() == ID_DIGITS && id.bytes().all(is_digit);
        let is_holder = part.strip_suffix(id)?.ends_with(HOLDER);
        (is_id && !is_holder).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_container_is_known_by_the_names_that_runtimes_give_its_cgroup() {
        let id = "0123456789abcdef".repeat(4);
        let of_user = "/user.slice/user-1000.slice/user@1000.service/user.slice";
        let burstable =
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6c1a_44.slice";
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            // Podman, root's: by systemd, without it, in a pod, and in the cgroup of a unit (`--cgroups=split`).
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/libpod_parent/libpod-{id}"),
            format!(
                "/machine.slice/machine-libpod_pod_{}.slice/libpod-{id}.scope",
                id.replace('0', "f")
            ),
            format!("/system.slice/vllm.service/libpod-payload-{id}"),
            // Without root: Podman, Docker and nerdctl.
            format!("{of_user}/libpod-{id}.scope/container"),
            format!("{of_user}/docker-{id}.scope"),
            format!("{of_user}/nerdctl-{id}.scope"),
            format!("/default/{id}"),
            format!("/system.slice/nerdctl-{id}.scope"),
            // The kubelet's `cgroupfs` driver, and its `systemd` one, with containerd, CRI-O and Docker; and in kind's nodes.
            format!("/kubepods/burstable/pod6c1a-44/{id}"),
            format!("/kubepods/pod6c1a-44/crio-{id}"),
            format!("{burstable}/cri-containerd-{id}.scope"),
            format!("{burstable}/crio-{id}.scope/nested/app"),
            format!("{burstable}/docker-{id}.scope"),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod6c1a_44.slice/cri-containerd-{id}.scope"
            ),
            // containerd without `SystemdCgroup`, under a kubelet with the `systemd` driver.
            format!(
                "/system.slice/containerd.service/kubepods-burstable-pod6c1a_44.slice:cri-containerd:{id}"
            ),
            // As one sees it who is in a cgroup namespace of its own.
            format!("/../../kubepods-burstable-pod6c1a_44.slice/cri-containerd-{id}.scope"),
            format!("/../cri-containerd-{id}.scope"),
        ] {
            assert_eq!(container(&path), Some(id.as_str()), "{path}");
        }
        let upper = id.to_uppercase();
        let holders = ["machine.slice/libpod-conmon", "kubepods.slice/crio-conmon"];
        let [podman, cri_o] = holders.map(|name| format!("/{name}-{id}.scope"));
        let of_pod = format!("/machine.slice/machine-libpod_pod_{id}.slice");
        for path in [
            "/",
            "/user.slice/user-1000.slice/session-3.scope",
            "/system.slice/vllm.service/supervisor",
            &upper,
            &id[1..],
            &podman,
            &cri_o,
            &of_pod,
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
