//! Where a thread of a Python process keeps its state, and that the context that it runs: found in its memory.
//!
//! ```text
//! fs -> thread's storage --slot--> PyThreadState --context--> PyContext --8--> PyContext_Type
//!                                   '-- a word of it is fs again: the number that pthreads know the thread by
//! ```
//! Neither distance is the same in two builds, and the first depends on what else the program has loaded. So both are tried:
//! there is one pair at which all of that holds. Where there are none or several, it is not known, and said so. While the
//! thread runs Python's code a second place may hold the same pointer; one look later it does not.

use thiserror::Error;

use super::memory::Memory;

/// Where a slot may lie, from what `fs` points to: behind it in the thread's descriptor (glibc's first block of keys), before it
/// in the program's own thread variables.
const BEHIND: i64 = 0x900;
const BEFORE: i64 = 0x2000;
/// Bytes of a thread's state in which its number lies.
const NUMBER_WITHIN: usize = 0x200;
/// Bytes of it in which the context lies.
const CONTEXT_WITHIN: usize = 0x400;
const WORD: usize = 8;
/// From an object to its type.
const TYPE_AT: u64 = 8;
/// Of a type, to the function that frees its objects: the same since Python 3.
pub const DEALLOC_AT: u64 = 48;
/// Below it nothing is mapped.
const FIRST_PAGES: u64 = 0x1_0000;
/// Addresses of programs end here.
const USER_END: u64 = 1 << 47;

/// How a thread's context is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// From what `fs` points to.
    pub slot: i64,
    /// From the thread's state.
    pub context: u64,
}

/// Why that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unknown {
    /// The thread may be none of Python's, or has run in no context so far.
    #[error("no thread was seen that is in a context")]
    Nowhere,
    /// One of them is by chance.
    #[error("several places look like a thread's context")]
    Several,
}

fn is_pointer(word: u64) -> bool {
    word.is_multiple_of(WORD as u64) && (FIRST_PAGES..USER_END).contains(&word)
}

/// The way on a thread whose `fs` points to `storage`. `kind`: address of `PyContext_Type`.
pub fn way(memory: &dyn Memory, storage: u64, kind: u64) -> Result<Way, Unknown> {
    let mut found = None;
    for slot in (0..BEHIND).chain(-BEFORE..0).step_by(WORD) {
        let state = memory.word(storage.wrapping_add_signed(slot));
        let Some(state) = state.filter(|state| is_pointer(*state)) else {
            continue;
        };
        for context in contexts(memory, state, storage, kind) {
            if found.replace(Way { slot, context }).is_some() {
                return Err(Unknown::Several);
            }
        }
    }
    found.ok_or(Unknown::Nowhere)
}

/// Where in what may be a thread's state a context stands, with a number behind it that counts.
fn contexts(memory: &dyn Memory, state: u64, storage: u64, kind: u64) -> Vec<u64> {
    let mut bytes = [0; CONTEXT_WITHIN + WORD];
    if !memory.read(state, &mut bytes) {
        return Vec::new();
    }
    let words: Vec<u64> = bytes
        .chunks_exact(WORD)
        .filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes))
        .collect();
    if !words
        .iter()
        .take(NUMBER_WITHIN / WORD)
        .any(|word| *word == storage)
    {
        return Vec::new();
    }
    let is_context = |word: u64| is_pointer(word) && memory.word(word + TYPE_AT) == Some(kind);
    let pairs = words.windows(2).enumerate();
    let pairs = pairs.filter_map(|(n, pair)| match pair {
        [context, version] => Some((n, *context, *version)),
        _ => None,
    });
    pairs
        .filter(|(_, context, version)| (1..USER_END).contains(version) && is_context(*context))
        .map(|(n, ..)| (n * WORD) as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const STORAGE: u64 = 0x7f00_0000_1740;
    const STATE: u64 = 0x5500_0000_0100;
    const CONTEXT: u64 = 0x7f00_0010_0040;
    const KIND: u64 = 0x5500_0000_9000;

    #[derive(Default)]
    struct Words(BTreeMap<u64, u64>);

    impl Memory for Words {
        fn read(&self, address: u64, to: &mut [u8]) -> bool {
            let addresses = (0..).map(|n| address.wrapping_add(8 * n));
            for (at, word) in addresses.zip(to.chunks_mut(8)) {
                let Some(value) = self.0.get(&at) else {
                    return false;
                };
                word.copy_from_slice(&value.to_ne_bytes());
            }
            true
        }
    }

    /// A thread, whose state is reached by 792 and has its context at 208.
    fn thread() -> Words {
        let mut words = Words::default();
        for at in (0..0x900).step_by(8) {
            words.0.insert(STORAGE + at, 0);
        }
        for at in (0..0x800).step_by(8) {
            words.0.insert(STATE + at, at);
        }
        let known = [
            (STORAGE + 792, STATE),
            (STATE + 152, STORAGE),
            (STATE + 208, CONTEXT),
            (STATE + 216, 7),
            (CONTEXT, 1),
            (CONTEXT + 8, KIND),
        ];
        words.0.extend(known);
        words
    }

    #[test]
    fn the_way_to_a_context_is_found() {
        let way = way(&thread(), STORAGE, KIND);
        assert_eq!(
            way,
            Ok(Way {
                slot: 792,
                context: 208
            })
        );
    }

    #[test]
    fn it_may_lie_before_what_fs_points_to() {
        let mut words = thread();
        words.0.insert(STORAGE + 792, 0);
        words.0.insert(STORAGE - 64, STATE);
        assert_eq!(
            way(&words, STORAGE, KIND),
            Ok(Way {
                slot: -64,
                context: 208
            })
        );
    }

    #[test]
    fn two_ways_are_none() {
        let mut words = thread();
        words.0.insert(STORAGE + 16, STATE);
        assert_eq!(way(&words, STORAGE, KIND), Err(Unknown::Several));
        let mut words = thread();
        words.0.extend([(STATE + 400, CONTEXT), (STATE + 408, 1)]);
        assert_eq!(way(&words, STORAGE, KIND), Err(Unknown::Several));
    }

    #[test]
    fn without_its_number_its_context_or_a_count_it_is_no_thread_s_state() {
        for (at, value) in [
            (STATE + 152, 0),
            (STATE + 208, 0),
            (STATE + 216, 0),
            (CONTEXT + 8, KIND + 8),
            (STORAGE + 792, STATE + 4),
        ] {
            let mut words = thread();
            words.0.insert(at, value);
            assert_eq!(way(&words, STORAGE, KIND), Err(Unknown::Nowhere), "{at:#x}");
        }
    }

    #[test]
    fn memory_that_cannot_be_read_tells_nothing() {
        let all: Vec<u64> = thread().0.keys().copied().collect();
        for gone in all {
            let mut words = thread();
            words.0.remove(&gone);
            let found = way(&words, STORAGE, KIND);
            let is_right = found
                == Ok(Way {
                    slot: 792,
                    context: 208,
                });
            assert!(
                is_right || found == Err(Unknown::Nowhere),
                "{gone:#x} {found:?}"
            );
        }
        assert_eq!(
            way(&Words::default(), u64::MAX, KIND),
            Err(Unknown::Nowhere)
        );
    }
}
