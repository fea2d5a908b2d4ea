//! The check of one process that was named.

use std::fs::File;
use std::io::{self, Read};

use object::{FileKind, elf};
use procfs::process::Process;

use super::{Answer, Check, Subject};
use crate::discovery::identity::runs;

/// `PF_KTHREAD` of the kernel's `sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// Whether `pid` can be a target.
pub fn check(pid: u32) -> Check {
    let (answer, found, fix) = look(pid);
    Check::new(
        Subject::Target,
        format!("process {pid}"),
        answer,
        found,
        fix,
    )
}

fn look(pid: u32) -> (Answer, String, String) {
    let missing = |found: &str, fix: &str| (Answer::Missing, found.to_owned(), fix.to_owned());
    if pid == std::process::id() {
        return missing("is this agent", "name the server's pid, not the agent's");
    }
    let process = i32::try_from(pid)
        .ok()
        .and_then(|pid| Process::new(pid).ok());
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let Some((process, stat)) = process.zip(stat) else {
        return missing("no such process", "find it with pgrep -af NAME");
    };
    if !runs(&process, &stat) {
        return missing(
            "has ended (a zombie)",
            "start it again, and name its new pid",
        );
    }
    if stat.flags & PF_KTHREAD != 0 {
        return missing(
            "is a kernel thread",
            "name the pid of a server: pgrep -af NAME",
        );
    }
    if let Ok(status) = process.status()
        && status.tgid != status.pid
    {
        let tgid = status.tgid;
        return missing(
            &format!("is a thread of process {tgid}"),
            &format!("use --pid {tgid}"),
        );
    }
    match elf_class(pid) {
        Ok(FileKind::Elf64) => (Answer::Ok, stat.comm, String::new()),
        Ok(_) => missing(
            "is not a 64-bit program",
            "only 64-bit processes can be watched: their calls have other numbers and layouts",
        ),
        Err(e) => (
            Answer::Unknown,
            format!("{}; its program cannot be read: {e}", stat.comm),
            "run it with sudo".to_owned(),
        ),
    }
}

fn elf_class(pid: u32) -> io::Result<FileKind> {
    let mut head = [0u8; size_of::<elf::FileHeader64<object::Endianness>>()];
    File::open(format!("/proc/{pid}/exe"))?.read_exact(&mut head)?;
    FileKind::parse(&head[..]).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::process::Command;

    #[test]
    fn a_running_program_is_ok() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        // Until the exec is through it is still a copy of this test, 64-bit as well.
        let check = check(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(check.answer, Answer::Ok, "{check:?}");
    }

    #[test]
    fn ourselves_a_missing_pid_a_kernel_thread_and_a_thread_are_refused_each_by_name() {
        let says = |pid: u32, text: &str| {
            let check = check(pid);
            assert_eq!(check.answer, Answer::Missing, "{check:?}");
            assert!(check.found.contains(text), "{check:?}");
            assert!(!check.fix.is_empty());
        };
        says(std::process::id(), "this agent");
        says(u32::MAX, "no such process");
        says(4_194_304 + 1, "no such process");
        if std::fs::read_to_string("/proc/2/comm").is_ok_and(|comm| comm == "kthreadd\n") {
            says(2, "kernel thread");
        }
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = Command::new("true").spawn().unwrap();
        let mut found = String::new();
        for _ in 0..200 {
            found = check(child.id()).found;
            if found.contains("zombie") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        child.wait().unwrap();
        assert!(found.contains("zombie"), "{found}");
    }

    #[test]
    fn a_thread_is_named_with_its_process() {
        // A thread of another process that certainly has some: this test binary's own are ours.
        let (send, recv) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            send.send(rustix::thread::gettid().as_raw_nonzero().get())
                .unwrap();
            let _ = wait.recv();
        });
        let check = check(recv.recv().unwrap() as u32);
        drop(done);
        thread.join().unwrap();
        assert_eq!(check.fix, format!("use --pid {}", std::process::id()));
    }
}
