//! What is shown, before it is drawn: lines, totals, and in which order.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::board::LineKey;
use crate::live::Open;

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// When.
    pub wall_ns: u64,
    /// Seconds that the figures are of.
    pub window_s: f64,
    /// The window is shorter than was asked for, since more requests ended in it than are held.
    pub is_cut: bool,
    /// Exchanges that go on; `None` where nobody tells.
    pub open: Option<usize>,
    /// Of all that was served.
    pub total: Figures,
    /// By endpoint and model, in no order.
    pub lines: Vec<Line>,
    /// The agents that were asked: process, targets, what they say of themselves.
    pub agents: Vec<(u32, usize, String)>,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is of.
    pub key: LineKey,
    /// How many go on; `None` where nobody tells.
    pub open: Option<usize>,
    /// Those of them that an agent names, the oldest first.
    pub goes_on: Vec<Open>,
    /// Its figures.
    pub figures: Figures,
}

/// What ended in the window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many.
    pub requests: u64,
    /// How many a second.
    pub requests_per_s: f64,
    /// To the first token.
    pub ttft_ms: Percentiles,
    /// From the first byte to the end.
    pub latency_ms: Percentiles,
    /// For each token after the first.
    pub tpot_ms: Percentiles,
    /// Prompt tokens a second, of requests that say how many; `None` where none does.
    pub input_per_s: Option<f64>,
    /// Output tokens a second, of requests that say how many or were counted; `None` where there is none.
    pub output_per_s: Option<f64>,
    /// Those that went wrong.
    pub failed: u64,
    /// Those that somebody broke off.
    pub aborted: u64,
    /// Those that a hole, a late attach or an early end touched.
    pub partial: u64,
}

/// Three of them, in milliseconds; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: Option<f64>,
    /// 95 of 100 are.
    pub p95: Option<f64>,
    /// 99 of 100 are.
    pub p99: Option<f64>,
}

/// By what lines are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Requests a second, the most first.
    #[default]
    Requests,
    /// What goes on.
    Open,
    /// 95th percentile of the time to the first token.
    FirstToken,
    /// 95th percentile of the latency.
    Latency,
    /// Output tokens a second.
    Tokens,
    /// Errors and aborts.
    Errors,
    /// The name, from a to z.
    Name,
}

impl Sort {
    /// All, in the order in which a key goes through them.
    pub const ALL: [Sort; 7] = [
        Sort::Requests,
        Sort::Open,
        Sort::FirstToken,
        Sort::Latency,
        Sort::Tokens,
        Sort::Errors,
        Sort::Name,
    ];

    /// As it is called.
    pub fn word(self) -> &'static str {
        match self {
            Sort::Requests => "requests",
            Sort::Open => "open",
            Sort::FirstToken => "ttft",
            Sort::Latency => "latency",
            Sort::Tokens => "tokens",
            Sort::Errors => "errors",
            Sort::Name => "name",
        }
    }

    /// The one before or behind, around the end.
    pub fn step(self, by: isize) -> Sort {
        let at = Sort::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        let next = (at as isize + by).rem_euclid(Sort::ALL.len() as isize);
        Sort::ALL.get(next as usize).copied().unwrap_or_default()
    }

    fn value(self, line: &Line) -> f64 {
        let figures = &line.figures;
        match self {
            Sort::Requests => figures.requests_per_s,
            Sort::Open => line.open.map_or(-1.0, |n| n as f64),
            Sort::FirstToken => figures.ttft_ms.p95.unwrap_or(-1.0),
            Sort::Latency => figures.latency_ms.p95.unwrap_or(-1.0),
            Sort::Tokens => figures.output_per_s.unwrap_or(-1.0),
            Sort::Errors => (figures.failed + figures.aborted) as f64,
            Sort::Name => 0.0,
        }
    }
}

/// What of a view is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// The order.
    pub sort: Sort,
    /// The other way round.
    pub is_reversed: bool,
    /// Only lines that have this in their endpoint or model, in capitals or not.
    pub filter: String,
}

impl View {
    /// The lines that are wanted, in order. What is equal is in the order of names, so that nothing jumps about.
    pub fn chosen(&self, choice: &Choice) -> Vec<&Line> {
        let wanted = choice.filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let mut lines: Vec<&Line> = self
            .lines
            .iter()
            .filter(|line| has(&line.key.endpoint) || line.key.model.as_deref().is_some_and(has))
            .collect();
        lines.sort_by(|a, b| {
            let by_value = choice.sort.value(b).total_cmp(&choice.sort.value(a));
            let order = by_value.then_with(|| a.key.cmp(&b.key));
            if choice.is_reversed {
                order.reverse()
            } else {
                order
            }
        });
        lines
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let lines: Vec<&Line> = self.chosen(&Choice::default());
        let agents: Vec<Agent<'_>> = self
            .agents
            .iter()
            .map(|(pid, targets, line)| Agent {
                pid: *pid,
                targets: *targets,
                line,
            })
            .collect();
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("time_ns", &self.wall_ns)?;
        map.serialize_entry("window_s", &self.window_s)?;
        map.serialize_entry("window_is_cut", &self.is_cut)?;
        map.serialize_entry("open", &self.open)?;
        map.serialize_entry("total", &self.total)?;
        map.serialize_entry("endpoints", &lines)?;
        map.serialize_entry("agents", &agents)?;
        map.end()
    }
}

#[derive(Serialize)]
struct Agent<'a> {
    pid: u32,
    targets: usize,
    line: &'a str,
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("way", if self.key.is_call { "called" } else { "served" })?;
        map.serialize_entry("endpoint", &self.key.endpoint)?;
        map.serialize_entry("model", &self.key.model)?;
        map.serialize_entry("open", &self.open)?;
        entries(&self.figures, &mut map)?;
        map.end()
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        entries(self, &mut map)?;
        map.end()
    }
}

fn entries<M: serde::ser::SerializeMap>(figures: &Figures, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("requests", &figures.requests)?;
    map.serialize_entry("requests_per_s", &figures.requests_per_s)?;
    map.serialize_entry("time_to_first_token_ms", &figures.ttft_ms)?;
    map.serialize_entry("latency_ms", &figures.latency_ms)?;
    map.serialize_entry("time_per_output_token_ms", &figures.tpot_ms)?;
    map.serialize_entry("input_tokens_per_s", &figures.input_per_s)?;
    map.serialize_entry("output_tokens_per_s", &figures.output_per_s)?;
    map.serialize_entry("failed", &figures.failed)?;
    map.serialize_entry("aborted", &figures.aborted)?;
    map.serialize_entry("partial", &figures.partial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::line;

    fn names(view: &View, choice: &Choice) -> Vec<String> {
        let lines = view.chosen(choice).into_iter();
        lines.map(|line| line.key.endpoint.clone()).collect()
    }

    #[test]
    fn lines_are_sorted_filtered_and_turned_round() {
        let view = View {
            lines: vec![
                line("GET /a", None, 1.0),
                line("POST /b", Some("Qwen"), 3.0),
                line("GET /c", None, 1.0),
            ],
            ..View::default()
        };
        let mut choice = Choice::default();
        assert_eq!(names(&view, &choice), ["POST /b", "GET /a", "GET /c"]);
        choice.is_reversed = true;
        assert_eq!(names(&view, &choice), ["GET /c", "GET /a", "POST /b"]);
        choice.filter = "qw".into();
        assert_eq!(names(&view, &choice), ["POST /b"]);
        choice = Choice {
            sort: Sort::Name,
            filter: "GET".into(),
            ..Choice::default()
        };
        assert_eq!(names(&view, &choice), ["GET /a", "GET /c"]);
    }

    #[test]
    fn orders_are_gone_through_both_ways() {
        assert_eq!(Sort::Requests.step(-1), Sort::Name);
        let all = (0..7).fold(Sort::Requests, |sort, _| sort.step(1));
        assert_eq!(all, Sort::Requests);
    }

    #[test]
    fn what_is_unknown_is_null_in_json() {
        let view = View {
            lines: vec![line("GET /a", None, 1.0)],
            ..View::default()
        };
        let json = serde_json::to_value(&view).unwrap_or_default();
        assert_eq!(json["open"], serde_json::Value::Null);
        assert_eq!(
            json["endpoints"][0]["time_to_first_token_ms"]["p50"],
            serde_json::Value::Null
        );
        assert_eq!(json["endpoints"][0]["requests_per_s"], 1.0);
    }
}
