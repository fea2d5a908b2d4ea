//! What the engine is told of processes, and the libraries in them that cannot be read.
//!
//! ```text
//!          first record           the census tells in time
//! unknown -------------> asked ------------------------------------> told
//!                          | it does not             the answer      ^  | exec
//!                          '---> told what its parent's is, ---------'  '----> asked, keeps what it had
//!                                or nothing; and waits
//! ```
//! A process's facts come before its first record, where the census answers in time. What comes late is given when it
//! comes, as long as the process lives; behind its end it could be of the number's next owner, and is counted.

use std::collections::HashSet;
use std::time::Instant;

use cirron_core::engine::ProcessFacts;
use cirron_core::rules::Problem;

use super::super::census::{Answer, Asked};
use super::super::counts::Counts;
use super::super::unread::Named;
use super::Core;

/// Different problems that are said. One configuration is that of many processes, and has a few.
const MAX_PROBLEMS_SAID: usize = 64;

/// What was said to be wrong in targets' `CONFIG`, each once.
#[derive(Debug, Default)]
pub(super) struct ConfigProblems(HashSet<String>);

impl ConfigProblems {
    /// What is to be said of a problem; `None`: it was said of another process, or enough was.
    pub(super) fn text(&mut self, tgid: u32, problem: &Problem) -> Option<String> {
        let text = problem.to_string();
        let room = self.0.len() < MAX_PROBLEMS_SAID;
        (room && self.0.insert(text.clone()))
            .then(|| format!("warning: pid {tgid}: not taken of its CONFIG: {text}"))
    }
}

/// A process that the engine was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its facts are its own, as far as they could be read.
    Told,
    /// They come with the answer of this number.
    Asked(u64),
}

impl Core {
    /// A process is heard of for the first time.
    pub(super) fn learn(&mut self, tgid: u32) {
        let parent = self.parents.get(&tgid).copied();
        let (facts, known) = match self.census.facts(tgid, parent) {
            Asked::Told(facts) => (facts, Known::Told),
            Asked::Later(number) => {
                let parents = parent.and_then(|parent| self.engine.facts(parent));
                (parents.cloned(), Known::Asked(number))
            }
        };
        self.give(tgid, facts.unwrap_or_default(), known);
    }

    /// Its program is another one now, and its environment may be. Until that is known it keeps what it had.
    pub(super) fn learn_anew(&mut self, tgid: u32) {
        match self.census.facts(tgid, None) {
            Asked::Told(Some(facts)) => self.give(tgid, facts, Known::Told),
            Asked::Told(None) => {}
            Asked::Later(number) => {
                self.known.insert(tgid, Known::Asked(number));
            }
        }
    }

    fn give(&mut self, tgid: u32, facts: ProcessFacts, known: Known) {
        let blind = self.unread.libraries(tgid);
        self.give_facts(ProcessFacts {
            tgid,
            explicit: false,
            blind,
            ..facts
        });
        self.known.insert(tgid, known);
    }

    /// What a rule calls it has changed.
    pub(super) fn give_again(&mut self, tgid: u32) {
        if let Some(known) = self.known.get(&tgid).copied()
            && let Some(facts) = self.engine.facts(tgid).cloned()
        {
            self.give(tgid, facts, known);
        }
    }

    /// More may be known of the containers of processes, which are given their facts again where it is.
    pub(super) fn take_containers(&mut self) {
        let version = self.containers.version();
        if std::mem::replace(&mut self.containers_version, version) == version {
            return;
        }
        let has_more = |tgid: &u32| {
            let facts = self.engine.facts(*tgid)?;
            let mut more = facts.clone();
            self.containers.complete(&mut more);
            (more != *facts).then_some(*tgid)
        };
        let all: Vec<u32> = self.known.keys().filter_map(has_more).collect();
        for tgid in all {
            self.give_again(tgid);
        }
    }

    /// Facts that whoever named the process has read.
    pub(super) fn give_facts(&mut self, facts: ProcessFacts) {
        self.known.insert(facts.tgid, Known::Told);
        let target = self.families.name(facts.tgid).map(str::to_owned);
        let mut facts = ProcessFacts { target, ..facts };
        self.containers.complete(&mut facts);
        if let Some(recorder) = &mut self.recorder {
            recorder.process(&facts);
        }
        self.engine.handle_process(facts);
    }

    /// Takes what the census has to say.
    pub(super) fn take_answers(&mut self) {
        for answer in self.census.take() {
            match answer {
                Answer::Facts {
                    tgid,
                    number,
                    facts,
                } => self.take_late_facts(tgid, number, facts),
                Answer::WaitsForUs { tgid, visit } => self.live.waits_for_us(tgid, visit),
                Answer::Gone { tgid, visit, at } => self.live.missing(tgid, visit, at),
                Answer::HasLetGo { tgid } => self.hold_what_is_shared(tgid),
            }
        }
    }

    fn take_late_facts(&mut self, tgid: u32, number: u64, facts: Option<ProcessFacts>) {
        let known = self.known.get(&tgid).copied();
        if known == Some(Known::Asked(number)) {
            self.known.insert(tgid, Known::Told);
            if let Some(facts) = facts {
                self.give(tgid, facts, Known::Told);
            }
        } else if known.is_none() && facts.is_some() {
            Counts::add(&self.counts.late);
        }
    }

    /// A process has ended, or is a target no more.
    pub(super) fn forget(&mut self, tgid: u32) {
        // The number may be given to another process, with other facts.
        self.known.remove(&tgid);
        self.parents.remove(&tgid);
        self.live.remove(tgid);
        self.families.forget(tgid);
        self.census.forget(tgid);
        if let Some((pending, _)) = &self.attacher {
            pending.let_go(tgid);
        }
        self.forget_unread(tgid);
    }

    /// Has processes searched whose TLS is not read, and takes what was found.
    pub(super) fn take_unread(&mut self) {
        for tgid in self.engine.take_unread_tls() {
            self.unread.search(tgid, Instant::now());
        }
        for tgid in self.unread.take() {
            // Others are given their facts when they say something.
            self.give_again(tgid);
        }
    }

    /// Names libraries that were found a while ago.
    pub(super) fn say_blind(&mut self) {
        let engine = &self.engine;
        let is_unread = |tgid| engine.has_unread_tls(tgid);
        say(&self.unread.due(Instant::now(), is_unread));
    }

    /// Says what was not taken of targets' `CONFIG`.
    pub(super) fn say_config_problems(&mut self) {
        for (tgid, problem) in self.engine.take_config_problems() {
            if let Some(text) = self.config_problems.text(tgid, &problem) {
                crate::cli::say(&text);
            }
        }
    }

    /// Names those of a process that has ended.
    pub(super) fn forget_unread(&mut self, tgid: u32) {
        let is_unread = self.engine.has_unread_tls(tgid);
        say(&self.unread.forget(tgid, is_unread));
    }
}

fn say(named: &[Named]) {
    for named in named {
        crate::cli::say(&format!("warning: {named}"));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_many_processes_have_wrong_is_said_once_and_not_without_end() {
        let mut said = ConfigProblems::default();
        let problem = |what: &str| Problem {
            layer: 0,
            at: Vec::new(),
            is_key: false,
            what: what.to_owned(),
            fix: "right".to_owned(),
        };
        let text = said.text(7, &problem("wrong")).unwrap();
        assert_eq!(
            text,
            "warning: pid 7: not taken of its CONFIG: : wrong\n  right"
        );
        assert_eq!(said.text(8, &problem("wrong")), None);
        for i in 1..MAX_PROBLEMS_SAID {
            assert!(said.text(9, &problem(&i.to_string())).is_some());
        }
        assert_eq!(said.text(9, &problem("another")), None);
    }
}
