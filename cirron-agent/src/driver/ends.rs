//! Sockets that are held by somebody whom no call of a target shows, and when they are released.
//!
//! The kernel side tells an end at the close of a descriptor that it saw in a call, and looks then whether
//! anybody else holds the socket: a child that inherited it, a message that passes it. Who does may let it go
//! without a call that names it (an exec, an exit, a process that is no target). So it is asked for: soon and
//! again where a close, an exec or an exit left it held.
//!
//! The record of an end can be lost, and the kernel side forgets the connection used least recently where there
//! are too many. So all sockets, and all objects of TLS libraries, are asked for from time to time. One that is idle
//! is held, and stays.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cirron_common::record::close;
use cirron_core::time::{MS, MonoNs};

use crate::kernel::SocketState;

/// A connection: inode number and generation.
pub type Key = (u64, u64);

/// Time until a held socket is asked for again, at first. An end is found that much late, where no call shows it.
const SOON_NS: u64 = 20 * MS;
/// Later it is this part of the time that it has been held.
const LATER_SHARE: u64 = 8;
/// It is asked for no less often than this.
const SELDOM_NS: u64 = 5_000 * MS;
/// Time that a process which ends may take to let go of its descriptors, after which its sockets are taken for
/// its own; the engine waits a little longer before it ends them.
pub const LETTING_GO: Duration = Duration::from_millis(400);
/// Time between two looks at all sockets.
const ALL_EVERY_NS: u64 = 5_000 * MS;
/// Sockets of those that are asked for at once: a millisecond or two.
const ALL_AT_ONCE: usize = 1_000;
/// Held sockets that are followed, as many as the kernel side knows; others wait for the look at all.
const MAX_HELD: usize = cirron_common::maps::MAX_CONNS as usize;

#[derive(Clone, Copy, Debug)]
struct Held {
    since: MonoNs,
    due: MonoNs,
}

/// A connection whose end nobody told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A socket.
    Socket(Key),
    /// An object of a TLS library, and its process.
    Object(Key, u32),
}

impl Watched {
    /// Its inode number or address, and its generation.
    pub fn key(self) -> Key {
        match self {
            Watched::Socket(key) | Watched::Object(key, _) => key,
        }
    }
}

/// What the kernel says of a connection means for it, where nobody told its end. `None`: it is there, as far
/// as is known.
pub fn untold_end(socket: SocketState) -> Option<u64> {
    match socket {
        SocketState::Released => Some(close::LOST),
        SocketState::Forgotten => Some(close::EVICTED),
        SocketState::Held(_) | SocketState::Unknown => None,
    }
}

/// A connection that was found to be over, or forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// When.
    pub at: MonoNs,
    /// What that is: one of `cirron_common::record::close`.
    pub why: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ends {
    held: HashMap<Key, Held>,
    by_due: BTreeSet<(MonoNs, Key)>,
    /// Found released, and when; the kernel side's own record of it may still lie in the ring.
    released: Vec<(Key, Release)>,
    /// Processes that are ending: number, since when, and the sockets that they used.
    dying: Vec<(u32, MonoNs, Vec<Key>)>,
    /// Of the look at all, what is still to be asked for.
    all: Vec<Watched>,
    all_due: MonoNs,
}

impl Ends {
    /// Takes the record of an end. `why`: one of `cirron_common::record::close`.
    pub fn note_close(&mut self, key: Key, why: u64, ts: MonoNs) {
        match why {
            close::HELD => self.hold(key, ts),
            close::FD_CLOSED => self.forget(key),
            _ => {}
        }
    }

    /// Somebody holds this one since `ts`, or still.
    pub fn hold(&mut self, key: Key, ts: MonoNs) {
        self.forget(key);
        if self.held.len() < MAX_HELD {
            self.ask_again(key, ts, ts.plus(SOON_NS));
        }
    }

    /// The process has ended at `ts`, and used these sockets.
    pub fn note_exit(&mut self, tgid: u32, ts: MonoNs, sockets: Vec<Key>) {
        if !sockets.is_empty() {
            self.dying.push((tgid, ts, sockets));
        }
    }

    /// A process has let go of its descriptors: the sockets that it used, and when it ended. Who holds one is
    /// somebody else.
    pub fn let_go(&mut self, tgid: u32) -> Vec<(Key, MonoNs)> {
        let its = self.dying.extract_if(.., |(dying, _, _)| *dying == tgid);
        its.flat_map(|(_, ts, sockets)| sockets.into_iter().map(move |key| (key, ts)))
            .collect()
    }

    /// A process has ended or called exec: what is held may be released now.
    pub fn hurry(&mut self, now: MonoNs) {
        let held: Vec<(Key, MonoNs)> = self.held.iter().map(|(k, h)| (*k, h.since)).collect();
        for (key, since) in held {
            self.forget(key);
            self.ask_again(key, since, now);
        }
    }

    /// Asks for what is due. `all`: everything whose end is not known.
    pub fn poll<I: Iterator<Item = Watched>>(
        &mut self,
        now: MonoNs,
        all: impl FnOnce() -> I,
        ask: impl Fn(Watched) -> SocketState,
    ) {
        let waits = |ts: MonoNs| u128::from(now.since(ts)) <= LETTING_GO.as_nanos();
        self.dying.retain(|(_, ts, _)| waits(*ts));
        while let Some((due, key)) = self.by_due.first().copied()
            && due <= now
        {
            let since = self.held.get(&key).map_or(now, |held| held.since);
            self.forget(key);
            match ask(Watched::Socket(key)) {
                SocketState::Held(_) => {
                    let wait = (now.since(since) / LATER_SHARE).clamp(SOON_NS, SELDOM_NS);
                    self.ask_again(key, since, now.plus(wait));
                }
                SocketState::Released => {
                    let (at, why) = (now, close::FD_CLOSED);
                    self.released.push((key, Release { at, why }));
                }
                // The look at all closes what is forgotten.
                SocketState::Unknown | SocketState::Forgotten => {}
            }
        }
        if self.all_due == MonoNs(0) {
            self.all_due = now.plus(ALL_EVERY_NS);
        } else if self.all.is_empty() && self.all_due <= now {
            self.all_due = now.plus(ALL_EVERY_NS);
            self.all.extend(all());
        }
        for _ in 0..ALL_AT_ONCE {
            let Some(watched) = self.all.pop() else {
                break;
            };
            let key = watched.key();
            if let Some(why) = untold_end(ask(watched))
                && !self.held.contains_key(&key)
            {
                self.released.push((key, Release { at: now, why }));
            }
        }
    }

    /// Those that were found released before `watermark`, up to which every record has been read.
    pub fn take_released(&mut self, watermark: MonoNs) -> Vec<(Key, Release)> {
        self.released
            .extract_if(.., |(_, release)| release.at < watermark)
            .collect()
    }

    fn ask_again(&mut self, key: Key, since: MonoNs, due: MonoNs) {
        self.held.insert(key, Held { since, due });
        self.by_due.insert((due, key));
    }

    fn forget(&mut self, key: Key) {
        if let Some(held) = self.held.remove(&key) {
            self.by_due.remove(&(held.due, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = (7, 1);
    const B: Key = (8, 2);

    fn none() -> std::iter::Empty<Watched> {
        std::iter::empty()
    }

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * MS)
    }

    fn told(at: MonoNs) -> Release {
        let why = close::FD_CLOSED;
        Release { at, why }
    }

    /// The times, in ms, at which it is asked for `key` until `end`.
    fn asked(ends: &mut Ends, key: Key, end: u64) -> Vec<u64> {
        let times = std::cell::RefCell::new(Vec::new());
        for ms in 1_000..end {
            ends.poll(at(ms), none, |watched| {
                assert_eq!(watched, Watched::Socket(key));
                times.borrow_mut().push(ms);
                SocketState::Held(1)
            });
        }
        times.into_inner()
    }

    #[test]
    fn a_held_socket_is_asked_for_soon_then_seldom_and_its_release_is_told_when_all_is_read() {
        let mut ends = Ends::default();
        ends.note_close(A, close::HELD, at(1_000));
        let times = asked(&mut ends, A, 100_000);
        assert_eq!(times[..3], [1_020, 1_040, 1_060]);
        let waits: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!(waits.last(), Some(&5_000));
        assert!(waits.is_sorted() && times.len() < 70, "{times:?}");
        ends.poll(at(110_000), none, |_| SocketState::Released);
        assert_eq!(ends.take_released(at(110_000)), []);
        assert_eq!(ends.take_released(at(110_001)), [(A, told(at(110_000)))]);
        assert_eq!(ends.take_released(at(120_000)), []);
        assert!(asked(&mut ends, A, 2_000).is_empty());
    }

    #[test]
    fn the_kernel_side_s_own_end_is_enough() {
        let mut ends = Ends::default();
        ends.note_close(A, close::HELD, at(1_000));
        ends.note_close(A, close::FD_CLOSED, at(1_010));
        assert!(asked(&mut ends, A, 3_000).is_empty());
        assert!(ends.held.is_empty() && ends.by_due.is_empty());
    }

    #[test]
    fn an_exit_makes_it_ask_at_once() {
        let mut ends = Ends::default();
        ends.hold(A, at(0));
        assert!(asked(&mut ends, A, 20_000).last() < Some(&19_999));
        ends.hurry(at(20_000));
        ends.poll(at(20_000), none, |_| SocketState::Released);
        assert_eq!(
            ends.take_released(MonoNs(u64::MAX)),
            [(A, told(at(20_000)))]
        );
    }

    #[test]
    fn a_process_that_ends_is_waited_for_until_it_has_let_go_and_not_for_ever() {
        let mut ends = Ends::default();
        let ask = |_| SocketState::Unknown;
        ends.note_exit(1, at(1_000), vec![A, B]);
        ends.note_exit(2, at(1_000), Vec::new());
        ends.poll(at(1_400), none, ask);
        assert_eq!(ends.let_go(2), []);
        assert_eq!(ends.let_go(1), [(A, at(1_000)), (B, at(1_000))]);
        assert_eq!(ends.let_go(1), []);
        ends.note_exit(1, at(1_000), vec![A]);
        ends.poll(at(1_401), none, ask);
        assert_eq!(ends.let_go(1), []);
        assert!(ends.dying.is_empty());
    }

    #[test]
    fn every_socket_is_asked_for_from_time_to_time_and_not_all_at_once() {
        let mut ends = Ends::default();
        let all = || (0..2_500).map(|i| Watched::Socket((i, 1)));
        let asked = std::cell::Cell::new(0);
        let ask = |watched: Watched| {
            asked.set(asked.get() + 1);
            if watched.key().0 == 3 {
                SocketState::Released
            } else {
                SocketState::Held(1)
            }
        };
        let mut counts = Vec::new();
        for ms in [1, 4_000, 5_001, 5_002, 5_003, 5_004, 10_001] {
            ends.poll(at(ms), all, ask);
            counts.push(asked.take());
        }
        assert_eq!(counts, [0, 0, 1_000, 1_000, 500, 0, 1_000]);
        let released = ends.take_released(MonoNs(u64::MAX));
        assert_eq!(released.len(), 1);
        assert_eq!(released[0].1.why, close::LOST);
    }

    #[test]
    fn what_is_freed_and_what_is_forgotten_have_ends_and_what_is_idle_has_none() {
        let mut ends = Ends::default();
        let object = Watched::Object(B, 9);
        let all = || [Watched::Socket(A), object].into_iter();
        let ask =
            |a: SocketState, b: SocketState| move |watched| if watched == object { b } else { a };
        ends.poll(at(1), all, ask(SocketState::Unknown, SocketState::Unknown));
        for ms in (6_000..60_000).step_by(6_000) {
            ends.poll(at(ms), all, ask(SocketState::Held(1), SocketState::Unknown));
        }
        assert_eq!(ends.take_released(MonoNs(u64::MAX)), []);
        ends.poll(
            at(66_000),
            all,
            ask(SocketState::Forgotten, SocketState::Released),
        );
        let mut found = ends.take_released(MonoNs(u64::MAX));
        found.sort_by_key(|(key, _)| *key);
        let release = |why| Release {
            at: at(66_000),
            why,
        };
        assert_eq!(
            found,
            [(A, release(close::EVICTED)), (B, release(close::LOST))]
        );
        // Somebody holds it: its end will be told, whatever the kernel side has forgotten.
        ends.hold(A, at(67_000));
        ends.poll(
            at(72_000),
            all,
            ask(SocketState::Held(1), SocketState::Held(1)),
        );
        assert_eq!(ends.take_released(MonoNs(u64::MAX)), []);
    }

    #[test]
    fn past_the_limit_a_held_socket_waits_for_the_look_at_all() {
        let mut ends = Ends::default();
        for i in 0..=MAX_HELD as u64 {
            ends.hold((i, 1), at(0));
        }
        assert_eq!(ends.held.len(), MAX_HELD);
        let watched = |key| move || [Watched::Socket(key)].into_iter();
        ends.poll(at(5), watched(B), |_| SocketState::Unknown);
        ends.poll(at(5_006), watched((MAX_HELD as u64, 1)), |_| {
            SocketState::Released
        });
        assert!(
            ends.take_released(MonoNs(u64::MAX))
                .iter()
                .any(|(key, release)| *key == (MAX_HELD as u64, 1) && release.at == at(5_006))
        );
    }
}
