//! Exit codes, for scripts. `docs/exit-codes.md` is their documentation.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done. Ctrl-C, SIGTERM, `--duration` and the end of the last target are ordinary ends, and
    /// so is a pipe whose reader has gone.
    Ok,
    /// Something failed while it ran.
    Failure,
    /// The command line is wrong (clap's own code).
    Usage,
    /// Cannot attach: a fact of the machine or a right is missing.
    CannotAttach,
    /// Cannot attach: the machine is fine, but a process that was named is not there.
    NoSuchProcess,
    /// `run`: the command's own code, or 128 + the signal that ended it.
    Command(u8),
}

/// `run`: the command was found but could not be executed, as a shell has it.
pub const NOT_EXECUTABLE: u8 = 126;

/// `run`: no such command, as a shell has it.
pub const NOT_FOUND: u8 = 127;

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::CannotAttach => 3,
            Exit::NoSuchProcess => 4,
            Exit::Command(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_every_code() {
        let text = include_str!("../../../docs/exit-codes.md");
        let all = [
            Exit::Ok,
            Exit::Failure,
            Exit::Usage,
            Exit::CannotAttach,
            Exit::NoSuchProcess,
        ];
        let codes = all
            .map(Exit::code)
            .into_iter()
            .chain([NOT_EXECUTABLE, NOT_FOUND]);
        for code in codes {
            assert!(text.contains(&format!("| {code} |")), "{code}");
        }
    }
}
