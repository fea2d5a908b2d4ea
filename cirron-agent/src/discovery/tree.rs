//! The descendants of a process.

use std::collections::{BTreeMap, HashSet};

use super::asked;

/// Parent of each process, by number, as one pass over `/proc` saw them.
pub fn parents() -> BTreeMap<u32, u32> {
    asked();
    let Ok(all) = procfs::process::all_processes() else {
        return BTreeMap::new();
    };
    all.filter_map(|process| {
        let stat = process.ok()?.stat().ok()?;
        Some((
            u32::try_from(stat.pid).ok()?,
            u32::try_from(stat.ppid).ok()?,
        ))
    })
    .collect()
}

/// Every descendant of `tgid`, parents before their children.
pub fn descendants(tgid: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut seen = HashSet::from([tgid]);
    let mut found = Vec::new();
    let mut frontier = vec![tgid];
    while !frontier.is_empty() {
        let next: Vec<u32> = parents
            .iter()
            .filter(|(child, parent)| frontier.contains(parent) && seen.insert(**child))
            .map(|(child, _)| *child)
            .collect();
        found.extend(&next);
        frontier = next;
    }
    found
}

/// Every ancestor of `tgid`, the nearest first.
pub fn ancestors(tgid: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut at = tgid;
    while let Some(parent) = parents.get(&at)
        && !found.contains(parent)
    {
        found.push(*parent);
        at = *parent;
    }
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn descendants_are_found_over_generations_and_cycles_end() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (9, 8), (8, 9), (5, 1)]);
        assert_eq!(descendants(1, &parents), [2, 5, 3, 4]);
        assert_eq!(descendants(8, &parents), [9]);
        assert_eq!(descendants(7, &parents), [0; 0]);
    }

    #[test]
    fn ancestors_end_at_the_top_and_in_a_cycle() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (9, 8), (8, 9)]);
        assert_eq!(ancestors(4, &parents), [3, 2, 1]);
        assert_eq!(ancestors(9, &parents), [8, 9]);
        assert_eq!(ancestors(7, &parents), [0; 0]);
    }

    #[test]
    fn of_our_parent_s_descendants_we_are_none() {
        use crate::discovery::{Processes as _, Procfs};
        let ours = std::process::id();
        let parent = parents()[&ours];
        let found = Procfs.descendants(&[parent]);
        assert!(
            found
                .iter()
                .all(|(tgid, root)| *tgid != ours && *root == parent)
        );
        assert!(Procfs.waits_for_us(parent) && !Procfs.waits_for_us(ours));
    }

    #[test]
    fn a_real_child_is_found() {
        let mut child = Command::new("sleep")
            .arg("100")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        assert!(descendants(std::process::id(), &parents()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
