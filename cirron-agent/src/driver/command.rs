//! What the core thread is asked for while a capture runs: targets that come and go, and how things stand.
//!
//! ```text
//! Commands (any thread) --Command, bounded--> core --answer--> who asked
//! ```
//! The core looks for commands once for each batch of the ring, 25 ms apart at most. Whoever asks reads procfs
//! himself: the core never does so for a command.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use cirron_core::engine::ProcessFacts;
use cirron_core::scope::Rows;

use super::core::CoreReport;
use crate::discovery::Processes;
use crate::kernel::Policy;

/// Commands that wait. People and a status socket ask, a few times a second at most.
const MAX_COMMANDS: usize = 64;
/// Time that an answer may take: a slow spool makes the core wait for that long, and then something is wrong.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Where an answer goes. Who asked may be gone.
pub(super) type Reply<T> = SyncSender<T>;

/// What is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// Make a process a target. `explicit` in its facts: somebody named it.
    Add {
        facts: ProcessFacts,
        policy: Policy,
        reply: Reply<anyhow::Result<()>>,
    },
    /// It is a target no more. The answer comes when its session is closed; whether it was one.
    Release { tgid: u32, reply: Reply<bool> },
    /// Capture something else of a target from now on. The answer: whether it is one.
    SetPolicy {
        tgid: u32,
        policy: Policy,
        reply: Reply<anyhow::Result<bool>>,
    },
    /// Which processes are targets.
    Targets { reply: Reply<Vec<u32>> },
    /// The counts so far.
    Statistics { reply: Reply<CoreReport> },
    /// Exchanges that go on: the oldest `at_most`.
    OpenScopes { at_most: usize, reply: Reply<Rows> },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The capture is over.
    #[error("the capture has ended")]
    Ended,
    /// Too many others ask.
    #[error("{MAX_COMMANDS} commands wait already\n  ask again later")]
    Busy,
    /// The core thread waits for something else.
    #[error("no answer within {ANSWER_LIMIT:?}\n  see whether the disk of the spool is slow")]
    Late,
    /// The kernel side refused.
    #[error("{0:#}")]
    Refused(anyhow::Error),
}

/// Gives commands. Any thread may have one.
#[derive(Clone, Debug)]
pub struct Commands(SyncSender<Command>);

/// Both ends.
pub(super) fn channel() -> (Commands, Receiver<Command>) {
    let (give, take) = sync_channel(MAX_COMMANDS);
    (Commands(give), take)
}

/// Targets that come and go.
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "who adds and releases targets at run time is the daemon's rules, which are to come"
    )
)]
impl Commands {
    /// Makes a process a target, and its descendants with `policy.children`. Gives the number of those.
    ///
    /// # Errors
    /// Where the kernel side refuses, or nobody answers.
    pub fn add(
        &self,
        facts: ProcessFacts,
        policy: Policy,
        processes: &dyn Processes,
    ) -> Result<usize, Unanswered> {
        let tgid = facts.tgid;
        let add = |facts| {
            let answer = self.ask(|reply| Command::Add {
                facts,
                policy,
                reply,
            })?;
            answer.map_err(Unanswered::Refused)
        };
        let explicit = true;
        add(ProcessFacts { explicit, ..facts })?;
        if !policy.children {
            return Ok(0);
        }
        add_descendants(&[tgid], self.targets()?, processes, |tgid| {
            let facts = processes.facts(tgid).unwrap_or_default();
            add(ProcessFacts { tgid, ..facts })
        })
    }

    /// Ends that: its session is closed when this returns. `false`: it was no target.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn release(&self, tgid: u32) -> Result<bool, Unanswered> {
        self.ask(|reply| Command::Release { tgid, reply })
    }

    /// Captures something else of a target. `false`: it is none.
    ///
    /// # Errors
    /// Where the kernel side refuses, or nobody answers.
    pub fn set_policy(&self, tgid: u32, policy: Policy) -> Result<bool, Unanswered> {
        let answer = self.ask(|reply| Command::SetPolicy {
            tgid,
            policy,
            reply,
        })?;
        answer.map_err(Unanswered::Refused)
    }

    /// Which processes are targets.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn targets(&self) -> Result<Vec<u32>, Unanswered> {
        self.ask(|reply| Command::Targets { reply })
    }
}

impl Commands {
    /// The counts so far.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn statistics(&self) -> Result<CoreReport, Unanswered> {
        self.ask(|reply| Command::Statistics { reply })
    }

    /// Exchanges that go on now: the oldest `at_most`, and how many others there are.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn open_scopes(&self, at_most: usize) -> Result<Rows, Unanswered> {
        self.ask(|reply| Command::OpenScopes { at_most, reply })
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Unanswered> {
        let (reply, answer) = sync_channel(1);
        self.0.try_send(command(reply)).map_err(|e| match e {
            TrySendError::Full(_) => Unanswered::Busy,
            TrySendError::Disconnected(_) => Unanswered::Ended,
        })?;
        answer.recv_timeout(ANSWER_LIMIT).map_err(|e| match e {
            RecvTimeoutError::Timeout => Unanswered::Late,
            RecvTimeoutError::Disconnected => Unanswered::Ended,
        })
    }
}

/// Adds the descendants of processes that are targets already, until there are no new ones. `known` are targets.
///
/// A target is added before its children are listed: a child forked before that is in the list, one forked after
/// it is added by the kernel side. Each new child may have had children of its own before it was added.
pub(super) fn add_descendants<E>(
    roots: &[u32],
    known: Vec<u32>,
    processes: &dyn Processes,
    mut add: impl FnMut(u32) -> Result<(), E>,
) -> Result<usize, E> {
    let mut known: BTreeSet<u32> = known.into_iter().collect();
    let mut added = 0;
    loop {
        let mut found = BTreeSet::new();
        for root in roots {
            found.extend(processes.descendants(*root));
        }
        found.retain(|tgid| !known.contains(tgid));
        if found.is_empty() {
            return Ok(added);
        }
        for tgid in found {
            add(tgid)?;
            known.insert(tgid);
            added += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_bound_and_past_the_end_one_is_told_so() {
        let (commands, waiting) = channel();
        for _ in 0..MAX_COMMANDS {
            let (reply, _) = sync_channel(1);
            let sent = commands.0.try_send(Command::Targets { reply });
            assert!(sent.is_ok());
        }
        assert!(matches!(commands.targets(), Err(Unanswered::Busy)));
        drop(waiting);
        assert!(matches!(commands.targets(), Err(Unanswered::Ended)));
    }
}
