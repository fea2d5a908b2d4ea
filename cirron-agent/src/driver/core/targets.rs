//! Targets that come and go while a capture runs, and what else the core is asked for.
//!
//! ```text
//!            Add                     Release                  all read that was stamped before
//! no target -----> target, watched  --------> let go, since --------------------------------> no target
//!                     |  exits, exec'd ...       |  exits: nothing is left to wait for
//! ```
//! A process that is let go is out of the kernel's map at once. Its session closes when every record that was
//! written before that has been read; then who asked is answered.

use cirron_core::engine::ProcessFacts;
use cirron_core::record::{Body, Head};
use cirron_core::time::{MS, MonoNs};

use super::super::command::{Command, Reply, add_descendants};
use super::super::counts::Counts;
use super::super::own::process_record;
use super::super::pending::Mapped;
use super::{Core, CoreReport};
use crate::clock;
use crate::discovery::Processes;
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
    /// Before the core thread runs: makes processes targets, and their descendants where children are followed.
    /// Returns how many descendants there are.
    pub fn attach(
        &mut self,
        explicit: &[ProcessFacts],
        processes: &dyn Processes,
    ) -> anyhow::Result<usize> {
        // Sessions of named targets begin now, traffic or not.
        self.tell_time(clock::now());
        for facts in explicit {
            self.control.set_target(facts.tgid, self.policy)?;
            self.follow(facts.tgid, self.policy, false);
            self.give_facts(ProcessFacts {
                explicit: true,
                ..facts.clone()
            });
        }
        if !self.policy.children {
            return Ok(0);
        }
        let roots: Vec<u32> = explicit.iter().map(|facts| facts.tgid).collect();
        add_descendants(&roots, self.targets(), processes, |tgid| {
            self.control.set_target(tgid, self.policy)?;
            self.follow(tgid, self.policy, true);
            Ok(())
        })
    }

    /// The targets at this moment.
    pub fn targets(&self) -> Vec<u32> {
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

    /// Makes a process a target, and has its libraries looked at.
    fn add(&mut self, facts: ProcessFacts, policy: Policy) -> anyhow::Result<()> {
        let tgid = facts.tgid;
        self.control.set_target(tgid, policy)?;
        // Its session begins now, traffic or not: at the time up to which all is read.
        if facts.explicit {
            self.tell_time(self.watermark);
        }
        self.follow(tgid, policy, false);
        self.give_facts(facts);
        self.look_into(tgid, clock::now());
        Ok(())
    }

    pub(super) fn take_command(&mut self, command: Command) {
        // Who asked may be gone: an answer is sent, and not waited for.
        match command {
            Command::Add {
                facts,
                policy,
                reply,
            } => {
                let _ = reply.try_send(self.add(facts, policy));
            }
            Command::Release { tgid, reply } => self.let_go(tgid, reply),
            Command::SetPolicy {
                tgid,
                policy,
                reply,
            } => {
                let _ = reply.try_send(self.set_policy(tgid, policy));
            }
            Command::Targets { reply } => {
                let _ = reply.try_send(self.targets());
            }
            Command::Statistics { reply } => {
                let _ = reply.try_send(self.statistics());
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

    fn set_policy(&mut self, tgid: u32, policy: Policy) -> anyhow::Result<bool> {
        if self.live.policy(tgid).is_none() {
            return Ok(false);
        }
        self.control.set_target(tgid, policy)?;
        self.live.set_policy(tgid, policy);
        Ok(true)
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
            recording: self.recorder.as_ref().map(|recorder| recorder.stats()),
            ..self.report
        }
    }
}
