//! The scopes that a thread works for, the innermost last.
//!
//! It is what gives a scope its parent and a mark its scope. Only numbers lie in it, in the
//! thread's own storage; nothing is allocated. A scope may leave from the middle: guards need not
//! be dropped in the order in which they were made.
//!
//! ```text
//! push: innermost ─▶ [ .. ] ─▶ at most 64, then refused and counted
//! take: from wherever it lies ─▶ those above it move down
//! ```
//!
//! It is kept only for scopes that somebody listened to when they began: others have no identity.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sites;

/// Scopes that a thread can have open at once. The Cirron SDK has the same limit.
pub const MAX_DEPTH: usize = 64;

/// Scopes that were not told because there were [`MAX_DEPTH`] open on their thread.
static TOO_DEEP: AtomicU64 = AtomicU64::new(0);

/// The reason of the probe `dropped`.
const REASON_TOO_DEEP: u64 = 1;

struct Stack {
    ids: Cell<[u64; MAX_DEPTH]>,
    len: Cell<usize>,
}

impl Stack {
    fn slots(&self) -> &[Cell<u64>] {
        let ids: &Cell<[u64]> = &self.ids;
        ids.as_slice_of_cells()
    }

    /// Those in use.
    fn used(&self) -> &[Cell<u64>] {
        self.slots().get(..self.len.get()).unwrap_or(&[])
    }
}

thread_local! {
    // It needs no destructor, so that it can be used while a thread ends.
    static STACK: Stack = const {
        Stack {
            ids: Cell::new([0; MAX_DEPTH]),
            len: Cell::new(0),
        }
    };
}

/// The innermost scope, or 0.
pub(crate) fn current() -> u64 {
    STACK.with(|stack| stack.used().last().map_or(0, Cell::get))
}

/// How many there are.
pub(crate) fn depth() -> usize {
    STACK.with(|stack| stack.len.get())
}

/// Whether one more has room; if not, that is counted and told.
pub(crate) fn has_room() -> bool {
    let room = depth() < MAX_DEPTH;
    if !room {
        let total = TOO_DEEP.fetch_add(1, Ordering::Relaxed) + 1;
        if sites::dropped::listens() {
            sites::dropped::hit((REASON_TOO_DEEP, total));
        }
    }
    room
}

/// Makes a scope the innermost one. False, and counted, if there is no room.
pub(crate) fn push(id: u64) -> bool {
    has_room()
        && STACK.with(|stack| match stack.slots().get(stack.len.get()) {
            Some(slot) => {
                slot.set(id);
                stack.len.set(stack.len.get() + 1);
                true
            }
            None => false,
        })
}

/// Takes a scope out, wherever it lies. False if it is not there.
pub(crate) fn take(id: u64) -> bool {
    STACK.with(|stack| {
        let used = stack.used();
        let position = match used.iter().rposition(|slot| slot.get() == id) {
            Some(position) => position,
            None => return false,
        };
        for above in position + 1..used.len() {
            if let (Some(to), Some(from)) = (used.get(above - 1), used.get(above)) {
                to.set(from.get());
            }
        }
        stack.len.set(used.len() - 1);
        true
    })
}

/// Takes out those above the first `depth`, the outermost first.
pub(crate) fn split_off(depth: usize) -> Vec<u64> {
    STACK.with(|stack| {
        let above = stack.used().get(depth..).unwrap_or(&[]);
        let ids = above.iter().map(Cell::get).collect();
        stack.len.set(stack.len.get().min(depth));
        ids
    })
}

/// Scopes that were not told of because their thread had [`MAX_DEPTH`] open ones, in this program
/// so far. A tracer is told the same number by the probe `dropped`.
///
/// ```
/// assert_eq!(cirron_probe::dropped(), 0);
/// ```
pub fn dropped() -> u64 {
    TOO_DEEP.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_is_the_current_one() {
        assert_eq!(current(), 0);
        assert!(push(1) && push(2));
        assert_eq!((current(), depth()), (2, 2));
        assert!(take(2));
        assert_eq!(current(), 1);
    }

    #[test]
    fn one_in_the_middle_leaves_the_others() {
        assert!(push(1) && push(2) && push(3));
        assert!(take(1));
        assert_eq!((current(), depth()), (3, 2));
        assert!(take(3));
        assert_eq!(current(), 2);
        assert!(!take(3));
        assert_eq!(split_off(0), [2]);
        assert_eq!(current(), 0);
    }

    #[test]
    fn what_is_entered_twice_leaves_once() {
        assert!(push(1) && push(2) && push(1));
        assert!(take(1));
        assert_eq!((current(), depth()), (2, 2));
    }

    #[test]
    fn past_the_limit_is_refused_and_counted() {
        let before = dropped();
        for id in 1..=MAX_DEPTH as u64 {
            assert!(push(id));
        }
        assert!(!push(65));
        assert_eq!(current(), MAX_DEPTH as u64);
        assert!(dropped() > before);
    }
}
