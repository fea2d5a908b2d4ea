//! Targets that come and go while a capture runs, and what else the core is asked for.
//!
//! ```text
//!            Add                     Release                  all read that was stamped before
//! no target -----> target, watched  --------> let go, since --------------------------------> no target
//!                     |  exits, exec'd ...       |  exits: nothing is left to wait for
//! ```
//! A process that is let go is out of the kernel's map at once. Its session closes when every record that was
//! written before that has been read; then who asked is answered. Until then it cannot be added again.

use anyhow::anyhow;
use cirron_core::engine::ProcessFacts;
use cirron_core::record::{Body, Head};
use cirron_core::time::{MS, MonoNs};

use super::super::command::{Command, Newcomer, Reply};
use super::super::counts::Counts;
use super::super::own::process_record;
use super::super::pending::Mapped;
use super::{Core, CoreReport};
use crate::clock;
use crate::kernel::Policy;

/// Time in which a thread that was in a program when its process was let go may still write a record.
const LATE_NS: u64 = 1_000 * MS;

/// A target that is let go.
#[derive(Debug)]
pub(super) struct Parting {
    tgid: u32,
    since: MonoNs,
    reply: Reply<bool>,
}

impl Core {
    /// The targets at this moment.
    fn targets(&self) -> Vec<u32> {
        self.live.tgids().collect()
    }

    /// It is known as a target from now on. `is_found`: nobody named it, and it may be waiting for us.
    pub(super) fn follow(&mut self, tgid: u32, policy: Policy, is_found: bool) {
        if self.live.policy(tgid).is_none() {
            let visit = self.census.follow(tgid, is_found);
            self.live.add(tgid, policy, visit);
        }
    }

    pub(super) fn look_into(&self, tgid: u32, at: MonoNs) {
        if let Some((pending, _)) = &self.attacher
            && !pending.push(Mapped { tgid, at })
        {
            // Only a panic ends it; what it would have found is not seen.
            Counts::add(&self.counts.unlooked);
        }
    }

    /// A child maps what its parent does.
    pub(super) fn take_over_leases(&self, parent: u32, child: u32, at: MonoNs) {
        let leases = self.attacher.as_ref().map(|(_, leases)| leases);
        if leases.is_some_and(|leases| !leases.fork(parent, child)) {
            self.look_into(child, at);
        }
    }

    /// Makes processes targets, all or none, and has their libraries looked at.
    fn add(&mut self, newcomers: Vec<Newcomer>, policy: Policy) -> anyhow::Result<()> {
        // Where nobody is a target, nothing waits to be read.
        let now = if self.live.is_empty() {
            clock::now()
        } else {
            self.watermark
        };
        self.choose(&newcomers, policy)?;
        // Sessions of those that were named begin now, traffic or not: at the time up to which all is read.
        self.watermark = self.watermark.max(now);
        self.tell_time(now);
        for newcomer in newcomers {
            let is_found = matches!(newcomer, Newcomer::Found { .. });
            let is_held = matches!(newcomer, Newcomer::Held(_));
            let tgid = newcomer.tgid();
            let is_new = self.live.policy(tgid).is_none();
            self.follow(tgid, policy, is_found);
            match newcomer {
                Newcomer::Named(facts) | Newcomer::Held(facts) => {
                    self.live.set_policy(tgid, policy);
                    let explicit = true;
                    self.give_facts(ProcessFacts { explicit, ..facts });
                }
                Newcomer::Chosen(facts, name) => {
                    self.live.set_policy(tgid, policy);
                    for member in self.families.choose(tgid, name.as_deref()) {
                        self.give_again(member);
                    }
                    if is_new {
                        self.give_facts(facts);
                    }
                }
                Newcomer::Found { tgid, root } => self.families.fork(root, tgid),
            }
            if !is_held {
                self.look_into(tgid, clock::now());
            }
        }
        Ok(())
    }

    /// Puts them into the kernel's map. Where it refuses one, the others are as they were.
    fn choose(&mut self, newcomers: &[Newcomer], policy: Policy) -> anyhow::Result<()> {
        let mut chosen = Vec::new();
        for newcomer in newcomers {
            let tgid = newcomer.tgid();
            let before = self.live.policy(tgid);
            if before.is_some() && matches!(newcomer, Newcomer::Found { .. }) {
                continue;
            }
            let refused = if self.parting.iter().any(|parting| parting.tgid == tgid) {
                Some(anyhow!("it is being let go\n  add it again in a moment"))
            } else {
                self.control.set_target(tgid, policy).err()
            };
            if let Some(e) = refused {
                self.take_back(chosen);
                return Err(e.context(format!("process {tgid} cannot be a target")));
            }
            chosen.push((tgid, before));
        }
        Ok(())
    }

    fn take_back(&mut self, chosen: Vec<(u32, Option<Policy>)>) {
        for (tgid, before) in chosen {
            let Some(policy) = before else {
                self.remove_from_kernel(tgid);
                continue;
            };
            if let Err(e) = self.control.set_target(tgid, policy) {
                tracing::warn!("of process {tgid} more or less is captured than before: {e:#}");
            }
        }
    }

    pub(super) fn take_command(&mut self, command: Command) {
        // Who asked may be gone: an answer is sent, and not waited for.
        match command {
            Command::Add {
                newcomers,
                policy,
                reply,
            } => {
                let _ = reply.try_send(self.add(newcomers, policy));
            }
            Command::Release { tgid, reply } => self.let_go(tgid, reply),
            Command::Family { root, reply } => {
                let _ = reply.try_send(self.families.members(root));
            }
            Command::EndWithLastTarget { reply } => {
                self.ends_with_last_target = true;
                let _ = reply.try_send(());
            }
            Command::Targets { reply } => {
                let _ = reply.try_send(self.targets());
            }
            Command::Statistics { reply } => {
                let _ = reply.try_send(self.statistics());
            }
            Command::SetRules { rules, reply } => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.rules(&rules);
                }
                self.engine.handle_rules(rules);
                let _ = reply.try_send(());
            }
            Command::OpenScopes { at_most, reply } => {
                let _ = reply.try_send(self.engine.open_scopes(at_most));
            }
        }
    }

    /// A record of a process that is no target any more.
    pub(super) fn is_late(&self, head: &Head) -> bool {
        let is_its = |(tgid, since): &(u32, MonoNs)| {
            *tgid == head.tgid && head.ts >= *since && self.live.policy(*tgid).is_none()
        };
        self.let_go.iter().any(is_its)
    }

    fn let_go(&mut self, tgid: u32, reply: Reply<bool>) {
        if self.live.policy(tgid).is_none() {
            let _ = reply.try_send(false);
            return;
        }
        self.remove_from_kernel(tgid);
        let since = clock::now();
        self.parting.push(Parting { tgid, since, reply });
    }

    /// Closes what was of processes that were let go before `watermark`, up to which all is read.
    pub(super) fn part(&mut self, watermark: MonoNs) {
        self.let_go
            .retain(|(_, since)| watermark.since(*since) < LATE_NS);
        let is_read = |parting: &mut Parting| parting.since < watermark;
        let over: Vec<Parting> = self.parting.extract_if(.., is_read).collect();
        for Parting { tgid, since, reply } in over {
            self.unseal.process_ends(tgid, since);
            self.feed(&process_record(Body::Release, tgid, since));
            self.forget(tgid);
            self.let_go.push((tgid, since));
            let _ = reply.try_send(true);
        }
    }

    pub(super) fn let_targets_go(&mut self) {
        for tgid in self.targets() {
            self.remove_from_kernel(tgid);
        }
    }

    pub(super) fn remove_from_kernel(&mut self, tgid: u32) {
        if let Err(e) = self.control.remove_target(tgid) {
            tracing::debug!("process {tgid} was no target any more: {e:#}");
        }
    }

    /// The counts so far.
    pub(super) fn statistics(&self) -> CoreReport {
        let counters = self.control.counters();
        CoreReport {
            engine: self.engine.stats(),
            counters: counters
                .inspect_err(|e| tracing::warn!("the kernel side's counters cannot be read: {e:#}"))
                .ok(),
            peak_held_bytes: self.engine.peak_held_bytes() as u64,
            unseal: self.unseal.stats(),
            recording: self.recorder.as_ref().map(|recorder| recorder.stats()),
            ..self.report
        }
    }
}
