//! The secrets of one process, until a connection is found for them.
//!
//! Libraries tell them one by one, each with the object that it belongs to. Those of TLS 1.3 that came for one object
//! are a set; a label that comes again for the same object begins another, since objects are used again. Masters of
//! TLS 1.2 stand by themselves and are kept as long as the pool, since a session that is resumed has the master of an
//! earlier one, which some libraries do not tell again.
//!
//! ```text
//!   learn(object, label) --> the object's last set has no such secret: into it
//!                        \-> it has: a new set
//!   set: unbound --a tag fits--> bound --both directions have their last secret--> wiped
//!                \--4 096 newer ones--> wiped, counted
//! ```

use std::collections::VecDeque;

use crate::counts::PoolCounts;
use crate::label::{Label, SECRETS_OF_A_SET};
use crate::limits::{ENDS_OF_A_RANDOM, MAX_POOL_SECRETS, RECENT_MASTERS};
use crate::secret::Secret;

/// A secret, as a library told it.
#[derive(Clone, Copy)]
pub struct Learned<'a> {
    /// Which connection it is of, in the library's words: its object's address, and its process where several share a
    /// pool.
    pub object: u64,
    /// What it is for.
    pub label: Label,
    /// The random of the client's hello, where the library tells it: then no other connection is tried.
    pub client_random: Option<[u8; 32]>,
    /// 32 or 48 bytes.
    pub secret: &'a [u8],
}

/// Names a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetId(u64);

/// What a pool has of a set.
pub(crate) enum Asked<'a> {
    /// The secret.
    Has(&'a Secret),
    /// It has not come yet.
    NotYet,
    /// The set was wiped.
    Gone,
}

struct Set {
    id: SetId,
    object: u64,
    random: Option<[u8; 32]>,
    /// By [`Label::slot`], and the order in which they came.
    secrets: [Option<(u64, Secret)>; SECRETS_OF_A_SET],
    /// Connections that it was found to be of.
    bound: u8,
    /// Those that still need it.
    needed: u8,
}

impl Set {
    fn ends(&self) -> u8 {
        self.random.map_or(1, |_| ENDS_OF_A_RANDOM)
    }
}

struct Master {
    stamp: u64,
    random: Option<[u8; 32]>,
    secret: Secret,
}

/// See the module. Process and connection belong together: a connection is given the same pool in each call.
#[derive(Default)]
pub struct Pool {
    /// By age.
    sets: VecDeque<Set>,
    /// By age.
    masters: VecDeque<Master>,
    /// Counts what came, so that a connection tries nothing twice.
    stamp: u64,
    next_id: u64,
    counts: PoolCounts,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("sets", &self.sets.len())
            .field("masters", &self.masters.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// An empty one.
    #[must_use]
    pub fn new() -> Pool {
        Pool::default()
    }

    /// Counts so far.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        self.counts
    }

    /// Sets of secrets that no connection was found for yet.
    #[must_use]
    pub fn unbound(&self) -> usize {
        self.sets.iter().filter(|set| set.bound == 0).count()
    }

    /// A library told a secret. True: connections that wait may go on.
    pub fn learn(&mut self, learned: Learned<'_>) -> bool {
        let Some(secret) = Secret::new(learned.secret) else {
            self.counts.bad_length += 1;
            return false;
        };
        self.stamp += 1;
        let new = match learned.label.slot() {
            None => self.learn_master(learned.client_random, secret),
            Some(slot) => self.learn_of_set(learned.object, learned.client_random, slot, secret),
        };
        if new {
            self.counts.learned += 1;
        } else {
            self.counts.repeated += 1;
        }
        // A master that is told again is that of a session which is resumed.
        new || learned.label == Label::Master
    }

    fn learn_master(&mut self, random: Option<[u8; 32]>, secret: Secret) -> bool {
        let known = self.masters.iter().position(|m| m.secret == secret);
        let known = known.and_then(|at| self.masters.remove(at));
        let new = known.as_ref().is_none_or(|m| m.random != random);
        self.masters.push_back(Master {
            stamp: self.stamp,
            random,
            secret,
        });
        if self.masters.len() > MAX_POOL_SECRETS {
            self.masters.pop_front();
            self.counts.evicted_masters += 1;
        }
        new
    }

    fn learn_of_set(
        &mut self,
        object: u64,
        random: Option<[u8; 32]>,
        slot: usize,
        secret: Secret,
    ) -> bool {
        let stamp = self.stamp;
        let mut newest_first = self.sets.iter_mut().rev();
        let last = newest_first.find(|set| set.object == object && set.random == random);
        if let Some(place) = last.and_then(|set| set.secrets.get_mut(slot)) {
            match place {
                None => {
                    *place = Some((stamp, secret));
                    return true;
                }
                Some((_, known)) if *known == secret => return false,
                Some(_) => {}
            }
        }
        let mut set = Set {
            id: SetId(self.next_id),
            object,
            random,
            secrets: [const { None }; SECRETS_OF_A_SET],
            bound: 0,
            needed: 0,
        };
        self.next_id += 1;
        if let Some(place) = set.secrets.get_mut(slot) {
            *place = Some((stamp, secret));
        }
        self.sets.push_back(set);
        if self.sets.len() > MAX_POOL_SECRETS
            && let Some(oldest) = self.sets.pop_front()
        {
            self.counts.evicted_unbound += u64::from(oldest.bound == 0);
        }
        true
    }

    /// The number of what came last.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Secrets of sets that may be a connection's with this random, newest first, of those that came after `since`.
    pub(crate) fn candidates(
        &self,
        label: Label,
        random: Option<[u8; 32]>,
        since: u64,
    ) -> impl Iterator<Item = (SetId, &Secret)> {
        self.sets.iter().rev().filter_map(move |set| {
            let fits = set.random.is_none() || random.is_none() || set.random == random;
            let (stamp, secret) = set.secrets.get(label.slot()?)?.as_ref()?;
            let free = set.bound < set.ends();
            (fits && free && *stamp > since).then_some((set.id, secret))
        })
    }

    /// Masters that may be a connection's with this random, of those that came after `since`: the one that was told
    /// with it, then newest first. Where the handshake is a full one, only those that came last.
    pub(crate) fn masters(
        &self,
        random: [u8; 32],
        is_full: bool,
        since: u64,
    ) -> impl Iterator<Item = &Secret> {
        let is_its = move |master: &&Master| master.random == Some(random);
        let newest_first = self.masters.iter().rev();
        let told = newest_first.clone().filter(is_its).take(1);
        let recent = if is_full { RECENT_MASTERS } else { usize::MAX };
        let others = newest_first
            .filter(move |master| !is_its(master))
            .filter(move |master| !is_full || master.random.is_none())
            .take(recent);
        told.chain(others)
            .filter(move |master| master.stamp > since)
            .map(|master| &master.secret)
    }

    /// A set has a secret of early data.
    pub(crate) fn has_early(&self, id: SetId) -> bool {
        matches!(self.secret(id, Label::ClientEarly), Asked::Has(_))
    }

    /// A tag proved that a connection has this set.
    pub(crate) fn bind(&mut self, id: SetId) {
        if let Some(set) = self.set_mut(id) {
            set.bound += 1;
            set.needed += 1;
            self.counts.bound += 1;
        }
    }

    /// A secret of a set that is bound.
    pub(crate) fn secret(&self, id: SetId, label: Label) -> Asked<'_> {
        let Some(set) = self.sets.iter().rev().find(|set| set.id == id) else {
            return Asked::Gone;
        };
        let place = label.slot().and_then(|slot| set.secrets.get(slot));
        match place {
            Some(Some((_, secret))) => Asked::Has(secret),
            Some(None) | None => Asked::NotYet,
        }
    }

    /// A connection has taken all that it needs of its set, or will take nothing more.
    pub(crate) fn release(&mut self, id: SetId) {
        if let Some(set) = self.set_mut(id) {
            set.needed = set.needed.saturating_sub(1);
            if set.bound >= set.ends() {
                self.forget(id);
            }
        }
    }

    /// A connection that had this set has ended: nobody else will come for it, unless somebody has.
    pub(crate) fn forget(&mut self, id: SetId) {
        if let Some(at) = self
            .sets
            .iter()
            .rposition(|set| set.id == id && set.needed == 0)
        {
            self.sets.remove(at);
        }
    }

    fn set_mut(&mut self, id: SetId) -> Option<&mut Set> {
        self.sets.iter_mut().rev().find(|set| set.id == id)
    }
}
