//! Why nothing could be attached.

use super::verdict::Failure;

/// The place of a probe, and why the kernel refused it there.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// ELF name of the program.
    pub name: &'static str,
    /// Where it was to stand.
    pub place: String,
    /// Why it does not.
    pub failure: Failure,
}

/// Why nothing could be attached; its text says the missing fact and, on its own line, the fix.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel's types cannot be read.
    #[error(
        "cannot read the kernel's types at {path}: {why}\n  \
         use a kernel built with CONFIG_DEBUG_INFO_BTF=y (every major distribution's is)"
    )]
    Types {
        /// Where they should be.
        path: &'static str,
        /// What is wrong with them.
        why: String,
    },
    /// A structure of the kernel is not as we know it.
    #[error(
        "this kernel's `struct {owner}` has no member `{member}`\n  \
         please report the kernel version (uname -r)"
    )]
    Member {
        /// The structure.
        owner: String,
        /// What it lacks.
        member: String,
    },
    /// There is no memory for the maps.
    #[error("{what}\n  {advice}")]
    Memory {
        /// What needed it.
        what: String,
        /// Which limit it is, and what is needed.
        advice: String,
    },
    /// The object, or a map of it, was refused.
    #[error("{what}: {failure}\n  run `cirron-agent doctor` and see what is missing")]
    Object {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        failure: Failure,
    },
    /// The object is not the one that this agent knows.
    #[error("the eBPF object has no usable map {0}\n  build the agent again")]
    Map(&'static str),
    /// Probes without which nothing is seen.
    #[error(
        "the kernel refused: {}\n  run `cirron-agent doctor` as root and see what is missing",
        listed(.0)
    )]
    Probes(Vec<Refusal>),
}

fn listed(refusals: &[Refusal]) -> String {
    let one = |r: &Refusal| format!("{} ({}): {}", r.name, r.place, r.failure);
    refusals.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_probe_is_named_and_the_fix_has_its_own_line() {
        let refusal = |name, place: &str| Refusal {
            name,
            place: place.to_owned(),
            failure: Failure::from_error(&std::io::Error::from_raw_os_error(libc::EPERM)),
        };
        let error = LoadError::Probes(vec![refusal("a", "tp_btf/x"), refusal("b", "tp_btf/y")]);
        let text = error.to_string();
        let (fact, fix) = text.split_once("\n  ").unwrap_or_default();
        let not = "Operation not permitted (os error 1)";
        assert_eq!(
            fact,
            format!("the kernel refused: a (tp_btf/x): {not}; b (tp_btf/y): {not}")
        );
        assert!(fix.contains("doctor"));
    }
}
