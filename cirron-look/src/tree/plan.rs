//! What is drawn, and in what order: lines of a bounded number, depth and width of the tree.

use std::collections::HashMap;

use super::index::{At, Index};

/// Lines that are drawn of one tree: more is not read by a person, and less by none.
pub(super) const MAX_LINES: usize = 10_000;

/// Depth that is drawn: an exchange is 1, its responses are 2. The scopes of the SDK may nest.
pub(super) const MAX_DEPTH: usize = 16;

/// A step of drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DrawStep {
    /// Spans with the same parent come next, at this depth.
    Group(usize),
    /// A span at this depth.
    Span(usize, At),
    /// Number of requests of the session that stand below the calls that they answer.
    Elsewhere(usize, usize),
    /// Number of older siblings of the next that are not drawn.
    Earlier(usize, usize),
    /// Number of spans below that are not drawn.
    Below(usize, usize),
}

/// The steps, and what they leave out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In order.
    pub(super) steps: Vec<DrawStep>,
    /// Sessions in which nothing happened.
    pub(super) idle: usize,
    /// Scopes below sessions that the filter leaves out.
    pub(super) left_out: usize,
    /// Spans that hang on one another in a circle.
    pub(super) circling: usize,
    /// Spans for whose lines there was no room.
    pub(super) past: usize,
}

/// The index as a tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// All spans by their parent's place (behind all of them for a root), then by their start.
    order: Vec<At>,
    /// Where the children of a span begin in `order`; behind them the roots', and those that the filter leaves out.
    begins: Vec<usize>,
    /// Spans in the tree below each, itself included; 0 in a circle.
    sizes: Vec<u32>,
    /// Of each session the requests that stand below the calls that they answer.
    elsewhere: HashMap<At, Vec<At>>,
}

impl Tree {
    /// Of an index.
    pub(super) fn new(index: &Index) -> Tree {
        let spans = &index.spans;
        let count = spans.len();
        let parents = index.above();
        let mut begins = vec![0; count + 3];
        for parent in &parents {
            if let Some(n) = begins.get_mut(parent + 1) {
                *n += 1;
            }
        }
        let mut sum = 0;
        for n in &mut begins {
            sum += *n;
            *n = sum;
        }
        let mut order: Vec<At> = (0..count as At).collect();
        order.sort_by_key(|at| {
            let at = *at as usize;
            (parents.get(at), spans.get(at).map(|span| span.start_ns))
        });
        let mut tree = Tree {
            order,
            begins,
            sizes: vec![0; count],
            elsewhere: HashMap::new(),
        };
        for (at, span) in spans.iter().enumerate() {
            if index.answered(span).is_some()
                && let Some(session) = span.parent.and_then(|key| index.place(key))
            {
                tree.elsewhere.entry(session).or_default().push(at as At);
            }
        }
        // Parents before their children; then, from the end, each adds itself to its parent.
        let mut reached: Vec<At> = [tree.roots(), tree.left_out()].concat();
        let mut next = 0;
        while let Some(at) = reached.get(next).copied() {
            reached.extend_from_slice(tree.children(at));
            next += 1;
        }
        for at in reached.into_iter().rev() {
            let at = at as usize;
            let mut size = 1;
            if let Some(own) = tree.sizes.get_mut(at) {
                *own += 1;
                size = *own;
            }
            if let Some(sum) = parents
                .get(at)
                .and_then(|parent| tree.sizes.get_mut(*parent))
            {
                *sum += size;
            }
        }
        tree
    }

    /// Spans without a parent in the spool, by their start.
    pub(super) fn roots(&self) -> &[At] {
        self.list(self.sizes_len())
    }

    /// What the filter leaves out.
    pub(super) fn left_out(&self) -> &[At] {
        self.list(self.sizes_len() + 1)
    }

    /// The children of a span, by their start.
    pub(super) fn children(&self, at: At) -> &[At] {
        self.list(at as usize)
    }

    /// Of a session the requests that stand below the calls that they answer.
    pub(super) fn elsewhere(&self, at: At) -> &[At] {
        self.elsewhere
            .get(&at)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn sizes_len(&self) -> usize {
        self.begins.len().saturating_sub(3)
    }

    fn list(&self, parent: usize) -> &[At] {
        let at = |n: usize| self.begins.get(n).copied().unwrap_or(0);
        self.order
            .get(at(parent)..at(parent + 1))
            .unwrap_or_default()
    }

    /// Spans below it.
    fn below(&self, at: At) -> usize {
        self.sizes
            .get(at as usize)
            .map_or(0, |size| size.saturating_sub(1) as usize)
    }
}

/// Plans the drawing: of each list of children the latest `limit`. `idle`: sessions in which nothing
/// happened are drawn too.
pub(super) fn plan(index: &Index, tree: &Tree, limit: usize, idle: bool) -> Plan {
    let mut plan = Plan {
        circling: tree.sizes.iter().filter(|size| **size == 0).count(),
        ..Plan::default()
    };
    let is_idle = |at: &At| {
        index.spans.get(*at as usize).is_some_and(|span| {
            let has_note = span.has_note && !index.is_filtered();
            let is_empty = tree.children(*at).is_empty() && tree.elsewhere(*at).is_empty();
            span.is_session && !has_note && is_empty
        })
    };
    let all = tree.roots();
    let busy: Vec<At> = all.iter().copied().filter(|at| !is_idle(at)).collect();
    // Where nothing happened in any of them, they are what there is to show.
    let all_are = !index.is_filtered() && (idle || busy.is_empty());
    let roots = if all_are { all } else { &busy };
    if index.is_filtered() {
        plan.left_out = tree.left_out().len();
    } else {
        plan.idle = all.len() - roots.len();
    }
    // A stack of its own: what a file says is a chain may be longer than ours.
    let mut stack: Vec<DrawStep> = Vec::new();
    let mut spans = 0;
    push(&mut stack, roots, 0, limit);
    while let Some(step) = stack.pop() {
        if let DrawStep::Span(depth, at) = step {
            if spans == MAX_LINES {
                plan.past += 1 + tree.below(at);
                continue;
            }
            spans += 1;
            plan.steps.push(step);
            let elsewhere = tree.elsewhere(at).len();
            if elsewhere > 0 {
                plan.steps.push(DrawStep::Elsewhere(depth + 1, elsewhere));
            }
            let children = tree.children(at);
            if depth + 1 < MAX_DEPTH {
                push(&mut stack, children, depth + 1, limit);
            } else if !children.is_empty() {
                plan.steps.push(DrawStep::Below(depth + 1, tree.below(at)));
            }
        } else if spans < MAX_LINES {
            plan.steps.push(step);
        }
    }
    plan
}

fn push(stack: &mut Vec<DrawStep>, list: &[At], depth: usize, limit: usize) {
    let earlier = list.len().saturating_sub(limit);
    let drawn = list.get(earlier..).unwrap_or_default();
    stack.extend(drawn.iter().rev().map(|at| DrawStep::Span(depth, *at)));
    if !drawn.is_empty() {
        stack.push(DrawStep::Group(depth));
    }
    if earlier > 0 {
        stack.push(DrawStep::Earlier(depth, earlier));
    }
}
