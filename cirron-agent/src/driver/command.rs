//! What the core thread is asked for while a capture runs: targets that come and go, and how things stand.
//!
//! ```text
//! Commands (any thread) --Command, bounded--> core --answer--> who asked
//! ```
//! This is the one way to make a process a target: `--pid` and `run` go it at their start. The core looks for commands
//! once for each batch of the ring, 25 ms apart at most. Whoever asks reads procfs himself: the core never does so for
//! a command.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use cirron_core::engine::ProcessFacts;
use cirron_core::rules::Rules;
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

/// A process that is to be a target.
#[derive(Debug)]
pub(super) enum Newcomer {
    /// Somebody named it: its session begins at once.
    Named(ProcessFacts),
    /// The same of a command that is held before its exec, behind which its libraries are looked at.
    Held(ProcessFacts),
    /// A rule chose it, and calls it so: its session begins with its first exchange.
    Chosen(ProcessFacts, Option<String>),
    /// A descendant of one. Its facts are read when it says something.
    Found {
        tgid: u32,
        /// The target that it descends from.
        root: u32,
    },
}

impl Newcomer {
    pub(super) fn tgid(&self) -> u32 {
        match self {
            Newcomer::Named(facts) | Newcomer::Chosen(facts, _) | Newcomer::Held(facts) => {
                facts.tgid
            }
            Newcomer::Found { tgid, .. } => *tgid,
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// Make processes targets: all of them, or none. Of one that is a target already `policy` holds from now on.
    Add {
        newcomers: Vec<Newcomer>,
        policy: Policy,
        reply: Reply<anyhow::Result<()>>,
    },
    /// Which targets are, or descend from, one that a rule chose.
    Family { root: u32, reply: Reply<Vec<u32>> },
    /// It is a target no more. The answer comes when its session is closed; whether it was one.
    Release { tgid: u32, reply: Reply<bool> },
    /// End the capture when no target is left, at once if none is. Until this is asked for it waits for others.
    EndWithLastTarget { reply: Reply<()> },
    /// Which processes are targets.
    Targets { reply: Reply<Vec<u32>> },
    /// The counts so far.
    Statistics { reply: Reply<CoreReport> },
    /// From now on this decides which exchanges are written, and what else of them.
    SetRules { rules: Rules, reply: Reply<()> },
    /// Exchanges that go on: the oldest `at_most`.
    OpenScopes { at_most: usize, reply: Reply<Rows> },
}

/// Why something was not done.
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
    /// They cannot be targets, and why; none of them is one now that was none before.
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
impl Commands {
    /// Makes processes that run targets, and their descendants with `policy.children`: all of them, or none. Gives
    /// those descendants. Where one is a target already, `policy` is what is captured of it from now on.
    ///
    /// # Errors
    /// Where the kernel side refuses one, or nobody answers.
    pub fn add(
        &self,
        named: Vec<ProcessFacts>,
        policy: Policy,
        processes: &dyn Processes,
    ) -> Result<Vec<u32>, Unanswered> {
        let named = named.into_iter().map(Newcomer::Named);
        self.add_all(named.collect(), policy, processes)
    }

    /// Makes processes targets that a rule chose and calls so, and their descendants with `policy.children`: all of them, or
    /// none. The session of each begins with its first exchange. Where one is a target already, it is called so from now on.
    ///
    /// # Errors
    /// As [`Commands::add`].
    pub fn add_chosen(
        &self,
        chosen: Vec<(ProcessFacts, Option<String>)>,
        policy: Policy,
        processes: &dyn Processes,
    ) -> Result<(), Unanswered> {
        let chosen = chosen
            .into_iter()
            .map(|(facts, name)| Newcomer::Chosen(facts, name));
        self.add_all(chosen.collect(), policy, processes).map(drop)
    }

    /// Ends that: of the target and of its descendants.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn release_chosen(&self, root: u32) -> Result<(), Unanswered> {
        for tgid in self.ask(|reply| Command::Family { root, reply })? {
            self.release(tgid)?;
        }
        Ok(())
    }

    fn add_all(
        &self,
        newcomers: Vec<Newcomer>,
        policy: Policy,
        processes: &dyn Processes,
    ) -> Result<Vec<u32>, Unanswered> {
        let before = self.targets()?;
        let roots: Vec<u32> = newcomers.iter().map(Newcomer::tgid).collect();
        self.ask_to_add(newcomers, policy)?;
        let mut found = Vec::new();
        if policy.children {
            let added = self.add_descendants(&roots, policy, processes, &mut found);
            if let Err(e) = added {
                let all = roots.into_iter().chain(found);
                for tgid in all.filter(|tgid| !before.contains(tgid)) {
                    self.release(tgid)?;
                }
                return Err(e);
            }
        }
        Ok(found)
    }

    /// Makes a command a target that is held before its exec.
    ///
    /// # Errors
    /// As [`Commands::add`].
    pub fn add_held(&self, facts: ProcessFacts, policy: Policy) -> Result<(), Unanswered> {
        self.ask_to_add(vec![Newcomer::Held(facts)], policy)
    }

    /// Adds the descendants of processes that are targets, until there are no new ones.
    ///
    /// A target is added before its children are listed: a child forked before that is in the list, one forked after
    /// it is added by the kernel side. Each new child may have had children of its own before it was added.
    fn add_descendants(
        &self,
        roots: &[u32],
        policy: Policy,
        processes: &dyn Processes,
        found: &mut Vec<u32>,
    ) -> Result<(), Unanswered> {
        let mut known: BTreeSet<u32> = self.targets()?.into_iter().collect();
        loop {
            let all = processes.descendants(roots).into_iter();
            let new: BTreeMap<u32, u32> = all.filter(|(tgid, _)| !known.contains(tgid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            let newcomer = |(tgid, root): (&u32, &u32)| Newcomer::Found {
                tgid: *tgid,
                root: *root,
            };
            self.ask_to_add(new.iter().map(newcomer).collect(), policy)?;
            found.extend(new.keys());
            known.extend(new.into_keys());
        }
    }

    fn ask_to_add(&self, newcomers: Vec<Newcomer>, policy: Policy) -> Result<(), Unanswered> {
        let answer = self.ask(|reply| Command::Add {
            newcomers,
            policy,
            reply,
        })?;
        answer.map_err(Unanswered::Refused)
    }

    /// Ends that: its session is closed when this returns. `false`: it was no target.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn release(&self, tgid: u32) -> Result<bool, Unanswered> {
        self.ask(|reply| Command::Release { tgid, reply })
    }

    /// The capture ends with its last target. Until this is asked for it waits for others to be added.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn end_with_last_target(&self) -> Result<(), Unanswered> {
        self.ask(|reply| Command::EndWithLastTarget { reply })
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

    /// From now on this decides which exchanges are written, and what else of them. It holds for those that begin after
    /// this returns, at the latest.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn set_rules(&self, rules: Rules) -> Result<(), Unanswered> {
        self.ask(|reply| Command::SetRules { rules, reply })
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
