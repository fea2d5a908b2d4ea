//! Charts as SVG, made here: a histogram, and a median with its p95 over time or over concurrency.
//!
//! Colours are classes of the page's style, so that they follow light and dark. Each mark has its figures as a title, which
//! a browser shows where the pointer rests: no script is needed.

use std::fmt::Write as _;

use crate::survey::stats::{Band, Percentiles, Scale, histogram};
use crate::units;

/// Units of a chart's drawing; a card is about as many pixels wide, so that text keeps its size.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 202.0;
/// Room for the axes.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 36.0;

/// Room that a letter of 11 pixels takes, in a font that is wide.
const LETTER: f64 = 7.0;

/// Bins of a histogram: each some 8 pixels wide.
const BINS: usize = 40;

/// What the figures of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Times.
    Ms,
    /// Tokens.
    Tokens,
}

impl Unit {
    /// On an axis.
    pub(crate) fn tick(self, value: f64) -> String {
        match self {
            Unit::Ms => units::ms_tick(value),
            Unit::Tokens => units::short(value),
        }
    }

    /// In words.
    pub(crate) fn full(self, value: f64) -> String {
        match self {
            Unit::Ms => units::ms(value),
            Unit::Tokens => format!("{} tokens", units::count(value.round() as u64)),
        }
    }
}

/// The horizontal axis of bands.
pub(crate) struct Across {
    /// From its first value to its last.
    pub(crate) scale: Scale,
    /// Where a tick stands, and what it says.
    pub(crate) ticks: Vec<(f64, String)>,
    /// What it is.
    pub(crate) title: &'static str,
    /// What a band is called: its place in words.
    pub(crate) place: Box<dyn Fn(&Band) -> String>,
}

struct Frame {
    out: String,
}

fn x_of(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

/// There is no half of a call, nor of a token.
fn is_whole(value: f64) -> bool {
    value.fract() == 0.0
}

fn y_of(share: f64) -> f64 {
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}

impl Frame {
    /// With horizontal lines at those ticks of `up` that are told.
    fn new(
        label: &str,
        up: &Scale,
        is_told: impl Fn(f64) -> bool,
        tick: impl Fn(f64) -> String,
    ) -> Frame {
        let mut out = format!(
            "<svg class=chart viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{label}\">"
        );
        for value in up.ticks(4).into_iter().filter(|value| is_told(*value)) {
            let y = y_of(up.share(value));
            let _ = write!(
                out,
                "<line class=grid x1={LEFT} x2={} y1={y:.1} y2={y:.1} />\
                 <text class=ax x={} y={:.1} text-anchor=end>{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 3.5,
                tick(value)
            );
        }
        Frame { out }
    }

    fn across(&mut self, ticks: &[(f64, String)], title: &str) {
        let y = HEIGHT - BOTTOM;
        let _ = write!(
            self.out,
            "<line class=axis x1={LEFT} x2={} y1={y} y2={y} />",
            WIDTH - RIGHT
        );
        // Where the text before ends: of two that would touch the later one is left out.
        let mut taken = f64::NEG_INFINITY;
        for (share, text) in ticks {
            let x = x_of(*share);
            let half = text.chars().count() as f64 * LETTER / 2.0;
            // What stands at an edge would be cut there.
            let anchor = match x {
                x if x > WIDTH - RIGHT - 14.0 => "end",
                x if x < LEFT + 8.0 => "start",
                _ => "middle",
            };
            let (from, to) = match anchor {
                "end" => (x - 2.0 * half, x),
                "start" => (x, x + 2.0 * half),
                _ => (x - half, x + half),
            };
            let _ = write!(
                self.out,
                "<line class=axis x1={x:.1} x2={x:.1} y1={y} y2={} />",
                y + 4.0
            );
            if from > taken {
                let _ = write!(
                    self.out,
                    "<text class=ax x={x:.1} y={} text-anchor={anchor}>{text}</text>",
                    y + 15.0
                );
                taken = to + LETTER;
            }
        }
        let _ = write!(
            self.out,
            "<text class=at x={:.1} y={} text-anchor=middle>{title}</text>",
            x_of(0.5),
            HEIGHT - 4.0
        );
    }

    fn done(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

/// How often each figure came.
pub(crate) fn distribution(values: &[f32], told: &Percentiles, unit: Unit, title: &str) -> String {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let scale = Scale::around(f64::from(low), f64::from(told.max));
    let counts = histogram(values, &scale, BINS);
    let most = counts.iter().copied().max().unwrap_or(0);
    let up = Scale::from_zero(most as f64 * 1.04);
    let mut frame = Frame::new(
        &format!("{title}: how many calls"),
        &up,
        is_whole,
        units::short,
    );
    let _ = write!(
        frame.out,
        "<text class=at x={} y={} text-anchor=end>calls</text>",
        LEFT - 6.0,
        TOP - 11.0
    );
    let width = (WIDTH - LEFT - RIGHT) / BINS as f64;
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let share = at as f64 / BINS as f64;
        let (x, y) = (x_of(share), y_of(up.share(*count as f64)));
        // A bin of one call among millions is still to be seen.
        let height = (HEIGHT - BOTTOM - y).max(1.0);
        let _ = write!(
            frame.out,
            "<rect class=bar x={:.1} y={:.1} width={:.1} height={height:.1}><title>{} to {}: {}</title></rect>",
            x + 0.5,
            HEIGHT - BOTTOM - height,
            width - 1.0,
            unit.full(scale.at(share)),
            unit.full(scale.at(share + 1.0 / BINS as f64)),
            units::plural(*count as u64, "call", "calls"),
        );
    }
    let lines = [("p50", told.p50), ("p95", told.p95)];
    // Two marks that stand in each other's way: the later one gives way to the left or is left out.
    let mut taken = f64::NEG_INFINITY;
    for (name, value) in lines {
        let x = x_of(scale.share(f64::from(value)));
        let _ = write!(
            frame.out,
            "<line class=rank x1={x:.1} x2={x:.1} y1={TOP} y2={}><title>{name}: {}</title></line>",
            HEIGHT - BOTTOM,
            unit.full(f64::from(value))
        );
        if x - taken > 24.0 {
            let _ = write!(
                frame.out,
                "<text class=at x={x:.1} y={} text-anchor={}>{name}</text>",
                TOP - 4.0,
                // Beside what stands above the axis.
                if x < LEFT + 12.0 { "start" } else { "middle" }
            );
            taken = x;
        }
    }
    let ticks: Vec<(f64, String)> = scale
        .ticks(5)
        .into_iter()
        .filter(|tick| unit == Unit::Ms || is_whole(*tick))
        .map(|tick| (scale.share(tick), unit.tick(tick)))
        .collect();
    frame.across(&ticks, title);
    frame.done()
}

/// Median and p95 of each band.
pub(crate) fn over(bands: &[Band], across: &Across, unit: Unit, title: &str) -> String {
    let top = |band: &Band| band.p95.unwrap_or(band.median);
    let most = bands.iter().map(top).fold(0.0, f32::max);
    let up = Scale::from_zero(f64::from(most) * 1.04);
    let label = format!("{title} by {}: median and p95", across.title);
    let is_told = |value| unit == Unit::Ms || is_whole(value);
    let mut frame = Frame::new(&label, &up, is_told, |value| unit.tick(value));
    let place = |band: &Band| {
        let middle = (band.from + band.to) / 2.0;
        x_of(across.scale.share(middle))
    };
    let height = |value: f32| y_of(up.share(f64::from(value)));
    let is_next = |a: &Band, b: &Band| (b.from - a.to).abs() < (a.to - a.from) * 0.01;
    // Bins without a call are gaps, and so are those of too few in the band: what was not measured is not drawn.
    for run in bands.chunk_by(|a, b| is_next(a, b) && a.p95.is_some() == b.p95.is_some()) {
        if run.len() > 1 && run.iter().all(|band| band.p95.is_some()) {
            let there = run.iter().map(|band| (place(band), height(top(band))));
            let back = run
                .iter()
                .rev()
                .map(|band| (place(band), height(band.median)));
            let area = path(there.chain(back));
            let _ = write!(frame.out, "<path class=area d=\"{area}Z\"/>");
        }
    }
    for run in bands.chunk_by(is_next).filter(|run| run.len() > 1) {
        let line = path(run.iter().map(|band| (place(band), height(band.median))));
        let _ = write!(frame.out, "<path class=line d=\"{line}\"/>");
    }
    let has_dots = bands.len() <= 24;
    for band in bands {
        let (x, median) = (place(band), height(band.median));
        if has_dots {
            let class = if band.p95.is_some() { "dot" } else { "dot few" };
            let _ = write!(
                frame.out,
                "<line class=whisker x1={x:.1} x2={x:.1} y1={:.1} y2={median:.1} />\
                 <circle class=\"{class}\" cx={x:.1} cy={median:.1} r=2.5 />",
                height(top(band))
            );
        }
        // The whole height answers to the pointer.
        let from = x_of(across.scale.share(band.from));
        let to = x_of(across.scale.share(band.to));
        let p95 = match band.p95 {
            Some(p95) => format!("p95 {}, ", unit.full(f64::from(p95))),
            None => String::new(),
        };
        let _ = write!(
            frame.out,
            "<rect class=hit x={from:.1} y={TOP} width={:.1} height={:.1}><title>{}: median {}, {p95}{}</title></rect>",
            (to - from).max(2.0),
            HEIGHT - TOP - BOTTOM,
            (across.place)(band),
            unit.full(f64::from(band.median)),
            units::plural(band.count as u64, "call", "calls"),
        );
    }
    frame.across(&across.ticks, across.title);
    frame.done()
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut out = String::new();
    for (at, (x, y)) in points.enumerate() {
        let letter = if at == 0 { 'M' } else { 'L' };
        let _ = write!(out, "{letter}{x:.1} {y:.1}");
    }
    out
}

/// A chart's place where there is nothing to draw.
pub(crate) fn empty(why: &str) -> String {
    format!("<p class=empty>{why}</p>")
}
