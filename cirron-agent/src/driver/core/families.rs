//! Targets that a rule chose, their descendants, and what the rule calls them.
//!
//! A target that somebody named by number has none of it. What is kept goes with the process.

use std::collections::HashMap;

/// Which chosen target a process is, or descends from.
#[derive(Clone, Debug)]
struct Member {
    root: u32,
    name: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Families(HashMap<u32, Member>);

impl Families {
    /// A rule chose `root`, and calls it so. Gives those of its family that were called otherwise.
    pub(super) fn choose(&mut self, root: u32, name: Option<&str>) -> Vec<u32> {
        let member = || Member {
            root,
            name: name.map(str::to_owned),
        };
        let mut renamed = Vec::new();
        for (tgid, its) in &mut self.0 {
            if its.root == root && its.name.as_deref() != name {
                *its = member();
                renamed.push(*tgid);
            }
        }
        // It may descend from another one, which a rule chose before.
        self.0.insert(root, member());
        renamed
    }

    /// `child` descends from `parent`.
    pub(super) fn fork(&mut self, parent: u32, child: u32) {
        if let Some(its) = self.0.get(&parent).cloned() {
            self.0.insert(child, its);
        }
    }

    /// It has gone, or is a target no more.
    pub(super) fn forget(&mut self, tgid: u32) {
        self.0.remove(&tgid);
    }

    /// What it is called.
    pub(super) fn name(&self, tgid: u32) -> Option<&str> {
        self.0.get(&tgid)?.name.as_deref()
    }

    /// A chosen target and its descendants, itself first.
    pub(super) fn members(&self, root: u32) -> Vec<u32> {
        let mut all: Vec<u32> = self
            .0
            .iter()
            .filter(|(_, its)| its.root == root)
            .map(|(tgid, _)| *tgid)
            .collect();
        all.sort_by_key(|tgid| (*tgid != root, *tgid));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_called_as_their_target_also_when_that_changes() {
        let mut families = Families::default();
        assert_eq!(families.choose(7, Some("a")), [0; 0]);
        families.fork(7, 8);
        families.fork(8, 9);
        families.fork(1, 2);
        assert_eq!((families.name(9), families.name(2)), (Some("a"), None));
        let mut renamed = families.choose(7, Some("b"));
        renamed.sort_unstable();
        assert_eq!(renamed, [7, 8, 9]);
        assert_eq!(families.members(7), [7, 8, 9]);
        assert_eq!(families.name(9), Some("b"));
        families.forget(8);
        assert_eq!(families.members(7), [7, 9]);
        let mut renamed = families.choose(7, None);
        renamed.sort_unstable();
        assert_eq!(renamed, families.members(7));
        assert_eq!(families.name(9), None);
    }
}
