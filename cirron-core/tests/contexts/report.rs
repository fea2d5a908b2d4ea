//! What became of calls, scopes and marks: below their own request, below another one's, or below none.
//!
//! Stands behind the simulation, and judges what the engine wrote by the numbers in paths and names.

use std::collections::BTreeMap;

use cirron_core::id::Id;
use cirron_core::scope::{AttrValue, Mark, MarkValue, Span};

use crate::statement;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) right: u64,
    /// Those of them that are in a scope.
    pub(crate) in_scopes: u64,
    /// Marks of none that are their request's.
    pub(crate) marks: u64,
    pub(crate) wrong: u64,
    /// By evidence.
    pub(crate) by: BTreeMap<String, u64>,
    pub(crate) wrong_by: BTreeMap<String, u64>,
    /// By reason.
    pub(crate) unknown: BTreeMap<String, u64>,
}

impl Report {
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown.values().sum()
    }
}

fn text(span: &Span, name: &str) -> Option<String> {
    match span.attrs.get(name) {
        Some(AttrValue::Str(text)) => Some(text.to_string()),
        _ => None,
    }
}

fn of_path(span: &Span, prefix: &str) -> Option<u64> {
    text(span, "url.path")?.strip_prefix(prefix)?.parse().ok()
}

/// The number of a call or of a scope that is told.
fn called(span: &Span) -> Option<u64> {
    let told = || span.name.as_str().strip_prefix("s/")?.parse().ok();
    of_path(span, "/c/").or_else(told)
}

/// Numbers of what is around something, up to its request; `None`: it is below none.
fn around(by_id: &BTreeMap<Id, &Span>, span: &Span) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut next = span.parent_id;
    while let Some(span) = next.and_then(|id| by_id.get(&id)) {
        if let Some(number) = of_path(span, "/r/") {
            numbers.push(number);
            return Some(numbers);
        }
        numbers.extend(called(span));
        next = span.parent_id;
    }
    None
}

pub(crate) fn judge(written: &[(Span, Vec<Mark>)], report: &mut Report) {
    let by_id: BTreeMap<_, &Span> = written.iter().map(|(span, _)| (span.id, span)).collect();
    for (span, marks) in written {
        let number = of_path(span, "/r/").or(called(span));
        for mark in marks.iter().filter(|mark| mark.name.as_str() == "m") {
            let is_its = number.map(|n| MarkValue::Int(n as i64)) == Some(mark.value.clone());
            report.marks += u64::from(is_its);
            report.wrong += u64::from(!is_its);
        }
        let own = called(span);
        if own.is_none() && span.name.as_str() != "net.client" {
            continue;
        }
        let is_own = |number: &u64| {
            own.map_or_else(|| statement::is_of(span, *number), |own| own == *number)
        };
        let by = text(span, "cirron.parent.by").unwrap_or_default();
        match around(&by_id, span) {
            None => {
                let why = text(span, "cirron.parent.unknown").unwrap_or_default();
                *report.unknown.entry(why).or_default() += 1;
            }
            Some(numbers) if numbers.iter().all(is_own) => {
                report.right += 1;
                report.in_scopes += u64::from(numbers.len() > 1);
                *report.by.entry(by).or_default() += 1;
            }
            Some(_) => {
                report.wrong += 1;
                *report.wrong_by.entry(by).or_default() += 1;
            }
        }
    }
}
