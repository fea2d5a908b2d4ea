//! On which track a scope is drawn: a track a connection, and beside it as many as lie over one another.
//!
//! Slices of a track have to be within one another or apart. So what begins before a lane is free is drawn on the next
//! one: streams of HTTP/2, calls that a request makes at once. A lane is free from the latest end on it, so that this
//! holds whatever the order in which scopes come.

use std::collections::HashMap;

/// Connections of a process with tracks of their own; all others share lanes. Nobody reads a page of more.
pub(super) const MAX_CONNECTIONS: usize = 2_000;

/// Lanes of one connection, or of those that share. What would need more is not drawn, and counted.
pub(super) const MAX_LANES: usize = 1_000;

/// The lanes of connections past the most.
const OTHERS: &str = "other connections";

/// A track by its number, from 1 on.
pub(super) type Track = u64;

/// The lanes that there are, by the track that they belong to and their name.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    groups: HashMap<(Track, String), Vec<Lane>>,
    counts: HashMap<Track, usize>,
}

#[derive(Debug)]
struct Lane {
    track: Track,
    free_from_ns: u64,
}

/// Where a scope goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// On this track.
    Old(Track),
    /// On this one, which is new, of this name.
    New(Track, String),
    /// There is no room.
    None,
}

impl Lanes {
    /// A lane called `name`, below the track `of`, that is free from `start_ns` on; it is taken until `end_ns`. `next` is
    /// the number that a new one gets.
    pub(super) fn place(
        &mut self,
        of: Track,
        name: &str,
        (start_ns, end_ns): (u64, u64),
        next: &mut Track,
    ) -> Placed {
        let mut key = (of, name.to_owned());
        if !self.groups.contains_key(&key) {
            let count = self.counts.entry(of).or_default();
            if *count < MAX_CONNECTIONS {
                *count += 1;
            } else {
                key.1 = OTHERS.to_owned();
            }
        }
        let name = key.1.clone();
        let lanes = self.groups.entry(key).or_default();
        if let Some(lane) = lanes.iter_mut().find(|lane| lane.free_from_ns <= start_ns) {
            lane.free_from_ns = end_ns;
            return Placed::Old(lane.track);
        }
        if lanes.len() >= MAX_LANES {
            return Placed::None;
        }
        let track = *next;
        *next += 1;
        lanes.push(Lane {
            track,
            free_from_ns: end_ns,
        });
        match lanes.len() {
            1 => Placed::New(track, name),
            n => Placed::New(track, format!("{name} ({n})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_over_another_is_on_the_next_lane_in_whatever_order_they_come() {
        let (mut lanes, mut next) = (Lanes::default(), 1);
        let mut place = |start, end| lanes.place(0, "c", (start, end), &mut next);
        assert_eq!(place(0, 10), Placed::New(1, "c".into()));
        assert_eq!(place(10, 20), Placed::Old(1));
        assert_eq!(place(15, 30), Placed::New(2, "c (2)".into()));
        assert_eq!(place(2, 3), Placed::New(3, "c (3)".into()));
        assert_eq!(place(20, 21), Placed::Old(1));
    }

    #[test]
    fn connections_and_lanes_are_bounded() {
        let (mut lanes, mut next) = (Lanes::default(), 1);
        for n in 0..MAX_CONNECTIONS {
            lanes.place(0, &n.to_string(), (0, 1), &mut next);
        }
        assert!(
            matches!(lanes.place(0, "x", (0, 9), &mut next), Placed::New(_, name) if name == OTHERS)
        );
        assert!(
            matches!(lanes.place(0, "y", (0, 9), &mut next), Placed::New(_, name) if name.ends_with("(2)"))
        );
        assert!(
            matches!(lanes.place(7, "z", (0, 9), &mut next), Placed::New(_, name) if name == "z")
        );
        for _ in 2..MAX_LANES {
            lanes.place(0, "x", (0, 9), &mut next);
        }
        assert_eq!(lanes.place(0, "x", (0, 9), &mut next), Placed::None);
        assert!(matches!(
            lanes.place(0, "0", (1, 9), &mut next),
            Placed::Old(_)
        ));
    }
}
