//! The requests of a window, by what was called and which model: rows in, a [`View`] out.
//!
//! A key is a way (served, called), an endpoint and a model. Of each key the samples of the window are held, and the
//! last requests whole, to be looked at; of scopes below them the last ones. All three are bounded, and what a bound
//! left out is in the view. What is counted is what ended within the window.

use std::collections::{HashMap, VecDeque};

use cirron_look::figures::ranked;
use cirron_look::request::{Kind, Request};

use crate::live::{Live, Open};
use crate::view::{Figures, Line, Percentiles, View};

/// Keys that are told apart. A client chooses paths and models: what comes later is one line, "other".
pub const MAX_KEYS: usize = 1_000;

/// Samples that are held in sum, some 100 bytes each: of 3 000 requests a second for a minute. Past it the oldest go,
/// and the view says so.
pub const MAX_SAMPLES: usize = 200_000;

/// Requests of a key that are held whole: what a screen shows of it, several times.
pub const MAX_LAST: usize = 100;

/// Requests that are held whole in sum, some 3 kB each.
pub const MAX_WHOLE: usize = 5_000;

/// Scopes below requests that are held, the last ones, some 3 kB each.
pub const MAX_BELOW: usize = 5_000;

/// What a line is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineKey {
    /// It was asked for, not served.
    pub is_call: bool,
    /// As `tree` names it.
    pub endpoint: String,
    /// The model; `None` where none was seen.
    pub model: Option<String>,
}

#[derive(Debug)]
struct Sample {
    key: u32,
    end_ns: u64,
    latency_ms: f64,
    ttft_ms: Option<f64>,
    tpot_ms: Option<f64>,
    input: Option<u64>,
    output: Option<u64>,
    failed: bool,
    aborted: bool,
    partial: bool,
}

/// The window.
#[derive(Debug)]
pub struct Board {
    window_ns: u64,
    keys: Vec<LineKey>,
    places: HashMap<LineKey, u32>,
    /// In the order of reading, which is nearly that of their ends.
    samples: VecDeque<Sample>,
    last: HashMap<u32, VecDeque<Request>>,
    /// Keys in the order in which their requests came, to drop the oldest one.
    whole: VecDeque<u32>,
    below: VecDeque<Request>,
    /// Newest sample that had to go for want of room.
    dropped_to_ns: u64,
    /// When something came first.
    since_ns: Option<u64>,
}

/// The line of what no line was left for.
const OTHER: u32 = 0;

impl Board {
    /// An empty one.
    pub fn new(window_ns: u64) -> Board {
        let other = LineKey {
            is_call: false,
            endpoint: "other".to_owned(),
            model: None,
        };
        Board {
            window_ns,
            keys: vec![other],
            places: HashMap::new(),
            samples: VecDeque::new(),
            last: HashMap::new(),
            whole: VecDeque::new(),
            below: VecDeque::new(),
            dropped_to_ns: 0,
            since_ns: None,
        }
    }

    /// How long it is.
    pub fn window_ns(&self) -> u64 {
        self.window_ns
    }

    /// It is known from here on: requests that ended before are not.
    pub fn begin(&mut self, wall_ns: u64) {
        self.since_ns.get_or_insert(wall_ns);
    }

    /// Takes a scope that ended; one that goes on is the agent's to tell.
    pub fn take(&mut self, request: Request) {
        let Some(end_ns) = request.end_ns else { return };
        let is_call = match request.kind {
            Kind::Request => false,
            Kind::HttpClient => true,
            Kind::NetClient | Kind::Response | Kind::Scope => {
                self.keep_below(request);
                return;
            }
        };
        let key = self.key(LineKey {
            is_call,
            endpoint: request.endpoint.clone(),
            model: request.model().map(str::to_owned),
        });
        self.samples.push_back(Sample {
            key,
            end_ns,
            latency_ms: request.length_ns().unwrap_or_default() as f64 / 1e6,
            ttft_ms: request.figures.ttft_ms,
            tpot_ms: request.figures.tpot_ms,
            input: request.figures.input_tokens,
            output: request.figures.output_tokens,
            failed: request.has_failed(),
            aborted: request.aborted_by.is_some(),
            partial: request.is_partial,
        });
        if self.samples.len() > MAX_SAMPLES
            && let Some(gone) = self.samples.pop_front()
        {
            self.dropped_to_ns = self.dropped_to_ns.max(gone.end_ns);
        }
        if is_call {
            self.keep_below(request.clone());
        }
        self.keep_whole(key, request);
    }

    fn keep_below(&mut self, request: Request) {
        self.below.push_back(request);
        if self.below.len() > MAX_BELOW {
            self.below.pop_front();
        }
    }

    fn keep_whole(&mut self, key: u32, request: Request) {
        let last = self.last.entry(key).or_default();
        last.push_back(request);
        if last.len() > MAX_LAST {
            last.pop_front();
            return;
        }
        self.whole.push_back(key);
        if self.whole.len() > MAX_WHOLE
            && let Some(oldest) = self.whole.pop_front()
            && let Some(last) = self.last.get_mut(&oldest)
        {
            last.pop_front();
        }
    }

    fn key(&mut self, key: LineKey) -> u32 {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        if self.keys.len() > MAX_KEYS {
            return OTHER;
        }
        let place = self.keys.len() as u32;
        self.keys.push(key.clone());
        self.places.insert(key, place);
        place
    }

    /// How it stands. `live`: what the agents say, none where there is none to ask.
    pub fn view(&mut self, wall_ns: u64, live: &[Live]) -> View {
        let from = wall_ns.saturating_sub(self.window_ns);
        // What was read first ended first, but for some: those are passed over below.
        while self.samples.front().is_some_and(|s| s.end_ns < from) {
            self.samples.pop_front();
        }
        let cut = self.dropped_to_ns > from;
        let from = from.max(self.dropped_to_ns);
        let known_from = from.max(self.since_ns.unwrap_or(wall_ns));
        let ended = self.samples.iter().map(|sample| sample.end_ns);
        let earliest = ended.filter(|end| *end >= known_from).min();
        // An agent that was started in the window has seen no more than since then, or since the first that is here.
        let lived_s = live.iter().map(|live| live.duration_s).reduce(f64::max);
        let lived = lived_s.map_or(0, |s| wall_ns.saturating_sub((s * 1e9) as u64));
        let known_from = known_from.max(earliest.map_or(lived, |end| end.min(lived)));
        // Of a window that has just begun, the second that the spool needs is still to come.
        let length_s = (wall_ns.saturating_sub(known_from) as f64 / 1e9).max(1.0);
        let mut sums: HashMap<u32, Sums> = HashMap::new();
        let mut all = Sums::default();
        for sample in self.samples.iter().filter(|s| s.end_ns >= known_from) {
            sums.entry(sample.key).or_default().add(sample);
            // A call and the request that it is at the other end are one piece of work.
            if self
                .keys
                .get(sample.key as usize)
                .is_some_and(|key| !key.is_call)
            {
                all.add(sample);
            }
        }
        let is_live = !live.is_empty();
        let mut open = GoesOn::new(live, &self.keys, &self.samples);
        let mut lines: Vec<Line> = Vec::new();
        for (place, sums) in sums {
            if let Some(key) = self.keys.get(place as usize) {
                let goes_on = open.take(place);
                lines.push(Line {
                    key: key.clone(),
                    open: is_live.then_some(goes_on.len()),
                    goes_on,
                    figures: sums.figures(length_s),
                });
            }
        }
        for (key, goes_on) in open.rest() {
            lines.push(Line {
                key,
                open: Some(goes_on.len()),
                goes_on,
                figures: Sums::default().figures(length_s),
            });
        }
        View {
            wall_ns,
            window_s: length_s,
            is_cut: cut,
            open: is_live.then(|| live.iter().map(|l| l.open.len() + l.others).sum()),
            total: all.figures(length_s),
            lines,
            agents: live
                .iter()
                .map(|l| (l.pid, l.targets, l.line.clone()))
                .collect(),
        }
    }

    /// The last requests of a line, the newest first.
    pub fn last(&self, key: &LineKey) -> Vec<Request> {
        let place = self.places.get(key).copied().unwrap_or(OTHER);
        let last = self.last.get(&place);
        last.map_or_else(Vec::new, |last| last.iter().rev().cloned().collect())
    }

    /// A request with what is known to be below it, in the order of their beginnings.
    pub fn with_children(&self, request: &Request) -> Request {
        self.with_children_to(request, 16)
    }

    fn with_children_to(&self, request: &Request, depth: usize) -> Request {
        let mut whole = request.clone();
        if depth == 0 {
            return whole;
        }
        let children = self
            .below
            .iter()
            .filter(|below| below.parent.as_deref() == Some(&*request.id));
        whole.children = children
            .map(|child| self.with_children_to(child, depth - 1))
            .collect();
        whole.children.sort_by_key(|child| child.start_ns);
        whole
    }
}

/// What the samples of a line add up to.
#[derive(Default)]
struct Sums {
    requests: u64,
    failed: u64,
    aborted: u64,
    partial: u64,
    input: Option<u64>,
    output: Option<u64>,
    latency_ms: Vec<f64>,
    ttft_ms: Vec<f64>,
    tpot_ms: Vec<f64>,
}

impl Sums {
    fn add(&mut self, sample: &Sample) {
        self.requests += 1;
        self.failed += u64::from(sample.failed);
        self.aborted += u64::from(sample.aborted);
        self.partial += u64::from(sample.partial);
        let and = |sum: Option<u64>, more: Option<u64>| match (sum, more) {
            (Some(sum), Some(more)) => Some(sum + more),
            (sum, more) => sum.or(more),
        };
        self.input = and(self.input, sample.input);
        self.output = and(self.output, sample.output);
        self.latency_ms.push(sample.latency_ms);
        self.ttft_ms.extend(sample.ttft_ms);
        self.tpot_ms.extend(sample.tpot_ms);
    }

    fn figures(mut self, length_s: f64) -> Figures {
        Figures {
            requests: self.requests,
            requests_per_s: self.requests as f64 / length_s,
            ttft_ms: percentiles(&mut self.ttft_ms),
            latency_ms: percentiles(&mut self.latency_ms),
            tpot_ms: percentiles(&mut self.tpot_ms),
            input_per_s: self.input.map(|tokens| tokens as f64 / length_s),
            output_per_s: self.output.map(|tokens| tokens as f64 / length_s),
            failed: self.failed,
            aborted: self.aborted,
            partial: self.partial,
        }
    }
}

fn percentiles(values: &mut [f64]) -> Percentiles {
    values.sort_unstable_by(f64::total_cmp);
    Percentiles {
        p50: ranked(values, 0.50),
        p95: ranked(values, 0.95),
        p99: ranked(values, 0.99),
    }
}

/// What goes on, by line. An open exchange says its path and not its method: it belongs to the line with that path
/// and model that was busiest, and to a line of its own where there is none.
struct GoesOn {
    known: HashMap<u32, Vec<Open>>,
    unknown: HashMap<LineKey, Vec<Open>>,
}

impl GoesOn {
    fn new(live: &[Live], keys: &[LineKey], samples: &VecDeque<Sample>) -> GoesOn {
        let mut all = GoesOn {
            known: HashMap::new(),
            unknown: HashMap::new(),
        };
        let mut busy: HashMap<u32, usize> = HashMap::new();
        for sample in samples {
            *busy.entry(sample.key).or_default() += 1;
        }
        let mut lines: HashMap<(bool, &str, Option<&str>), (usize, u32)> = HashMap::new();
        for (place, key) in keys.iter().enumerate() {
            let path = key
                .endpoint
                .split_once(' ')
                .map_or(&*key.endpoint, |(_, path)| path);
            let candidate = (
                busy.get(&(place as u32)).copied().unwrap_or(0),
                place as u32,
            );
            let line = lines
                .entry((key.is_call, path, key.model.as_deref()))
                .or_default();
            *line = (*line).max(candidate);
        }
        for open in live.iter().flat_map(|live| &live.open) {
            let is_call = match &*open.name {
                "request" => false,
                "http.client" => true,
                _ => continue,
            };
            let path = open.endpoint.as_deref().unwrap_or_default();
            match lines.get(&(is_call, path, open.model.as_deref())) {
                Some((busy, place)) if *busy > 0 => {
                    all.known.entry(*place).or_default().push(open.clone());
                }
                Some(_) | None => {
                    let key = open_key(open, is_call);
                    if all.unknown.len() < MAX_KEYS || all.unknown.contains_key(&key) {
                        all.unknown.entry(key).or_default().push(open.clone());
                    }
                }
            }
        }
        // Of several agents.
        for rows in all.known.values_mut().chain(all.unknown.values_mut()) {
            rows.sort_by_key(|open| std::cmp::Reverse(open.age_ns));
        }
        all
    }

    fn take(&mut self, place: u32) -> Vec<Open> {
        self.known.remove(&place).unwrap_or_default()
    }

    fn rest(self) -> impl Iterator<Item = (LineKey, Vec<Open>)> {
        self.unknown.into_iter()
    }
}

fn open_key(open: &Open, is_call: bool) -> LineKey {
    LineKey {
        is_call,
        endpoint: open
            .endpoint
            .clone()
            .unwrap_or_else(|| "(head not read yet)".to_owned()),
        model: open.model.clone(),
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
