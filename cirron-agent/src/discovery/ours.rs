//! Which processes are the agent's own: itself, and those of its program, which ship.
//!
//! An agent that watched what ships would write of each upload, and upload that.

use std::os::unix::fs::MetadataExt as _;

use super::asked;

/// Whether it runs this program, as this agent or another one.
pub fn is_ours(tgid: u32) -> bool {
    asked();
    let program = |tgid: &str| {
        let meta = std::fs::metadata(format!("/proc/{tgid}/exe")).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    tgid == std::process::id() || {
        let its = program(&tgid.to_string());
        its.is_some() && its == program("self")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_of_our_program_is_ours_and_another_is_not() {
        assert!(is_ours(std::process::id()));
        let mut sleep = Command::new("sleep").arg("100").spawn().unwrap();
        assert!(!is_ours(sleep.id()));
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        // It lists its tests, and then waits for somebody to read them.
        let mut again = Command::new("/proc/self/exe")
            .args(["--list"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let is = is_ours(again.id());
        let had_ended = again.try_wait().unwrap().is_some();
        assert!(is || had_ended);
        drop(again.stdout.take());
        again.wait().unwrap();
    }
}
