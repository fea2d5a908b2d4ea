//! What a call consists of, and how much of that is covered by what was done for it.

use serde::Serialize;

use crate::request::{Kind, Request};

/// A stretch of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Up to which moment: `first_byte`, `first_token`, `end`.
    pub to: &'static str,
    /// From which: `start`, `first_byte`, `first_token`.
    pub from: &'static str,
    /// How long.
    pub ms: f64,
    /// How much of it calls of the call cover, those at once counted once.
    pub in_calls_ms: f64,
}

/// What was done for a call, of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Done {
    /// `http.client`, `net.client`, or `scope`.
    pub kind: &'static str,
    /// How many.
    pub number: usize,
    /// How much of the call they cover, those at once counted once.
    pub ms: f64,
    /// Of it, before the first token, where there is one.
    pub before_first_token_ms: Option<f64>,
    /// The longest of them: what it is, and how long.
    pub longest: Vec<(String, f64)>,
    /// Those that had not ended.
    pub open: usize,
}

/// The longest that are named of each kind.
const LONGEST: usize = 3;

/// Whether something below a call is of a kind.
type Is = fn(&Request) -> bool;

/// Stretches of time, in ns from the call's start.
type Stretch = (u64, u64);

/// The parts of a call that took so long; none where that is not known.
pub(super) fn parts(request: &Request, latency_ms: Option<f64>) -> Vec<Part> {
    let Some(latency_ms) = latency_ms else {
        return Vec::new();
    };
    let figures = &request.figures;
    let within = |ms: &f64| (0.0..=latency_ms).contains(ms);
    let first_token = figures.ttft_ms.filter(within);
    let first_byte = figures
        .ttfb_ms
        .filter(|ms| within(ms) && first_token.is_none_or(|token| *ms <= token));
    let marks = [("first_byte", first_byte), ("first_token", first_token)];
    let calls = covered(request, latency_ms, is_call);
    let mut out = Vec::new();
    let (mut from, mut from_ms) = ("start", 0.0);
    let known = marks.into_iter().filter_map(|(to, ms)| Some((to, ms?)));
    for (to, ms) in known.chain([("end", latency_ms)]) {
        out.push(Part {
            to,
            from,
            ms: ms - from_ms,
            in_calls_ms: sum_within(&calls, ns(from_ms), ns(ms)),
        });
        (from, from_ms) = (to, ms);
    }
    out
}

/// What was done for it, by kind; nothing of kinds of which there is nothing.
pub(super) fn done(request: &Request, latency_ms: Option<f64>) -> Vec<Done> {
    let latency_ms = latency_ms.unwrap_or(f64::MAX);
    let kinds: [(&'static str, Is); 3] = [
        ("http.client", |child| child.kind == Kind::HttpClient),
        ("net.client", |child| child.kind == Kind::NetClient),
        ("scope", |child| child.kind == Kind::Scope),
    ];
    let mut out = Vec::new();
    for (kind, is_it) in kinds {
        let mut all = Vec::new();
        each(request, &mut |child| {
            if is_it(child) {
                all.push(child);
            }
        });
        if all.is_empty() {
            continue;
        }
        let stretches = covered(request, latency_ms, is_it);
        let length = |child: &Request| child.length_ns().map(|ns| ns as f64 / 1e6);
        let mut longest: Vec<(String, f64)> = all
            .iter()
            .filter_map(|child| Some((name(child), length(child)?)))
            .collect();
        longest.sort_by(|a, b| b.1.total_cmp(&a.1));
        longest.truncate(LONGEST);
        out.push(Done {
            kind,
            number: all.len(),
            ms: sum_within(&stretches, 0, u64::MAX),
            before_first_token_ms: request
                .figures
                .ttft_ms
                .map(|ttft| sum_within(&stretches, 0, ns(ttft))),
            longest,
            open: all.iter().filter(|child| child.end_ns.is_none()).count(),
        });
    }
    out
}

fn is_call(child: &Request) -> bool {
    matches!(child.kind, Kind::HttpClient | Kind::NetClient)
}

/// What it is, and where.
fn name(child: &Request) -> String {
    let at = child
        .server_address
        .as_deref()
        .map_or_else(String::new, |host| {
            let port = child
                .server_port
                .map_or_else(String::new, |port| format!(":{port}"));
            format!(" at {host}{port}")
        });
    match child.kind {
        Kind::HttpClient => format!("{}{at}", child.endpoint),
        Kind::NetClient => {
            let protocol = child.attr("cirron.net.protocol");
            let protocol = protocol.and_then(|protocol| protocol.as_text());
            format!("{}{at}", protocol.unwrap_or("a connection without HTTP"))
        }
        Kind::Request | Kind::Response | Kind::Scope => child.name.clone(),
    }
}

fn each<'r>(request: &'r Request, give: &mut dyn FnMut(&'r Request)) {
    for child in &request.children {
        give(child);
        each(child, give);
    }
}

/// The time of a call that some of what is below it covers, merged and in order.
fn covered(request: &Request, latency_ms: f64, is_it: Is) -> Vec<Stretch> {
    let whole = ns(latency_ms);
    let mut all: Vec<Stretch> = Vec::new();
    each(request, &mut |child| {
        if is_it(child) {
            let at = |time: u64| time.saturating_sub(request.start_ns).min(whole);
            // One that is open goes on to the end.
            let stretch = (at(child.start_ns), child.end_ns.map_or(whole, at));
            all.push(stretch);
        }
    });
    all.sort_unstable();
    let mut merged: Vec<Stretch> = Vec::new();
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn sum_within(stretches: &[Stretch], from: u64, to: u64) -> f64 {
    let sum: u64 = stretches
        .iter()
        .map(|(a, b)| (*b).min(to).saturating_sub((*a).max(from)))
        .sum();
    sum as f64 / 1e6
}

fn ns(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(kind: Kind, start_ms: u64, end_ms: Option<u64>) -> Request {
        Request {
            kind,
            name: "f".to_owned(),
            start_ns: start_ms * 1_000_000,
            end_ns: end_ms.map(|ms| ms * 1_000_000),
            ..Request::default()
        }
    }

    fn call() -> Request {
        let mut call = child(Kind::Request, 1_000, Some(2_000));
        call.figures.ttfb_ms = Some(100.0);
        call.figures.ttft_ms = Some(600.0);
        call.children = vec![
            child(Kind::HttpClient, 1_050, Some(1_300)),
            child(Kind::HttpClient, 1_200, Some(1_700)),
            child(Kind::Scope, 1_000, Some(1_010)),
        ];
        call
    }

    #[test]
    fn parts_follow_one_another_and_make_up_the_whole() {
        let found = parts(&call(), Some(1_000.0));
        let each: Vec<(&str, &str, f64)> = found.iter().map(|p| (p.from, p.to, p.ms)).collect();
        assert_eq!(
            each,
            [
                ("start", "first_byte", 100.0),
                ("first_byte", "first_token", 500.0),
                ("first_token", "end", 400.0)
            ]
        );
        let sum: f64 = found.iter().map(|part| part.ms).sum();
        assert_eq!(sum, 1_000.0);
        assert_eq!(parts(&call(), None), []);
    }

    #[test]
    fn calls_at_the_same_time_count_once() {
        let found = parts(&call(), Some(1_000.0));
        let in_calls: Vec<f64> = found.iter().map(|part| part.in_calls_ms).collect();
        assert_eq!(in_calls, [50.0, 500.0, 100.0]);
        let done = done(&call(), Some(1_000.0));
        assert_eq!(done.len(), 2, "nothing of net.client");
        assert_eq!(
            (done[0].kind, done[0].number, done[0].ms),
            ("http.client", 2, 650.0)
        );
        assert_eq!(done[0].before_first_token_ms, Some(550.0));
        assert_eq!((done[1].kind, done[1].ms), ("scope", 10.0));
    }

    #[test]
    fn what_reaches_beyond_the_call_covers_it_to_its_edge() {
        let mut call = call();
        call.children = vec![child(Kind::NetClient, 900, None)];
        let done = done(&call, Some(1_000.0));
        assert_eq!((done[0].ms, done[0].open), (1_000.0, 1));
    }
}
