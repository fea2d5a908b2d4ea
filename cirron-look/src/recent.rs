//! A bounded map from ids: the oldest entries are forgotten.

use std::collections::{HashMap, VecDeque};

use crate::key::Key;

/// The newest entries, up to a number.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    map: HashMap<Key, V, foldhash::fast::RandomState>,
    order: VecDeque<Key>,
    max: usize,
}

/// Where an entry was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// In the place of the one with its id.
    Again,
    /// Beside the others.
    New,
    /// Where the oldest one was, which is forgotten.
    ForAnother,
}

impl<V> Recent<V> {
    /// An empty one of at most `max` entries.
    pub(crate) fn new(max: usize) -> Recent<V> {
        Recent {
            map: HashMap::default(),
            order: VecDeque::new(),
            max,
        }
    }

    /// Puts an entry there.
    pub(crate) fn put(&mut self, key: Key, value: V) -> Placed {
        if self.map.insert(key, value).is_some() {
            return Placed::Again;
        }
        self.order.push_back(key);
        match self.map.len() > self.max {
            true => {
                self.order
                    .pop_front()
                    .map(|oldest| self.map.remove(&oldest));
                Placed::ForAnother
            }
            false => Placed::New,
        }
    }

    /// The entry with this id.
    pub(crate) fn get(&self, key: &Key) -> Option<&V> {
        self.map.get(key)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    /// Whether there is one.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.map.contains_key(key)
    }

    /// Takes it out, in the time that it takes to look through all.
    pub(crate) fn take(&mut self, key: &Key) -> Option<V> {
        let taken = self.map.remove(key)?;
        self.order.retain(|other| other != key);
        Some(taken)
    }

    /// Number of entries, and of keys in their order.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.map.len(), self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_gives_way_and_one_that_was_taken_costs_no_other() {
        let mut recent = Recent::new(2);
        let [a, b, c] = ["a", "b", "c"].map(Key::new);
        assert_eq!(
            (recent.put(a, 1), recent.put(a, 2), recent.put(b, 3)),
            (Placed::New, Placed::Again, Placed::New)
        );
        assert_eq!(recent.put(c, 4), Placed::ForAnother);
        assert_eq!((recent.get(&a), recent.get(&b)), (None, Some(&3)));
        for n in 0..10 {
            recent.take(&b);
            assert_eq!(recent.put(b, n), Placed::New);
        }
        assert!(recent.has(&c));
        assert_eq!(recent.sizes(), (2, 2));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recent = Recent::new(2);
        let keys = ["a", "b", "c"].map(Key::new);
        assert!(keys.iter().all(|key| recent.put(*key, ()) != Placed::Again));
        assert_eq!(recent.put(keys[2], ()), Placed::Again);
        assert_eq!(recent.put(keys[0], ()), Placed::ForAnother);
        assert_eq!(recent.sizes(), (2, 2));
    }
}
