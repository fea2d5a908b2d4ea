//! The page: its sections in their order, and the words around them.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::Options;
use super::charts::{Across, Unit, distribution, empty, over};
use super::html::text;
use super::slo::{Judged, judge_one};
use super::window::Window;
use super::{quality, tables, waterfall};
use crate::figures::date_time;
use crate::survey::Population;
use crate::survey::calls::{Call, Figure, Flags};
use crate::survey::chosen::Chosen;
use crate::survey::collect::Collected;
use crate::survey::load::in_flight;
use crate::survey::stats::{P95_FROM, Percentiles, Scale, bands};
use crate::units::{count, ms, percent, plural, short};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Most bins over time: each some 5 pixels wide, so that a median in each is a line.
const TIME_BINS: usize = 60;

/// Most bins over concurrency: few, so that each has calls enough for a p95.
const LOAD_BINS: usize = 20;

/// Fewest of either, and calls to a bin from which there are more.
const MIN_BINS: usize = 8;
const CALLS_TO_A_BIN: usize = 2 * P95_FROM;

fn bins(calls: usize, most: usize) -> usize {
    (calls / CALLS_TO_A_BIN).clamp(MIN_BINS, most)
}

/// What is on it.
pub(super) struct Page<'p> {
    pub(super) all: &'p Collected,
    pub(super) population: Population,
    /// Of the population, by their start.
    pub(super) calls: &'p [&'p Call],
    pub(super) slowest: &'p Chosen,
    pub(super) left_out: &'p [String],
    pub(super) options: &'p Options,
}

/// A figure that has a section.
struct Metric {
    title: &'static str,
    what: &'static str,
    unit: Unit,
    of: Figure,
    lacks: &'static str,
}

const METRICS: [Metric; 5] = [
    Metric {
        title: "First token",
        what: "request’s first byte to the first event with content, of streams",
        unit: Unit::Ms,
        of: Call::ttft_ms,
        lacks: "No call has a time to its first token: only streamed answers of models have one.",
    },
    Metric {
        title: "Time per token",
        what: "first token to last, over the tokens between, of streams",
        unit: Unit::Ms,
        of: Call::tpot_ms,
        lacks: "No call has a time per token: only streamed answers of several events have one.",
    },
    Metric {
        title: "Latency",
        what: "request’s first byte to the answer’s end",
        unit: Unit::Ms,
        of: Call::latency_ms,
        lacks: "No call has a latency: of none both ends were seen.",
    },
    Metric {
        title: "Prompt size",
        what: "input tokens, as the server reports them",
        unit: Unit::Tokens,
        of: Call::tokens_in,
        lacks: "No call has a number of input tokens: no server reported any.",
    },
    Metric {
        title: "Output size",
        what: "output tokens, reported or counted",
        unit: Unit::Tokens,
        of: Call::tokens_out,
        lacks: "No call has a number of output tokens.",
    },
];

impl Page<'_> {
    /// Writes all of it.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let window = Window::spanning(self.calls);
        let title = self.title(&window);
        write!(
            out,
            "<!DOCTYPE html><html lang=en><head><meta charset=utf-8>\
             <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'\">\
             <meta name=viewport content=\"width=device-width,initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head><body><main>"
        )?;
        out.write_all(self.head(&title, &window).as_bytes())?;
        if self.calls.is_empty() {
            let none = "<p class=empty>There is no request in this spool. The agent writes one for each exchange that a \
                        watched process serves or makes; <code>cirron-agent tree -v</code> shows what else is there.</p>";
            out.write_all(none.as_bytes())?;
        } else {
            out.write_all(self.summary(&window).as_bytes())?;
            out.write_all(self.goodput(&window).as_bytes())?;
            out.write_all(self.metrics(&window).as_bytes())?;
            out.write_all(self.groups().as_bytes())?;
            out.write_all(self.slowest(&window).as_bytes())?;
        }
        out.write_all(self.quality().as_bytes())?;
        out.write_all(self.foot().as_bytes())?;
        write!(out, "</main><script>{SCRIPT}</script></body></html>")?;
        out.flush()
    }

    fn title(&self, window: &Window) -> String {
        let (one, many) = self.population.words();
        let number = plural(self.calls.len() as u64, one, many);
        if self.calls.is_empty() {
            return "No requests".to_owned();
        }
        format!("{number} in {}", ms(window.ms()))
    }

    fn head(&self, title: &str, window: &Window) -> String {
        let sessions = self.all.sessions.values();
        let processes =
            tables::processes(sessions.map(|session| (session.name.clone(), session.pid)));
        let mut sub: Vec<String> = Vec::new();
        if !self.calls.is_empty() {
            sub.push(format!(
                "{} to {} UTC",
                date_time(window.from),
                date_time(window.to)
            ));
        }
        if !processes.is_empty() {
            let n = self.all.sessions.len() as u64;
            sub.push(format!(
                "{}: {processes}",
                plural(n, "process", "processes")
            ));
        }
        format!(
            "<header><h1>{title}</h1><p class=sub>{}</p></header>",
            sub.join(" · ")
        )
    }

    fn summary(&self, window: &Window) -> String {
        let calls = self.calls;
        let total = calls.len() as u64;
        let number = |is: fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count() as u64;
        let sum = |of: Figure| -> (u64, f64) {
            let values = calls.iter().filter_map(|call| of(call));
            values.fold((0, 0.0), |(n, sum), v| (n + 1, sum + f64::from(v)))
        };
        let (failed, aborted, partial) = (
            number(Call::has_failed),
            number(Call::is_aborted),
            number(Call::is_partial),
        );
        let by_client = number(|call| call.has(Flags::BY_CLIENT));
        let (with_in, tokens_in) = sum(Call::tokens_in);
        let (with_out, tokens_out) = sum(Call::tokens_out);
        let seconds = window.ms() / 1e3;
        let rate = |n: f64| match seconds > 0.0 {
            true => format!("{}/s", short(n / seconds)),
            false => "–".to_owned(),
        };
        let most = in_flight(calls).into_iter().max().unwrap_or(0);
        let of_calls = |n: u64| match n == total {
            true => String::new(),
            false => format!("of {}", plural(n, "call", "calls")),
        };
        let (_, many) = self.population.words();
        let mut out = String::from("<div class=tiles>");
        tile(&mut out, &count(total), many, "");
        tile(
            &mut out,
            &rate(total as f64),
            "throughput",
            &format!("in {}", ms(window.ms())),
        );
        tile(
            &mut out,
            &count(u64::from(most)),
            "most in flight at once",
            "",
        );
        tile(&mut out, &count(failed), "failed", &share(failed, total));
        let by = match by_client {
            0 => String::new(),
            n => format!(", {} by the client", count(n)),
        };
        tile(
            &mut out,
            &count(aborted),
            "aborted",
            &format!("{}{by}", share(aborted, total)),
        );
        tile(&mut out, &count(partial), "partial", &share(partial, total));
        let tokens = |n: u64, sum: f64| match n {
            0 => "unknown".to_owned(),
            _ => short(sum),
        };
        tile(
            &mut out,
            &tokens(with_in, tokens_in),
            "tokens in",
            &of_calls(with_in),
        );
        tile(
            &mut out,
            &tokens(with_out, tokens_out),
            "tokens out",
            &of_calls(with_out),
        );
        if with_out > 0 {
            tile(&mut out, &rate(tokens_out), "tokens out, all streams", "");
        }
        let mut median = |what: &str, of: Figure| {
            let mut values: Vec<f32> = calls.iter().filter_map(|call| of(call)).collect();
            if let Some(told) = Percentiles::from_values(&mut values) {
                let p95 = format!("p95 {}", ms(f64::from(told.p95)));
                tile(
                    &mut out,
                    &ms(f64::from(told.p50)),
                    &format!("{what}, median"),
                    &p95,
                );
            }
        };
        median("first token", Call::ttft_ms);
        median("time per token", Call::tpot_ms);
        median("latency", Call::latency_ms);
        out.push_str("</div>");
        let others = self.others();
        if others > 0 {
            let _ = write!(
                out,
                "<p class=why>{} of other kinds (health checks, calls made, and the like) are in the table of \
                 endpoints and in no other figure here.</p>",
                plural(others, "exchange", "exchanges")
            );
        }
        out
    }

    fn others(&self) -> u64 {
        (self.all.calls.len() - self.calls.len()) as u64
    }

    fn goodput(&self, window: &Window) -> String {
        let slos = &self.options.slos;
        if slos.is_empty() {
            return String::new();
        }
        let ended: Vec<&Call> = self
            .calls
            .iter()
            .copied()
            .filter(|call| !call.is_open())
            .collect();
        let mut number = [0u64; 3];
        for call in &ended {
            let at = match slos.judge(call) {
                Judged::Met => 0,
                Judged::Missed => 1,
                Judged::Unknown => 2,
            };
            number[at] += 1;
        }
        let [met, missed, unknown] = number;
        let judged = met + missed;
        let per_s = match window.ms() > 0.0 {
            true => format!("{}/s", short(met as f64 * 1e3 / window.ms())),
            false => "–".to_owned(),
        };
        let mut out = format!(
            "<h2>Goodput</h2><p class=why>A call is good where it ended well and {slos}. One that failed or was \
             aborted is not; one that lacks a figure asked for, and is over no other bound, is not judged.</p>\
             <div class=tiles>"
        );
        tile(
            &mut out,
            &percent(met, judged),
            "good",
            &format!("of {} judged", count(judged)),
        );
        tile(&mut out, &per_s, "good calls", "");
        tile(&mut out, &count(missed), "not good", "");
        tile(
            &mut out,
            &count(unknown),
            "not judged",
            "a figure is not known",
        );
        out.push_str("</div>");
        let all = ended.len().max(1) as f64;
        let wide = |n: u64| n as f64 / all * 100.0;
        let _ = write!(
            out,
            "<div class=meter role=img aria-label=\"good, not good, not judged\">\
             <i style=\"width:{:.3}%\" title=\"good: {}\"></i><i class=miss style=\"width:{:.3}%\" title=\"not good: {}\">\
             </i></div><ul class=said>",
            wide(met),
            count(met),
            wide(missed),
            count(missed)
        );
        for (name, bound, figure) in slos.each() {
            let mut n = [0u64; 2];
            for call in &ended {
                match judge_one(figure(call), bound) {
                    Judged::Met => n[0] += 1,
                    Judged::Missed => n[1] += 1,
                    Judged::Unknown => {}
                }
            }
            let _ = write!(
                out,
                "<li>{name} ≤ {}: <b>{}</b> of {} with that figure.</li>",
                ms(bound),
                percent(n[0], n[0] + n[1]),
                plural(n[0] + n[1], "call", "calls")
            );
        }
        out.push_str("</ul>");
        out
    }

    fn metrics(&self, window: &Window) -> String {
        let load = in_flight(self.calls);
        let mut out = String::from(
            "<h2>Distributions</h2><p class=why>How often each value came; its median (line) and 95th percentile (top of \
             the band) over time; and the same by how many calls were in flight when a call began. Of fewer than 20 \
             calls in a bin only the median is drawn.</p>",
        );
        for metric in &METRICS {
            out.push_str(&self.metric(metric, window, &load));
        }
        out
    }

    fn metric(&self, metric: &Metric, window: &Window, load: &[u32]) -> String {
        let Metric {
            title,
            what,
            unit,
            of,
            lacks,
        } = metric;
        let mut values: Vec<f32> = self.calls.iter().filter_map(|call| of(call)).collect();
        let mut out =
            format!("<section class=metric><div class=top><h3>{title}<small>{what}</small></h3>");
        let Some(told) = Percentiles::from_values(&mut values) else {
            let _ = write!(out, "</div>{}</section>", empty(lacks));
            return out;
        };
        out.push_str("<dl class=ranks>");
        let figures = [
            ("p50", told.p50),
            ("p90", told.p90),
            ("p95", told.p95),
            ("p99", told.p99),
            ("max", told.max),
        ];
        for (name, value) in figures {
            let value = match unit {
                Unit::Ms => ms(f64::from(value)),
                Unit::Tokens => count(value.round() as u64),
            };
            let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
        }
        let calls = plural(told.count as u64, "call", "calls");
        let _ = write!(
            out,
            "<div><dt>of</dt><dd>{calls}</dd></div></dl></div><div class=charts>"
        );
        let axis = match unit {
            Unit::Ms => title.to_lowercase(),
            Unit::Tokens => format!("{}, tokens", title.to_lowercase()),
        };
        out.push_str(&distribution(&values, &told, *unit, &axis));
        let mut over_time: Vec<(f64, f32)> = self
            .calls
            .iter()
            .filter_map(|call| Some((window.at(call.start_ns), of(call)?)))
            .collect();
        let found = bands(
            &mut over_time,
            0.0,
            window.starts_ms(),
            bins(told.count, TIME_BINS),
        );
        let across = window.across();
        out.push_str(&over(&found, &across, *unit, &axis));
        let mut by_load: Vec<(f64, f32)> = self
            .calls
            .iter()
            .zip(load)
            .filter_map(|(call, load)| Some((f64::from(*load), of(call)?)))
            .collect();
        out.push_str(&by_concurrency(&mut by_load, *unit, &axis));
        out.push_str("</div></section>");
        out
    }

    fn groups(&self) -> String {
        let all: Vec<&Call> = self.all.calls.iter().collect();
        format!(
            "<h2>By endpoint</h2><p class=why>All exchanges of the spool.<span class=tip> A click on a title sorts.</span></p>{}\
             <h2>By model</h2><p class=why>The model that answered, else the one that was asked for.</p>{}",
            tables::by_endpoint(&all, &self.all.endpoints),
            tables::by_model(self.calls, &self.all.models)
        )
    }

    fn slowest(&self, window: &Window) -> String {
        let Chosen { requests, past } = self.slowest;
        let mut out = String::from("<h2>Slowest</h2>");
        if requests.is_empty() {
            out.push_str(&empty("No call has a latency."));
            return out;
        }
        out.push_str(
            "<p class=key><i class=own></i>the call<i class=tick></i>its first token<i></i>what is known to have been \
             done for it. <code>cirron-agent explain</code> says more.</p>",
        );
        for request in requests {
            let latency = request
                .figures
                .duration_ms
                .or_else(|| request.length_ns().map(|ns| ns as f64 / 1e6))
                .map_or_else(String::new, ms);
            let model = request
                .model()
                .map_or_else(String::new, |m| format!(" · {}", text(m)));
            let id = request.request_id.as_deref().unwrap_or(&request.id);
            let _ = write!(
                out,
                "<section class=slow><div class=top><h3>{latency}<small>{}{model}</small></h3>\
                 <small>{} UTC · {}</small></div><p class=facts>{}</p>{}</section>",
                text(&request.endpoint),
                date_time(request.start_ns),
                text(id),
                waterfall::facts(request),
                waterfall::waterfall(request, window.to)
            );
        }
        if *past > 0 {
            let _ = write!(
                out,
                "<p class=key>{} below them had no room here.</p>",
                plural(*past as u64, "scope", "scopes")
            );
        }
        out
    }

    fn quality(&self) -> String {
        let mut said = quality::sentences(self.all, self.calls);
        said.extend(self.left_out.iter().map(|line| format!("{}.", text(line))));
        let mut out = String::from("<h2>How good these figures are</h2>");
        if said.is_empty() {
            out.push_str(
                "<p>Nothing of this spool is marked as lost, partial, late or estimated, and all of it was read.</p>",
            );
            return out;
        }
        out.push_str("<ul class=said>");
        for sentence in said {
            let _ = write!(out, "<li>{sentence}</li>");
        }
        out.push_str("</ul>");
        out
    }

    fn foot(&self) -> String {
        let spools: Vec<String> = self
            .options
            .spools
            .iter()
            .map(|spool| text(spool))
            .collect();
        format!(
            "<footer>{}, from {}. Percentiles are exact, by nearest rank: each is a value that was measured. Times are \
             those of the server’s own reads and writes, by the kernel’s clock. A dash is a figure that is not \
             known.</footer>",
            text(&self.options.maker),
            spools.join(", ")
        )
    }
}

fn tile(out: &mut String, value: &str, what: &str, more: &str) {
    let _ = write!(
        out,
        "<div class=tile><b>{value}</b><span>{what}</span><small>{more}</small></div>"
    );
}

fn share(part: u64, of: u64) -> String {
    percent(part, of)
}

fn by_concurrency(pairs: &mut [(f64, f32)], unit: Unit, title: &str) -> String {
    let low = pairs
        .iter()
        .map(|pair| pair.0)
        .fold(f64::INFINITY, f64::min);
    let high = pairs.iter().map(|pair| pair.0).fold(0.0, f64::max);
    let (low, high) = (low.min(high) as u32, high as u32);
    // Whole numbers to a bin, so that none has more of them than another.
    let most = bins(pairs.len(), LOAD_BINS) as u32;
    let wide = (high - low + 1).div_ceil(most);
    let bins = (high - low + 1).div_ceil(wide);
    let from = f64::from(low) - 0.5;
    let to = from + f64::from(bins * wide);
    let found = bands(pairs, from, to, bins as usize);
    let scale = Scale {
        low: from,
        high: to,
        is_log: false,
    };
    let ticks = Scale {
        low: f64::from(low),
        high: f64::from(high).max(f64::from(low) + 0.5),
        is_log: false,
    };
    let ticks = ticks
        .ticks(5)
        .into_iter()
        .filter(|tick| tick.fract() == 0.0)
        .map(|tick| (scale.share(tick), short(tick)))
        .collect();
    let across = Across {
        scale,
        ticks,
        title: "calls in flight when it began",
        place: Box::new(|band| {
            let (first, last) = ((band.from + 0.5).round(), (band.to - 0.5).round());
            match first == last {
                true => format!("{first} in flight"),
                false => format!("{first} to {last} in flight"),
            }
        }),
    };
    over(&found, &across, unit, title)
}
