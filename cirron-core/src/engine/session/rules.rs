//! The rules of each process: read when its facts come, looked up when an exchange begins.
//!
//! What is configured anew holds for what begins from then on. What is wrong in a `CONFIG` is told and counted once,
//! however many processes have it: a server's shell, its helpers of a moment and its workers inherit the same.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::{ProcessFacts, Sessions};
use crate::rules::{Problem, ProcessRules, Rules};
use crate::scope::{Withheld, names};

/// Problems that wait until somebody asks for them. Past it they are only counted.
const MAX_WAITING: usize = 256;

/// Different `CONFIG`s with something wrong that are remembered. A machine has a few deployments. Past it each process that
/// has another one is counted.
const MAX_WRONG_CONFIGS: usize = 256;

/// What holds for the exchanges of a process with these facts, and what is wrong in its `CONFIG`.
pub(super) fn of_process(
    configured: &Rules,
    facts: &ProcessFacts,
) -> (Option<Arc<ProcessRules>>, Vec<Problem>) {
    let names = (facts.exe.as_deref(), facts.target.as_deref());
    configured.for_process(names, config(facts))
}

fn config(facts: &ProcessFacts) -> Option<&str> {
    facts.env.get("CONFIG").map(String::as_str)
}

impl Sessions {
    /// The rules that facts which are given now lead to.
    pub(super) fn read_rules(&mut self, facts: &ProcessFacts) -> Option<Arc<ProcessRules>> {
        let (rules, problems) = of_process(&self.configured, facts);
        if !problems.is_empty() && self.is_new(config(facts)) {
            self.config_problems += problems.len() as u64;
            let room = MAX_WAITING.saturating_sub(self.problems.len());
            let told = problems.into_iter().take(room);
            self.problems
                .extend(told.map(|problem| (facts.tgid, problem)));
        }
        rules
    }

    /// No process had this `CONFIG` before.
    fn is_new(&mut self, config: Option<&str>) -> bool {
        let mut hasher = DefaultHasher::new();
        config.hash(&mut hasher);
        let number = hasher.finish();
        let is_new = !self.wrong_configs.contains(&number);
        if is_new && self.wrong_configs.len() < MAX_WRONG_CONFIGS {
            self.wrong_configs.insert(number);
        }
        is_new
    }

    /// What holds for an exchange of `tgid` that begins now.
    pub(in crate::engine) fn rules(&self, tgid: u32) -> Option<Arc<ProcessRules>> {
        match self.processes.get(&tgid) {
            Some(process) => process.rules.clone(),
            None => self.configured.general().cloned(),
        }
    }

    /// The deployment that a process serves, as a number, where a rule of that number has its price by the hour: what its
    /// environment or its pod calls it, else its container, else all processes that the rule holds for.
    pub(in crate::engine) fn deployment(&self, tgid: u32, rule: u64) -> u64 {
        let facts = self.processes.get(&tgid).map(|process| &process.facts);
        let name = facts.and_then(|facts| {
            let its = facts.env.get("CIRRON_DEPLOYMENT_ID");
            its.or_else(|| facts.workload.get(names::DEPLOYMENT_ID))
                .or(facts.container.as_ref())
        });
        let mut hasher = DefaultHasher::new();
        (rule, name).hash(&mut hasher);
        hasher.finish()
    }

    /// From now on this holds.
    pub(in crate::engine) fn set_rules(&mut self, configured: Rules) {
        for process in self.processes.values_mut() {
            let before = process.held_bytes();
            process.rules = of_process(&configured, &process.facts).0;
            self.bytes = self.bytes + process.held_bytes() - before;
        }
        self.configured = configured;
    }

    /// What is wrong in `CONFIG`s, each with its process, since the last time.
    pub(in crate::engine) fn take_problems(&mut self) -> Vec<(u32, Problem)> {
        std::mem::take(&mut self.problems)
    }

    /// Number of those since the start.
    pub(in crate::engine) fn config_problems(&self) -> u64 {
        self.config_problems
    }

    /// An exchange has ended that is no span.
    pub(in crate::engine) fn count_withheld(&mut self, tgid: u32, why: Withheld) {
        let [ignored, left_out] = &mut self.entry(tgid).withheld;
        *match why {
            Withheld::Ignored => ignored,
            Withheld::LeftOut => left_out,
        } += 1;
    }
}
