//! Which targets still live.
//!
//! Exit events say so at once; events can be lost, so procfs is asked from time to time as well. A
//! target that procfs no longer knows is only declared gone when everything it did has been read.

use std::collections::BTreeMap;

use cirron_core::time::MonoNs;

use crate::discovery::{Identity, Processes};
use crate::kernel::Policy;

#[derive(Clone, Copy, Debug)]
struct Entry {
    identity: Option<Identity>,
    policy: Policy,
    /// When procfs was first found not to know it.
    missing_since: Option<MonoNs>,
    /// It waits for us to end: whether it lives says nothing.
    waits_for_us: bool,
}

/// The live targets.
#[derive(Debug, Default)]
pub struct Live {
    targets: BTreeMap<u32, Entry>,
}

impl Live {
    /// A target; nothing changes where it is known.
    pub fn add(&mut self, tgid: u32, policy: Policy, processes: &dyn Processes) {
        self.targets.entry(tgid).or_insert_with(|| Entry {
            identity: processes.identify(tgid),
            policy,
            missing_since: None,
            waits_for_us: false,
        });
    }

    /// A target that nobody named, and that may be waiting for us.
    pub fn add_found(&mut self, tgid: u32, policy: Policy, processes: &dyn Processes) {
        self.add(tgid, policy, processes);
        if let Some(entry) = self.targets.get_mut(&tgid) {
            entry.waits_for_us = processes.waits_for_us(tgid);
        }
    }

    /// What of a target is captured; `None` where it is none.
    pub fn policy(&self, tgid: u32) -> Option<Policy> {
        self.targets.get(&tgid).map(|entry| entry.policy)
    }

    /// Something else is captured from now on.
    pub fn set_policy(&mut self, tgid: u32, policy: Policy) {
        if let Some(entry) = self.targets.get_mut(&tgid) {
            entry.policy = policy;
        }
    }

    /// It ended, or is let go.
    pub fn remove(&mut self, tgid: u32) {
        self.targets.remove(&tgid);
    }

    /// Whether none is left but those that wait for us.
    pub fn is_over(&self) -> bool {
        self.targets.values().all(|entry| entry.waits_for_us)
    }

    /// Those that live.
    pub fn tgids(&self) -> impl Iterator<Item = u32> {
        self.targets.keys().copied()
    }

    /// Asks procfs; `now` is the time of asking.
    pub fn poll(&mut self, now: MonoNs, processes: &dyn Processes) {
        for (tgid, entry) in &mut self.targets {
            let alive = match &entry.identity {
                Some(identity) => processes.is_alive(identity),
                // It could not be identified when it was added: a short-lived child.
                None => processes.identify(*tgid).is_some(),
            };
            if alive {
                entry.missing_since = None;
            } else {
                entry.missing_since.get_or_insert(now);
            }
        }
    }

    /// Removes and returns those that were missing before `watermark`, up to which every event
    /// has been read.
    pub fn take_gone(&mut self, watermark: MonoNs) -> Vec<u32> {
        let gone: Vec<u32> = self
            .targets
            .iter()
            .filter(|(_, entry)| entry.missing_since.is_some_and(|since| since < watermark))
            .map(|(tgid, _)| *tgid)
            .collect();
        for tgid in &gone {
            self.targets.remove(tgid);
        }
        gone
    }
}
