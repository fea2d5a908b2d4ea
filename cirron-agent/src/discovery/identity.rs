//! A process as itself, not as a number that will be given away again.

use procfs::process::{Process, Stat};

use super::asked;

/// A pid and when its process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Thread group id.
    pub tgid: u32,
    /// Clock ticks from boot to its start (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
}

impl Identity {
    /// Of the process that has this number now; `None` where there is none, or only a zombie.
    pub fn read(tgid: u32) -> Option<Identity> {
        let process = open(tgid)?;
        let stat = process.stat().ok()?;
        runs(&process, &stat).then_some(Identity {
            tgid,
            start_ticks: stat.starttime,
        })
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        Identity::read(self.tgid) == Some(*self)
    }
}

/// Its procfs directory.
pub(crate) fn open(tgid: u32) -> Option<Process> {
    asked();
    Process::new(i32::try_from(tgid).ok()?).ok()
}

/// A main thread may end (and show as a zombie) while the others go on.
pub(crate) fn runs(process: &Process, stat: &Stat) -> bool {
    let ended = matches!(stat.state, 'Z' | 'X' | 'x');
    !ended || process.tasks().is_ok_and(|tasks| tasks.count() > 1)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::process::Command;

    #[test]
    fn a_zombie_is_no_longer_alive() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let identity = Identity::read(child.id()).unwrap();
        assert!(identity.is_alive());
        child.kill().unwrap();
        for _ in 0..200 {
            if !identity.is_alive() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(!identity.is_alive());
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn a_reused_number_is_another_process() {
        let mut identity = Identity::read(std::process::id()).unwrap();
        identity.start_ticks -= 1;
        assert!(!identity.is_alive());
    }
}
