//! What the engine must have counted, kept by hand from what it was given. No parser, no scopes: only which
//! bytes and ends of which generation came through.

use std::collections::BTreeMap;

use cirron_core::time::{MS, MonoNs};

use super::kernel::Actor;

pub(crate) type Key = (u64, u64);

/// As the engine has it: a connection stays so long behind its end.
const LINGER_NS: u64 = 500 * MS;
/// The same behind the end of its process.
const EXIT_LINGER_NS: u64 = 20 * MS;

/// One direction of one generation.
#[derive(Debug, Default)]
struct Bytes {
    end: u64,
    covered: u64,
}

impl Bytes {
    fn came(&mut self, pos: u64, len: u64) {
        self.covered += len;
        self.end = self.end.max(pos + len);
    }

    /// Number of bytes that had passed when an end was told: the tail before it is known.
    fn stood(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    fn lost(&self) -> u64 {
        self.end - self.covered
    }
}

/// How a generation ended, as far as the engine was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Told,
    WithProcess,
    Lost,
    Evicted,
}

impl Ended {
    fn is_untold(self) -> bool {
        matches!(self, Ended::Lost | Ended::Evicted)
    }
}

#[derive(Debug)]
struct Generation {
    bytes: [Bytes; 2],
    tgid: u32,
    is_socket: bool,
    halves: [bool; 2],
    ending: Option<(u64, Ended)>,
    muted: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    known: BTreeMap<Key, Generation>,
    /// The newest generation at a place; of an object, of one process.
    newest: BTreeMap<(u64, u32), Key>,
    pub(crate) connections: u64,
    pub(crate) lost_bytes: u64,
    pub(crate) ends_lost: u64,
    pub(crate) evicted: u64,
}

impl Expected {
    /// Something of a generation came.
    fn begin(&mut self, key: Key, actor: Actor, ts: u64) {
        let Actor {
            tgid, is_socket, ..
        } = actor;
        if self.known.contains_key(&key) {
            return;
        }
        let generation = Generation {
            bytes: [Bytes::default(), Bytes::default()],
            tgid,
            is_socket,
            halves: [false; 2],
            ending: None,
            muted: false,
        };
        self.connections += 1;
        self.known.insert(key, generation);
        let place = (key.0, if is_socket { 0 } else { tgid });
        if let Some(before) = self.newest.insert(place, key) {
            self.untold(before, ts, Ended::Lost);
        }
    }

    pub(crate) fn open(&mut self, key: Key, actor: Actor, ts: u64) {
        self.begin(key, actor, ts);
    }

    /// Bytes of a direction: their position and number.
    pub(crate) fn data(&mut self, key: Key, actor: Actor, ts: u64, bytes: (usize, u64, u64)) {
        let (dir, pos, len) = bytes;
        self.begin(key, actor, ts);
        if let Some(generation) = self.known.get_mut(&key) {
            generation.ending = generation.ending.filter(|(_, how)| !how.is_untold());
            generation.bytes[dir].came(pos, len);
        }
    }

    /// An end was told, with the number of bytes that had passed before it.
    pub(crate) fn stood(&mut self, key: Key, at: [u64; 2]) {
        if let Some(generation) = self.known.get_mut(&key).filter(|g| !g.muted) {
            for (bytes, end) in generation.bytes.iter_mut().zip(at) {
                bytes.stood(end);
            }
        }
    }

    /// It is not read any more.
    pub(crate) fn mute(&mut self, key: Key) {
        if let Some(generation) = self.known.get_mut(&key) {
            generation.muted = true;
        }
    }

    /// One side will send no more.
    pub(crate) fn half(&mut self, key: Key, side: usize) {
        if let Some(generation) = self.known.get_mut(&key) {
            generation.halves[side] = true;
        }
    }

    fn end(&mut self, key: Key, due: u64, how: Ended) {
        if let Some(generation) = self.known.get_mut(&key) {
            let ending = generation.ending.filter(|(_, how)| !how.is_untold());
            let (before, how) = ending.unwrap_or((due, how));
            generation.ending = Some((before.min(due), how));
        }
    }

    pub(crate) fn told(&mut self, key: Key, ts: u64) {
        self.end(key, ts + LINGER_NS, Ended::Told);
    }

    pub(crate) fn untold(&mut self, key: Key, ts: u64, how: Ended) {
        if let Some(generation) = self.known.get(&key)
            && generation.ending.is_none()
        {
            let both = generation.halves == [true; 2];
            self.end(key, ts + LINGER_NS, if both { Ended::Told } else { how });
        }
    }

    pub(crate) fn exit(&mut self, tgid: u32, ts: u64) {
        let its = self.known.iter().filter(|(_, g)| g.tgid == tgid);
        let its: Vec<_> = its
            .map(|(key, g)| (*key, g.is_socket && g.ending.is_none()))
            .collect();
        for (key, is_open_socket) in its {
            let linger = if is_open_socket {
                LINGER_NS
            } else {
                EXIT_LINGER_NS
            };
            self.end(key, ts + linger, Ended::WithProcess);
        }
    }

    /// The engine was told this time.
    pub(crate) fn time(&mut self, now: MonoNs) {
        let over = |g: &Generation| g.ending.filter(|(due, _)| *due <= now.0);
        let ended = self
            .known
            .iter()
            .filter_map(|(k, g)| Some((*k, over(g)?.1)));
        for (key, how) in ended.collect::<Vec<_>>() {
            self.forget(key);
            match how {
                Ended::Told | Ended::WithProcess => {}
                Ended::Lost => self.ends_lost += 1,
                Ended::Evicted => self.evicted += 1,
            }
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some(generation) = self.known.remove(&key) {
            for bytes in &generation.bytes {
                self.lost_bytes += bytes.lost();
            }
            let process = if generation.is_socket {
                0
            } else {
                generation.tgid
            };
            if self.newest.get(&(key.0, process)) == Some(&key) {
                self.newest.remove(&(key.0, process));
            }
        }
    }

    /// Those that are known and have no end.
    pub(crate) fn open_ones(&self) -> Vec<Key> {
        let open = self.known.iter().filter(|(_, g)| g.ending.is_none());
        open.map(|(key, _)| *key).collect()
    }

    /// All ends here.
    pub(crate) fn finish(&mut self) {
        // An end that was noted and is not due is the true one.
        let noted = self
            .known
            .iter()
            .map(|(k, g)| (*k, g.ending.map(|(_, how)| how)));
        for (key, how) in noted.collect::<Vec<_>>() {
            match how {
                Some(Ended::Lost) => self.ends_lost += 1,
                Some(Ended::Evicted) => self.evicted += 1,
                Some(Ended::Told | Ended::WithProcess) | None => {}
            }
            self.forget(key);
        }
    }
}
