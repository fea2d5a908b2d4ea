//! Which targets still live.
//!
//! Exit events say so at once; events can be lost, so the census ([`super::census`]) asks from time to time as well.
//! A target that it no longer finds is only declared gone when everything it did has been read.

use std::collections::BTreeMap;

use cirron_core::time::MonoNs;

use super::census::Visit;
use crate::kernel::Policy;

#[derive(Clone, Copy, Debug)]
struct Entry {
    visit: Visit,
    policy: Policy,
    /// When it was found to be gone.
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
    /// A target that is not known yet.
    pub fn add(&mut self, tgid: u32, policy: Policy, visit: Visit) {
        let entry = Entry {
            visit,
            policy,
            missing_since: None,
            waits_for_us: false,
        };
        self.targets.insert(tgid, entry);
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

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether none is left but those that wait for us.
    pub fn is_over(&self) -> bool {
        self.targets.values().all(|entry| entry.waits_for_us)
    }

    /// Those that live.
    pub fn tgids(&self) -> impl Iterator<Item = u32> {
        self.targets.keys().copied()
    }

    /// It waits for us.
    pub fn waits_for_us(&mut self, tgid: u32, visit: Visit) {
        if let Some(entry) = self.of_visit(tgid, visit) {
            entry.waits_for_us = true;
        }
    }

    /// It was found to be gone when it was asked for at `at`.
    pub fn missing(&mut self, tgid: u32, visit: Visit, at: MonoNs) {
        if let Some(entry) = self.of_visit(tgid, visit) {
            entry.missing_since = Some(at);
        }
    }

    fn of_visit(&mut self, tgid: u32, visit: Visit) -> Option<&mut Entry> {
        let entry = self.targets.get_mut(&tgid)?;
        (entry.visit == visit).then_some(entry)
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
