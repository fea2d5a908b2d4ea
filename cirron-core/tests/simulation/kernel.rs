//! The kernel side: what it knows of connections, and the ring, with what goes wrong there.
//!
//! A socket that moves bytes is entered in a map of bounded room, the one used least recently makes place. Its end
//! is told if it is in the map then. What finds the ring full is dropped, and counted by nobody but the position of
//! what follows. A record may come up to two milliseconds later than others of its time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use cirron_core::time::MS;

use super::expected::Key;
use super::random::Random;

/// Records overtake each other by less than this.
pub(crate) const OVERTAKING_NS: u64 = 2 * MS;
/// Now and then the ring is full for a while.
const FULL_EVERY_NS: u64 = 3_000 * MS;
const FULL_FOR_NS: u64 = 60 * MS;

/// Who does something: a socket of a process, or an object of a library in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Actor {
    /// Inode number, or address.
    pub(crate) place: u64,
    pub(crate) tgid: u32,
    pub(crate) is_socket: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Open {
        late: bool,
    },
    Data {
        inbound: bool,
        pos: u64,
        bytes: Vec<u8>,
    },
    /// Why, and how many bytes had passed: inbound, outbound.
    Close(u64, [u64; 2]),
    Exit,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PendingRecord {
    pub(crate) comes: u64,
    pub(crate) ts: u64,
    pub(crate) actor: Actor,
    pub(crate) epoch: u64,
    pub(crate) what: What,
}

impl PendingRecord {
    pub(crate) fn key(&self) -> Key {
        (self.actor.place, self.epoch)
    }
}

#[derive(Debug)]
struct State {
    epoch: u64,
    inbound_pos: u64,
    outbound_pos: u64,
    used: u64,
}

/// What the kernel says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Held,
    Released,
    Forgotten,
}

pub(crate) struct Kernel {
    room: usize,
    is_faulty: bool,
    random: Random,
    states: HashMap<(u64, u32), State>,
    by_use: BTreeMap<u64, (u64, u32)>,
    uses: u64,
    ring: BinaryHeap<Reverse<PendingRecord>>,
    pub(crate) dropped: u64,
    pub(crate) evicted: u64,
}

/// Sockets are known by inode number, objects by address and process.
fn slot(actor: Actor) -> (u64, u32) {
    (actor.place, if actor.is_socket { 0 } else { actor.tgid })
}

impl Kernel {
    pub(crate) fn new(room: usize, is_faulty: bool, random: Random) -> Kernel {
        Kernel {
            room,
            is_faulty,
            random,
            states: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            ring: BinaryHeap::new(),
            dropped: 0,
            evicted: 0,
        }
    }

    /// Puts a record into the ring. False: there was no place, or it is an opening that may come too late.
    fn put(&mut self, ts: u64, actor: Actor, epoch: u64, what: What) -> bool {
        let share = if ts % FULL_EVERY_NS < FULL_FOR_NS {
            400_000
        } else {
            500
        };
        if self.is_faulty && self.random.one_in_a_million(share) {
            self.dropped += 1;
            return false;
        }
        let is_opening = matches!(what, What::Open { .. });
        // An opening is put by the call that moves the first bytes; another processor seldom comes before it.
        let overtaken = if is_opening {
            self.is_faulty && self.random.one_in_a_million(1_000)
        } else {
            self.random.one_in_a_million(50_000)
        };
        let later = if overtaken {
            self.random.between(1, OVERTAKING_NS)
        } else {
            0
        };
        self.ring.push(Reverse(PendingRecord {
            comes: ts + later,
            ts,
            actor,
            epoch,
            what,
        }));
        !(is_opening && overtaken)
    }

    /// The process moves bytes. False: something was lost.
    pub(crate) fn transfer(
        &mut self,
        ts: u64,
        actor: Actor,
        late: bool,
        inbound: bool,
        bytes: &[u8],
    ) -> bool {
        let slot = slot(actor);
        let mut is_whole = true;
        if !self.states.contains_key(&slot) {
            if self.states.len() >= self.room {
                self.evict();
            }
            let state = State {
                epoch: ts,
                inbound_pos: 0,
                outbound_pos: 0,
                used: 0,
            };
            self.states.insert(slot, state);
            is_whole = self.put(ts, actor, ts, What::Open { late }) && !late;
        }
        self.uses += 1;
        let (Some(state), uses) = (self.states.get_mut(&slot), self.uses) else {
            return false;
        };
        self.by_use.remove(&state.used);
        self.by_use.insert(uses, slot);
        state.used = uses;
        let pos = if inbound {
            &mut state.inbound_pos
        } else {
            &mut state.outbound_pos
        };
        let (at, epoch) = (*pos, state.epoch);
        *pos += bytes.len() as u64;
        let what = What::Data {
            inbound,
            pos: at,
            bytes: bytes.to_vec(),
        };
        self.put(ts, actor, epoch, what) && is_whole
    }

    fn evict(&mut self) {
        if let Some((_, slot)) = self.by_use.pop_first() {
            self.states.remove(&slot);
            self.evicted += 1;
        }
    }

    /// The connection ends, or half of it; told where it is known. False: it was not.
    pub(crate) fn ends(&mut self, ts: u64, actor: Actor, why: u64) -> bool {
        let known = self.states.get(&slot(actor));
        known
            .map(|s| (s.epoch, [s.inbound_pos, s.outbound_pos]))
            .is_some_and(|(epoch, at)| self.put(ts, actor, epoch, What::Close(why, at)))
    }

    /// Nothing is at this place any more. Whether or not that could be told, the kernel side sees to it: an object's
    /// state goes with the object. That of a socket stays until another needs its room.
    pub(crate) fn frees(&mut self, actor: Actor) {
        if !actor.is_socket
            && let Some(state) = self.states.remove(&slot(actor))
        {
            self.by_use.remove(&state.used);
        }
    }

    /// An inode number is given to another socket: what was known of it is of no use.
    pub(crate) fn renews(&mut self, actor: Actor) {
        if let Some(state) = self.states.remove(&slot(actor)) {
            self.by_use.remove(&state.used);
        }
    }

    /// False: the record was dropped.
    pub(crate) fn exits(&mut self, ts: u64, tgid: u32) -> bool {
        let actor = Actor {
            place: 0,
            tgid,
            is_socket: true,
        };
        self.put(ts, actor, 0, What::Exit)
    }

    /// `lives`: somebody holds what is at this place.
    pub(crate) fn ask(&self, actor: Actor, epoch: u64, lives: bool) -> Answer {
        let known = self.states.get(&slot(actor)).filter(|s| s.epoch == epoch);
        match (known.is_some(), actor.is_socket) {
            (true, _) if lives => Answer::Held,
            (true, _) | (false, false) => Answer::Released,
            (false, true) => Answer::Forgotten,
        }
    }

    /// The next record that comes at or before `time`.
    pub(crate) fn take(&mut self, time: u64) -> Option<PendingRecord> {
        let is_due = self.ring.peek().is_some_and(|Reverse(r)| r.comes <= time);
        is_due
            .then(|| self.ring.pop())
            .flatten()
            .map(|Reverse(r)| r)
    }
}
