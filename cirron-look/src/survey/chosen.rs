//! A few calls read again, whole, with all that is below them: of the files alone in which these stand.
//!
//! Marks of a scope stand in its own batch where the agent wrote it; of a spool whose marks stand elsewhere a scope has
//! fewer figures here than it could have.

use std::collections::BTreeSet;

use cirron_spool::read::{Left, Take, parse};
use cirron_spool::rows::{MarkRow, SpanRow};

use super::calls::Call;
use super::collect::{Collected, Link, Map};
use crate::key::Key;
use crate::request::{Detail, Request};
use crate::requests::Spools;

/// Scopes that are kept below the chosen ones, in sum.
const MAX_BELOW: usize = 20_000;

/// Depth to which scopes are looked for.
const MAX_DEPTH: usize = 32;

/// What was found of the chosen calls.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// In the order of the calls; one whose file was evicted meanwhile lacks.
    pub(crate) requests: Vec<Request>,
    /// Scopes below them for which there was no room.
    pub(crate) past: usize,
}

/// Reads these calls again.
pub(crate) fn chosen(spools: &Spools, all: &Collected, calls: &[&Call]) -> Chosen {
    let mut by_parent: Vec<&Link> = all.links.iter().collect();
    by_parent.sort_unstable_by_key(|link| link.parent);
    let below = |parent: Key| {
        let from = by_parent.partition_point(|link| link.parent < parent);
        let rest = by_parent.get(from..).unwrap_or_default();
        rest.iter().take_while(move |link| link.parent == parent)
    };
    let mut wanted: Map<()> = calls.iter().map(|call| (call.key, ())).collect();
    let mut files: BTreeSet<u32> = calls.iter().map(|call| call.file).collect();
    let mut level: Vec<Key> = calls.iter().map(|call| call.key).collect();
    let mut past = 0;
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for link in level.iter().flat_map(|parent| below(*parent)) {
            if wanted.len() >= MAX_BELOW + calls.len() && !wanted.contains_key(&link.child) {
                past += 1;
                continue;
            }
            files.insert(link.file);
            if wanted.insert(link.child, ()).is_none() {
                next.push(link.child);
            }
        }
        level = next;
    }
    let mut again = Again {
        wanted,
        found: Map::default(),
        detail: Detail::All,
    };
    read_files(spools, &files, &mut again);
    let mut children: Map<Vec<Request>> = Map::default();
    let mut tops: Map<Request> = Map::default();
    let top: Map<()> = calls.iter().map(|call| (call.key, ())).collect();
    for (key, (has_row, request)) in again.found {
        match (has_row, &request.parent) {
            (false, _) => {}
            (true, _) if top.contains_key(&key) => {
                tops.insert(key, request);
            }
            (true, Some(parent)) => {
                children.entry(Key::new(parent)).or_default().push(request);
            }
            (true, None) => {}
        }
    }
    let requests = calls.iter().filter_map(|call| tops.remove(&call.key));
    let requests = requests.map(|top| with_children(top, &mut children, 0));
    Chosen {
        requests: requests.collect(),
        past,
    }
}

/// The fields and marks of these calls alone, in no order.
pub(crate) fn fields(spools: &Spools, calls: &[&Call]) -> Vec<Request> {
    let mut again = Again {
        wanted: calls.iter().map(|call| (call.key, ())).collect(),
        found: Map::default(),
        detail: Detail::Fields,
    };
    let files = calls.iter().map(|call| call.file).collect();
    read_files(spools, &files, &mut again);
    let found = again.found.into_values().filter(|(has_row, _)| *has_row);
    found.map(|(_, request)| request).collect()
}

/// Hands the rows of these files to `take`; what was evicted meanwhile is not there.
fn read_files<T: Take>(spools: &Spools, files: &BTreeSet<u32>, take: &mut T) {
    // Files are counted from 1 on, over all spools, as they were when all was read.
    let mut number = 0;
    // What cannot be read was counted when all was read.
    let (mut bytes, mut left) = (Vec::new(), Left::default());
    for batches in spools.batches() {
        for name in batches.names() {
            number += 1;
            if files.contains(&number) && batches.load(name, &mut bytes, &mut left) {
                // So was damage.
                let _ = parse(&bytes, take);
            }
        }
    }
}

fn with_children(mut request: Request, below: &mut Map<Vec<Request>>, depth: usize) -> Request {
    if depth < MAX_DEPTH
        && let Some(mut children) = below.remove(&Key::new(&request.id))
    {
        children.sort_by(|a, b| (a.start_ns, &a.id).cmp(&(b.start_ns, &b.id)));
        request.children = children
            .into_iter()
            .map(|child| with_children(child, below, depth + 1))
            .collect();
    }
    request
}

/// The second reading. A scope is kept with whether its row has come: marks may come before.
struct Again {
    wanted: Map<()>,
    found: Map<(bool, Request)>,
    detail: Detail,
}

impl Take for Again {
    fn span(&mut self, row: &SpanRow<'_>) {
        let key = Key::new(&row.id.0);
        if !self.wanted.contains_key(&key) {
            return;
        }
        let (has_row, old) = self.found.entry(key).or_default();
        if *has_row && old.end_ns.is_some() && row.end_ns.is_none() {
            return;
        }
        let mut request = Request::new(row, self.detail);
        let (cached, reasoning) = (
            request.figures.cached_tokens,
            request.figures.reasoning_tokens,
        );
        request.marks = std::mem::take(&mut old.marks);
        request.figures = std::mem::take(&mut old.figures);
        // These two are attributes.
        request.figures.cached_tokens = cached;
        request.figures.reasoning_tokens = reasoning;
        (*has_row, *old) = (true, request);
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        let key = Key::new(&row.span_id.0);
        if self.wanted.contains_key(&key) {
            let (_, request) = self.found.entry(key).or_default();
            request.take_mark(row, self.detail);
        }
    }
}
