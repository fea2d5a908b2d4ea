//! What became of a probe, and why: typed where it is found out, and said in words at the edge.
//!
//! Stands between aya, whose errors it takes apart, and all that is loaded (`probes`, `check`, `uprobes`). It promises that
//! the errno and what the verifier said last are kept. It decides nothing: what is missed without a
//! probe is the table's to know.

use std::error::Error;
use std::fmt;
use std::io;

use aya::programs::ProgramError;
use aya_obj::btf::BtfError;

/// `ENOTSUPP` of the kernel's own `errno.h`, which it lets out at some places.
const ENOTSUPP: i32 = 524;

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands at its place.
    Attached,
    /// The kernel took it; it is attached where a target needs it, or run by the agent.
    Loaded,
    /// This kernel has nothing that it could see.
    NotApplicable,
    /// This kernel lacks what it needs.
    Unsupported,
    /// We may not.
    NotPermitted,
    /// The kernel refuses it, and should not.
    Broken,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Attached => "attached",
            Verdict::Loaded => "loaded",
            Verdict::NotApplicable => "not applicable",
            Verdict::Unsupported => "unsupported by this kernel",
            Verdict::NotPermitted => "not permitted",
            Verdict::Broken => "broken",
        })
    }
}

/// The verdict on one row of the probe table, or on the uprobes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeVerdict {
    /// ELF name of the program; `uprobes` for all of those.
    pub name: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// Why, where it is not attached; how, where it will be or where that is not as usual.
    pub detail: String,
}

/// Why the kernel refused a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What that makes of the probe.
    pub verdict: Verdict,
    /// The system's number for it, where it gave one.
    pub errno: Option<i32>,
    /// What the verifier said last, where it said anything.
    pub verifier: Option<String>,
    text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Failure {
    /// A fault of ours: the object lacks something.
    pub(super) fn in_object(text: impl Into<String>) -> Failure {
        Failure {
            verdict: Verdict::Broken,
            errno: None,
            verifier: None,
            text: text.into(),
        }
    }

    /// Takes an error and its causes apart.
    pub(super) fn from_error(error: &(dyn Error + 'static)) -> Failure {
        let mut texts = Vec::new();
        let (mut errno, mut verifier, mut is_missing) = (None, None, false);
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(ProgramError::LoadError { verifier_log, .. }) = error.downcast_ref() {
                verifier = last_word(&verifier_log.to_string());
                texts.push(match &verifier {
                    Some(line) => format!("the verifier says: {line}"),
                    None => "it cannot be loaded".to_owned(),
                });
            } else {
                texts.push(error.to_string());
            }
            match error.downcast_ref() {
                // These two stand for their cause, and do not give it.
                Some(ProgramError::Btf(BtfError::UnknownBtfTypeName { .. })) => is_missing = true,
                Some(ProgramError::IOError(io)) => errno = io.raw_os_error(),
                Some(_) | None => {}
            }
            if let Some(io) = error.downcast_ref::<io::Error>() {
                errno = io.raw_os_error();
            }
            cause = error.source();
        }
        // Some errors say what their cause says.
        texts.dedup();
        Failure {
            verdict: verdict(errno, verifier.is_some(), is_missing),
            errno,
            verifier,
            text: texts.join(": "),
        }
    }

    /// As the verdict on the probe `name`.
    pub(super) fn on(self, name: &'static str) -> ProbeVerdict {
        ProbeVerdict {
            name,
            verdict: self.verdict,
            detail: self.text,
        }
    }
}

/// `was_verified`: the verifier said something. Its own refusals have the number of a missing right.
fn verdict(errno: Option<i32>, was_verified: bool, is_missing: bool) -> Verdict {
    match errno {
        _ if is_missing => Verdict::Unsupported,
        Some(libc::EPERM) => Verdict::NotPermitted,
        Some(libc::EACCES) if !was_verified => Verdict::NotPermitted,
        Some(libc::ENOENT | libc::EOPNOTSUPP | ENOTSUPP) => Verdict::Unsupported,
        Some(_) | None => Verdict::Broken,
    }
}

/// The last line of a verifier's log that is no statistics.
fn last_word(log: &str) -> Option<String> {
    const STATISTICS: [&str; 3] = ["processed ", "verification time ", "stack depth "];
    log.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !STATISTICS.iter().any(|s| line.starts_with(s)))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_verifier_s_reason_stands_before_its_statistics() {
        // Of Linux 6.1, a program that needed too much.
        let log = "func#0 @0\n0: R1=ctx(off=0,imm=0) R10=fp0\n\
            combined stack size of 5 calls is 544. Too large\n\
            verification time 67278431 usec\nstack depth 160+16+16\n\
            processed 203993 insns (limit 1000000) max_states_per_insn 30\n";
        let want = "combined stack size of 5 calls is 544. Too large";
        assert_eq!(last_word(log).as_deref(), Some(want));
        assert_eq!(last_word("processed 3 insns\n\n"), None);
        assert_eq!(last_word(""), None);
    }

    #[test]
    fn an_error_is_taken_apart_down_to_its_number() {
        let failure = Failure::from_error(&Outer(io::Error::from_raw_os_error(libc::EPERM)));
        assert_eq!(failure.verdict, Verdict::NotPermitted);
        assert_eq!(failure.errno, Some(libc::EPERM));
        assert_eq!(
            failure.to_string(),
            "outer: Operation not permitted (os error 1)"
        );
        let missing = BtfError::UnknownBtfTypeName {
            type_name: "btf_trace_x".to_owned(),
        };
        let failure = Failure::from_error(&ProgramError::from(missing));
        assert_eq!(failure.verdict, Verdict::Unsupported);
        assert_eq!(failure.to_string().matches("btf_trace_x").count(), 1);
        let io = io::Error::from_raw_os_error(libc::ENOENT);
        let failure = Failure::from_error(&ProgramError::from(io));
        assert_eq!(failure.errno, Some(libc::ENOENT));
    }

    #[test]
    fn a_refusal_of_the_verifier_is_no_missing_right() {
        for (errno, was_verified, is_missing, want) in [
            (Some(libc::EACCES), true, false, Verdict::Broken),
            (Some(libc::EACCES), false, false, Verdict::NotPermitted),
            (Some(libc::EPERM), true, false, Verdict::NotPermitted),
            (Some(libc::EINVAL), true, false, Verdict::Broken),
            (Some(libc::ENOENT), false, false, Verdict::Unsupported),
            (Some(ENOTSUPP), false, false, Verdict::Unsupported),
            (None, false, true, Verdict::Unsupported),
            (None, false, false, Verdict::Broken),
        ] {
            assert_eq!(verdict(errno, was_verified, is_missing), want, "{errno:?}");
        }
    }
}
