//! Checks of the machine and of our rights on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Answer, Check, Subject};

/// Inode of the initial pid namespace (`PROC_PID_INIT_INO` of the kernel's `proc_ns.h`).
const INITIAL_PID_NS: u64 = 0xEFFF_FFFC;

/// Pointers as arguments of global functions came with 5.12, the ring buffer with 5.8.
const OLDEST_KERNEL: (u32, u32) = (5, 12);

const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;
const CAP_CHECKPOINT_RESTORE: u32 = 40;

/// Where the kernel's types are.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// All of them.
pub fn checks() -> Vec<Check> {
    let caps = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| effective_caps(&text));
    vec![
        architecture(std::env::consts::ARCH),
        kernel_version(rustix::system::uname().release().to_string_lossy().as_ref()),
        bpf_rights(caps),
        ptrace_right(caps),
        mapped_right(caps),
        btf(Path::new(BTF)),
        lockdown(
            fs::read_to_string("/sys/kernel/security/lockdown")
                .ok()
                .as_deref(),
        ),
        pid_namespace(
            fs::metadata("/proc/self/ns/pid")
                .ok()
                .map(|meta| meta.ino()),
        ),
        ring_buffer(),
    ]
}

fn host(name: &str, answer: Answer, found: impl Into<String>, fix: &str) -> Check {
    Check::new(Subject::Host, name, answer, found, fix)
}

fn answer(holds: bool) -> Answer {
    if holds { Answer::Ok } else { Answer::Missing }
}

fn architecture(arch: &str) -> Check {
    let fix = "run on an x86_64 machine: the arguments of a call are read from its registers";
    host("x86_64", answer(arch == "x86_64"), arch, fix)
}

fn kernel_version(release: &str) -> Check {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse::<u32>().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    let answer = version.map_or(Answer::Unknown, |version| answer(version >= OLDEST_KERNEL));
    let (major, minor) = OLDEST_KERNEL;
    host(
        &format!("kernel {major}.{minor} or later"),
        answer,
        release,
        "boot a newer kernel: the verifier of older ones refuses the programs' functions",
    )
}

/// `CapEff` of `/proc/self/status`.
fn effective_caps(status: &str) -> Option<u64> {
    let hex = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

fn has(caps: u64, cap: u32) -> bool {
    caps >> cap & 1 == 1
}

fn bpf_rights(caps: Option<u64>) -> Check {
    let name = "right to load BPF programs";
    let fix = "run it with sudo, or grant CAP_BPF and CAP_PERFMON";
    let Some(caps) = caps else {
        return host(name, Answer::Unknown, "capabilities cannot be read", fix);
    };
    let (found, holds) = match (
        has(caps, CAP_SYS_ADMIN),
        has(caps, CAP_BPF),
        has(caps, CAP_PERFMON),
    ) {
        (true, _, _) => ("CAP_SYS_ADMIN", true),
        (false, true, true) => ("CAP_BPF and CAP_PERFMON", true),
        (false, true, false) => ("CAP_BPF without CAP_PERFMON", false),
        (false, false, true) => ("CAP_PERFMON without CAP_BPF", false),
        (false, false, false) => ("no CAP_BPF, no CAP_PERFMON, no CAP_SYS_ADMIN", false),
    };
    host(name, answer(holds), found, fix)
}

fn ptrace_right(caps: Option<u64>) -> Check {
    let name = "right to read other users' processes";
    let fix = "run it with sudo, or grant CAP_SYS_PTRACE; without it a process of another user \
               shows no environment and no program";
    match caps.map(|caps| has(caps, CAP_SYS_PTRACE)) {
        Some(true) => host(name, Answer::Ok, "CAP_SYS_PTRACE", fix),
        // Not needed for processes of our own user.
        Some(false) => host(name, Answer::Unknown, "no CAP_SYS_PTRACE", fix),
        None => host(name, Answer::Unknown, "capabilities cannot be read", fix),
    }
}

/// HTTPS only, and most files are found by their paths without it.
fn mapped_right(caps: Option<u64>) -> Check {
    let name = "right to open the files that a process has mapped";
    let fix = "run it with sudo, or grant CAP_CHECKPOINT_RESTORE; without it HTTPS is not read where a \
               TLS library was deleted or replaced since the process started";
    let holds = |caps| has(caps, CAP_CHECKPOINT_RESTORE) || has(caps, CAP_SYS_ADMIN);
    match caps.map(holds) {
        Some(true) => host(name, Answer::Ok, "yes", fix),
        // Not needed for most processes.
        Some(false) => host(name, Answer::Unknown, "no CAP_CHECKPOINT_RESTORE", fix),
        None => host(name, Answer::Unknown, "capabilities cannot be read", fix),
    }
}

fn btf(path: &Path) -> Check {
    let found = if path.exists() {
        path.display().to_string()
    } else {
        "none".to_owned()
    };
    let fix = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (those of the distributions are), \
               and mount /sys";
    host(
        "types of the running kernel (BTF)",
        answer(path.exists()),
        found,
        fix,
    )
}

/// The mode stands in brackets: `none [integrity] confidentiality`.
fn lockdown(text: Option<&str>) -> Check {
    let name = "kernel lockdown allows reading memory";
    let fix = "boot with lockdown=integrity or lockdown=none: in confidentiality mode BPF programs \
               may not read memory";
    let mode = text
        .and_then(|text| text.split_once('[')?.1.split_once(']'))
        .map(|(mode, _)| mode);
    match mode {
        Some(mode) => host(name, answer(mode != "confidentiality"), mode, fix),
        None => host(
            name,
            Answer::Unknown,
            "no lockdown file, or securityfs is not mounted",
            fix,
        ),
    }
}

fn pid_namespace(inode: Option<u64>) -> Check {
    let name = "initial pid namespace";
    let fix = "run it on the host, or start the container with --pid=host: the kernel side sees \
               the host's process numbers";
    match inode {
        Some(INITIAL_PID_NS) => host(name, Answer::Ok, "yes", fix),
        Some(inode) => host(
            name,
            Answer::Missing,
            format!("another one, pid:[{inode}]"),
            fix,
        ),
        None => host(
            name,
            Answer::Unknown,
            "/proc/self/ns/pid cannot be read",
            fix,
        ),
    }
}

fn ring_buffer() -> Check {
    let name = "BPF ring buffer";
    let fix = "boot kernel 5.12 or later";
    match aya::sys::is_map_supported(aya::maps::MapType::RingBuf) {
        Ok(true) => host(name, Answer::Ok, "supported", fix),
        Ok(false) => host(name, Answer::Missing, "not supported", fix),
        Err(e) => host(name, Answer::Unknown, format!("cannot be tried: {e}"), fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpf_needs_sys_admin_or_bpf_with_perfmon() {
        let bit = |cap: u32| 1u64 << cap;
        for (caps, want) in [
            (Some(bit(CAP_SYS_ADMIN)), Answer::Ok),
            (Some(bit(CAP_BPF) | bit(CAP_PERFMON)), Answer::Ok),
            (Some(bit(CAP_BPF)), Answer::Missing),
            (Some(bit(CAP_PERFMON)), Answer::Missing),
            (Some(0), Answer::Missing),
            (None, Answer::Unknown),
        ] {
            assert_eq!(bpf_rights(caps).answer, want, "{caps:?}");
        }
        assert_eq!(
            effective_caps("Name:\tx\nCapEff:\t000001ffffffffff\n"),
            Some(0x1ff_ffff_ffff)
        );
    }

    #[test]
    fn only_confidentiality_forbids_reading() {
        assert_eq!(
            lockdown(Some("none [integrity] confidentiality\n")).answer,
            Answer::Ok
        );
        assert_eq!(
            lockdown(Some("[none] integrity confidentiality\n")).answer,
            Answer::Ok
        );
        assert_eq!(
            lockdown(Some("none integrity [confidentiality]\n")).answer,
            Answer::Missing
        );
        assert_eq!(lockdown(None).answer, Answer::Unknown);
        assert_eq!(lockdown(Some("")).answer, Answer::Unknown);
    }

    #[test]
    fn kernels_that_refuse_the_programs_are_too_old() {
        assert_eq!(kernel_version("5.7.19-generic").answer, Answer::Missing);
        assert_eq!(kernel_version("4.18.0-553.el8").answer, Answer::Missing);
        assert_eq!(
            kernel_version("5.10.0-46-cloud-amd64").answer,
            Answer::Missing
        );
        assert_eq!(kernel_version("5.12.0").answer, Answer::Ok);
        assert_eq!(kernel_version("6.18.1+deb").answer, Answer::Ok);
        assert_eq!(kernel_version("odd").answer, Answer::Unknown);
    }

    #[test]
    fn a_container_s_pid_namespace_is_refused() {
        assert_eq!(pid_namespace(Some(4_026_531_836)).answer, Answer::Ok);
        assert_eq!(pid_namespace(Some(4_026_532_000)).answer, Answer::Missing);
        assert_eq!(pid_namespace(None).answer, Answer::Unknown);
    }

    #[test]
    fn every_answer_but_ok_has_a_fix() {
        for check in checks() {
            assert_eq!(
                check.answer == Answer::Ok,
                check.fix.is_empty(),
                "{check:?}"
            );
        }
        assert_eq!(btf(Path::new("/nowhere")).answer, Answer::Missing);
        assert_eq!(architecture("aarch64").answer, Answer::Missing);
    }
}
