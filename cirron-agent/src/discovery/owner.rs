//! Who typed `sudo`: files that the agent makes belong to that user.

use std::fs::File;
use std::io;

/// The user that files are handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `SUDO_UID`
    pub uid: u32,
    /// `SUDO_GID`
    pub gid: u32,
}

impl Owner {
    /// Of `SUDO_UID` and `SUDO_GID`, where we are root and sudo set both; else nobody.
    pub fn of_sudo(is_root: bool, env: impl Fn(&str) -> Option<String>) -> Option<Owner> {
        if !is_root {
            return None;
        }
        let number = |name| env(name)?.parse().ok();
        Some(Owner {
            uid: number("SUDO_UID")?,
            gid: number("SUDO_GID")?,
        })
    }

    /// Of this process.
    pub fn of_this_process() -> Option<Owner> {
        Owner::of_sudo(rustix::process::geteuid().is_root(), |name| {
            std::env::var(name).ok()
        })
    }

    /// Hands an open file over.
    pub fn take_file(self, file: &File) -> io::Result<()> {
        std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "SUDO_UID" => Some("1000".into()),
            "SUDO_GID" => Some("1001".into()),
            _ => None,
        }
    }

    #[test]
    fn the_owner_is_whoever_typed_sudo() {
        assert_eq!(
            Owner::of_sudo(true, env),
            Some(Owner {
                uid: 1000,
                gid: 1001
            })
        );
    }

    #[test]
    fn without_root_or_without_sudo_there_is_no_owner() {
        assert_eq!(Owner::of_sudo(false, env), None);
        assert_eq!(Owner::of_sudo(true, |_| None), None);
        assert_eq!(Owner::of_sudo(true, |_| Some("x".into())), None);
    }
}
