//! An open scope as a live view shows it.

use super::{Content, Origin};
use crate::scope::label::Label;
use crate::time::MonoNs;

/// What is known of an open scope's matter. Unknown stays absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What is called: the path of a request.
    pub endpoint: Option<String>,
    /// The model, as the answer names it or, before that, the request.
    pub model: Option<String>,
    /// When the first token came, of a stream.
    pub first_token: Option<MonoNs>,
    /// Events with content so far, of a stream.
    pub tokens: Option<u64>,
}

/// Rows of scopes that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Those that began first, in that order.
    pub first: Vec<Row>,
    /// Number of those that are open besides.
    pub others: usize,
    /// Of all of them, requests that targets serve.
    pub served: usize,
    /// Of all of them, requests that targets make.
    pub made: usize,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id, parent, process and beginning.
    pub origin: Origin,
    /// Its name.
    pub name: Label,
    /// Which of a series it is.
    pub index: Option<i64>,
    /// What it is about.
    pub about: About,
}

impl Row {
    pub(super) fn new(origin: &Origin, content: &dyn Content) -> Option<Row> {
        Some(Row {
            origin: *origin,
            name: content.name(),
            index: content.index(),
            about: content.about(),
        })
    }

    /// How long it has been open, ns.
    pub fn age_ns(&self, now: MonoNs) -> u64 {
        now.since(self.origin.start.at)
    }

    /// How long its first token took, ns, where that has come.
    pub fn to_first_token_ns(&self) -> Option<u64> {
        let first = self.about.first_token?;
        Some(first.since(self.origin.start.at))
    }
}
