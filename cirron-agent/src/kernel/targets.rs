//! The process filter: which processes are targets, and what of each is captured.
//!
//! ```text
//! core thread ---- add, policy, release --.
//!                                         |--> one lock --> map TARGETS <-- programs: fork, exec, exit
//! attach thread -- what it runs ----------'
//! ```
//! What one thread writes of a process the other keeps. A process that has gone is not brought back by what is found out
//! about it later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aya::maps::{HashMap, MapData};
use cirron_common::tls::target;

use super::Policy;

/// Flag of an update that makes no new entry.
const BPF_EXIST: u64 = 2;

/// The handle is shared.
#[derive(Clone)]
pub(super) struct Targets(Arc<Mutex<HashMap<MapData, u32, u32>>>);

impl Targets {
    pub(super) fn new(map: HashMap<MapData, u32, u32>) -> Targets {
        Targets(Arc::new(Mutex::new(map)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MapData, u32, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `tgid` a target, or changes what of it is captured.
    pub(super) fn set(&self, tgid: u32, policy: Policy) -> anyhow::Result<()> {
        let mut map = self.lock();
        let before = map.get(&tgid, 0).unwrap_or(0);
        Ok(map.insert(tgid, changed(before, policy), 0)?)
    }

    /// What of `tgid` is captured; `None` where it is no target.
    pub(super) fn policy(&self, tgid: u32) -> Option<Policy> {
        self.lock().get(&tgid, 0).ok().map(Policy::from_bits)
    }

    /// `tgid` is a target no more.
    pub(super) fn remove(&self, tgid: u32) {
        // Already gone is as good.
        let _ = self.lock().remove(&tgid);
    }

    /// `tgid`, if it is a target, runs what these bits of [`target`] say.
    pub(super) fn set_runtime(&self, tgid: u32, bits: u32) {
        let mut map = self.lock();
        if let Ok(before) = map.get(&tgid, 0) {
            // It may end just now.
            let _ = map.insert(tgid, running(before, bits), BPF_EXIST);
        }
    }
}

impl Targets {
    /// Of `tgid` they are told. False: it has ended, too, or is another program.
    pub(super) fn tells_goroutines(&self, tgid: u32) -> bool {
        let bits = self.lock().get(&tgid, 0);
        bits.is_ok_and(|bits| bits & target::GO_MAKER != 0)
    }

    /// Of `tgid` the lives of its goroutines are told no more.
    pub(super) fn unset_goroutines(&self, tgid: u32) {
        let mut map = self.lock();
        if let Ok(before) = map.get(&tgid, 0) {
            // It may end just now.
            let _ = map.insert(tgid, before & !target::GO_MAKER, BPF_EXIST);
        }
    }
}

/// The value of an entry with another policy: what the process runs stays.
fn changed(before: u32, policy: Policy) -> u32 {
    policy.bits() | before & target::RUNS
}

/// The bits of a process that runs Go. `goid`: where its goroutines have their numbers, in words, 0 where that is not known.
pub(super) fn go(goid: u8) -> u32 {
    target::GO | u32::from(goid) << target::GOID_SHIFT
}

/// The bits of one that tells of its goroutines' lives. `maker`: where these have the numbers of those that made them, in words.
pub(super) fn goroutines(maker: u8) -> u32 {
    u32::from(maker) << target::GO_MAKER_SHIFT
}

/// The value of an entry of a process that runs this, too.
fn running(before: u32, bits: u32) -> u32 {
    let renewed = match (bits & target::GO, bits & target::GO_MAKER) {
        (0, 0) => 0,
        (0, _) => target::GO_MAKER,
        _ => target::GOID,
    };
    before & !renewed | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_policy_keeps_what_is_known_of_the_process() {
        let none = Policy {
            tls: false,
            children: false,
        };
        let all = Policy::default().bits();
        assert_eq!(changed(0, Policy::default()), all);
        assert_eq!(changed(all | target::GO, none), target::GO);
        assert_eq!(changed(target::PYTHON, none), target::PYTHON);
        assert_eq!(
            changed(target::GO, Policy::default()),
            all | target::GO,
            "each bit has its own place"
        );
        let go = running(all | target::PYTHON, go(19));
        assert_eq!(go & target::GOID, 19 << target::GOID_SHIFT);
        assert_eq!(changed(go, none), go & target::RUNS);
        assert_eq!(running(go, super::go(0)), all | target::PYTHON | target::GO);
        let told = running(running(go, goroutines(35)), goroutines(36));
        assert_eq!(told, go | goroutines(36));
        // The attach thread looks again.
        assert_eq!(running(told, super::go(19)), told);
        assert_eq!(changed(told, none), told & target::RUNS);
    }
}
