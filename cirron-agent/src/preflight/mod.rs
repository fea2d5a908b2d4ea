//! What must hold before the agent can attach, each with its fix.
//!
//! A check has three answers: a fact that cannot be seen is unknown, not missing, and is left to
//! the attempt itself. All checks are made, so that all that is missing is said at once.

pub mod host;
pub mod report;
pub mod target;

/// The answer of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds.
    Ok,
    /// It does not: attaching would fail.
    Missing,
    /// It cannot be seen from here.
    Unknown,
}

/// What a check is about; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The machine and our rights on it.
    Host,
    /// A process that was named.
    Target,
}

/// One check, made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked for.
    pub name: String,
    /// The answer.
    pub answer: Answer,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where it holds.
    pub fix: String,
    /// What it is about.
    pub subject: Subject,
}

impl Check {
    /// The fix is dropped where nothing needs fixing.
    pub fn new(
        subject: Subject,
        name: impl Into<String>,
        answer: Answer,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Check {
        let fix = if answer == Answer::Ok {
            String::new()
        } else {
            fix.into()
        };
        Check {
            name: name.into(),
            answer,
            found: found.into(),
            fix,
            subject,
        }
    }
}

/// All checks: the host's, then each target's.
pub fn all(pids: &[u32]) -> Vec<Check> {
    let mut checks = host::checks();
    checks.extend(pids.iter().map(|pid| target::check(*pid)));
    checks
}
