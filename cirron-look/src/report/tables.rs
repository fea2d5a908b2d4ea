//! The same figures by endpoint and by model, a row each.

use std::collections::HashMap;

use super::html::{Cell, table, text};
use crate::figures::ranked;
use crate::survey::calls::{Call, Figure, NameId};
use crate::survey::names::Names;
use crate::survey::stats::Percentiles;
use crate::units::{count, ms, short};

/// Rows that are shown, those with most calls; what is below them is said in a sentence.
const MAX_ROWS: usize = 50;

/// Endpoints of all calls, those of models or not.
pub(super) fn by_endpoint(calls: &[&Call], names: &Names) -> String {
    by("Endpoint", calls, names, |call| call.endpoint)
}

/// Models of those that name one.
pub(super) fn by_model(calls: &[&Call], names: &Names) -> String {
    let named: Vec<&Call> = calls
        .iter()
        .copied()
        .filter(|call| call.model != crate::survey::names::NONE)
        .collect();
    if named.is_empty() {
        return "<p class=empty>No call names a model.</p>".to_owned();
    }
    by("Model", &named, names, |call| call.model)
}

fn by(title: &str, calls: &[&Call], names: &Names, of: fn(&Call) -> NameId) -> String {
    let mut groups: HashMap<NameId, Vec<&Call>> = HashMap::new();
    for call in calls {
        groups.entry(of(call)).or_default().push(call);
    }
    let mut groups: Vec<(NameId, Vec<&Call>)> = groups.into_iter().collect();
    groups.sort_by(|a, b| (b.1.len(), a.0).cmp(&(a.1.len(), b.0)));
    let all = groups.len();
    groups.truncate(MAX_ROWS);
    let rows: Vec<Vec<Cell>> = groups
        .iter()
        .map(|(id, group)| row(names.name(*id), group))
        .collect();
    let titles = [
        title,
        "calls",
        "failed",
        "aborted",
        "partial",
        "latency<br>p50",
        "<br>p95",
        "<br>p99",
        "1st token<br>p50",
        "<br>p95",
        "per token<br>p50",
        "<br>p95",
        "tokens in<br>p50",
        "out<br>p50",
        "out<br>sum",
    ];
    let mut out = table("wide", &titles, &rows);
    if all > rows.len() {
        out.push_str(&format!(
            "<p class=key>The {} with most calls of {}.</p>",
            rows.len(),
            count(all as u64)
        ));
    }
    out
}

fn row(name: &str, calls: &[&Call]) -> Vec<Cell> {
    let number = |is: fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count() as u64;
    let column = |of: Figure| {
        let mut values: Vec<f32> = calls.iter().filter_map(|call| of(call)).collect();
        Percentiles::from_values(&mut values).map(|told| (told, values))
    };
    let time = |value: Option<f32>| Cell::number(value.map(f64::from), ms);
    let size = |value: Option<f32>| Cell::number(value.map(f64::from), |n| count(n.round() as u64));
    let latency = column(Call::latency_ms).map(|(told, _)| told);
    let ttft = column(Call::ttft_ms).map(|(told, _)| told);
    let tpot = column(Call::tpot_ms).map(|(told, _)| told);
    let tokens_in = column(Call::tokens_in).and_then(|(_, sorted)| ranked(&sorted, 0.5));
    let tokens_out = column(Call::tokens_out);
    let sum = tokens_out
        .as_ref()
        .map(|(_, values)| values.iter().map(|v| f64::from(*v)).sum::<f64>());
    vec![
        Cell::text(name),
        Cell::count(calls.len() as u64),
        Cell::fault(number(Call::has_failed)),
        Cell::fault(number(Call::is_aborted)),
        Cell::fault(number(Call::is_partial)),
        time(latency.map(|l| l.p50)),
        time(latency.map(|l| l.p95)),
        time(latency.map(|l| l.p99)),
        time(ttft.map(|t| t.p50)),
        time(ttft.map(|t| t.p95)),
        time(tpot.map(|t| t.p50)),
        time(tpot.map(|t| t.p95)),
        size(tokens_in),
        size(tokens_out.as_ref().map(|(told, _)| told.p50)),
        Cell::number(sum, short),
    ]
}

/// The processes whose calls these are, a sentence.
pub(super) fn processes(sessions: impl Iterator<Item = (String, Option<i128>)>) -> String {
    let mut by_name: HashMap<String, u64> = HashMap::new();
    for (name, _) in sessions {
        *by_name.entry(name).or_default() += 1;
    }
    let mut all: Vec<(String, u64)> = by_name.into_iter().collect();
    all.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    let more = all.len().saturating_sub(6);
    let mut words: Vec<String> = all
        .iter()
        .take(6)
        .map(|(name, n)| {
            let name = if name.is_empty() { "(unnamed)" } else { name };
            match n {
                1 => text(name),
                n => format!("{} × {}", count(*n), text(name)),
            }
        })
        .collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}
