//! What a capture takes of the machine's memory, where its cgroup allows less than the defaults need.
//!
//! ```text
//! limit of the cgroup, --ring-mib, --max-memory --> room() --> ring, bound of the core, maps of the kernel side
//! ```
//! A DaemonSet is often given 128 MiB. What was asked for is taken as it is; what was not is halved until all of it fits,
//! [`MAX_HALVINGS`] times at most, and is said. It reads nothing: the limit is the caller's to find
//! ([`crate::kernel::memory_limit`]).

use cirron_common::maps::{MAX_CONNS, RING_BYTES};
use cirron_core::DEFAULT_MAX_MEMORY_BYTES;

use crate::driver::IN_FLIGHT_BYTES;
use crate::kernel::{MAPS_BYTES, PROGRAM_BYTES};
use crate::output::queue::queue_bytes;

/// Behind it 8 192 connections are followed in the kernel, and one prompt fills the ring.
const MAX_HALVINGS: u32 = 3;

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of the ring.
    pub ring_bytes: u32,
    /// What the core may hold; `None`: its default.
    pub max_memory: Option<usize>,
    /// How often the maps of the kernel side are halved.
    pub halvings: u32,
}

impl Room {
    fn halved(ring: Option<u32>, max_memory: Option<usize>, halvings: u32) -> Room {
        let smaller = (halvings > 0).then_some(DEFAULT_MAX_MEMORY_BYTES >> halvings);
        Room {
            ring_bytes: ring.unwrap_or(RING_BYTES >> halvings),
            max_memory: max_memory.or(smaller),
            halvings,
        }
    }

    /// What is needed, with one output.
    fn bytes(self) -> u64 {
        let core = self.max_memory.unwrap_or(DEFAULT_MAX_MEMORY_BYTES);
        let held = core.saturating_add(queue_bytes(core));
        let program = PROGRAM_BYTES + IN_FLIGHT_BYTES as u64;
        program + (MAPS_BYTES >> self.halvings) + u64::from(self.ring_bytes) + held as u64
    }
}

/// What is taken where `limit` bytes are allowed: `ring` bytes and `max_memory` where they were asked for. With it what
/// has to be said.
pub fn room(
    limit: Option<u64>,
    ring: Option<u32>,
    max_memory: Option<usize>,
) -> (Room, Option<String>) {
    let whole = Room::halved(ring, max_memory, 0);
    let Some(limit) = limit.filter(|limit| *limit < whole.bytes()) else {
        return (whole, None);
    };
    let halved = |n| Room::halved(ring, max_memory, n);
    let room = (1..=MAX_HALVINGS)
        .map(halved)
        .find(|r| r.bytes() <= limit)
        .unwrap_or_else(|| halved(MAX_HALVINGS));
    let mib = |bytes: u64| bytes >> 20;
    let core = room.max_memory.unwrap_or(DEFAULT_MAX_MEMORY_BYTES) as u64;
    let mut said = format!(
        "the cgroup's memory is limited to {} MiB: taken are --ring-mib {}, --max-memory {}MiB, and maps for {} \
         connections",
        mib(limit),
        mib(room.ring_bytes.into()),
        mib(core),
        MAX_CONNS >> room.halvings
    );
    if room.bytes() > limit {
        let need = mib(room.bytes());
        said.push_str(&format!(
            "\n  that may not do: allow {need} MiB (MemoryMax of a service, limits.memory of a container)"
        ));
    }
    (room, Some(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn in_mib(limit: u64) -> (Room, String) {
        let (room, said) = room(Some(limit * MIB), None, None);
        assert!(said.is_some() || room.bytes() <= limit * MIB);
        (room, said.unwrap_or_default())
    }

    #[test]
    fn without_a_limit_and_with_a_high_one_the_defaults_are_taken() {
        let defaults = Room {
            ring_bytes: RING_BYTES,
            max_memory: None,
            halvings: 0,
        };
        assert_eq!(room(None, None, None), (defaults, None));
        assert_eq!(in_mib(240), (defaults, String::new()));
        assert_ne!(in_mib(239).0, defaults);
    }

    #[test]
    fn where_little_is_allowed_what_was_not_asked_for_is_made_to_fit() {
        for limit in [239, 200, 150, 128, 110] {
            let (room, said) = in_mib(limit);
            assert!(room.bytes() <= limit * MIB, "{limit}: {room:?}");
            assert!(!said.contains("may not do"), "{said}");
        }
        let (room, said) = in_mib(128);
        let want = Room {
            ring_bytes: 8 << 20,
            max_memory: Some(16 << 20),
            halvings: 2,
        };
        assert_eq!(room, want);
        assert_eq!(
            said,
            "the cgroup's memory is limited to 128 MiB: taken are --ring-mib 8, --max-memory 16MiB, and maps for 16384 \
             connections"
        );
    }

    #[test]
    fn what_was_asked_for_is_taken_and_what_may_not_do_is_said() {
        let (room, said) = room(Some(128 * MIB), Some(64 << 20), Some(100 << 20));
        assert_eq!(
            (room.ring_bytes, room.max_memory),
            (64 << 20, Some(100 << 20))
        );
        assert_eq!(room.halvings, MAX_HALVINGS);
        let said = said.unwrap_or_default();
        assert!(said.contains("that may not do: allow"), "{said}");
        assert!(in_mib(32).1.contains("that may not do"), "{said}");
    }
}
