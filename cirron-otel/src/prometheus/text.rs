//! Series as text: Prometheus' own format (0.0.4) and OpenMetrics (1.0), which has exemplars and units.

use std::fmt::Write as _;

use super::figures::{Figure, Kind as FigureKind};
use crate::metrics::{Histogram, Kind, Metric, Metrics, Series, Value};

/// The name of a metric's family, as OpenTelemetry translates it: dots are underscores, the unit is at the end.
pub fn name(metric: &Metric) -> String {
    let mut out = sanitized(metric.name);
    if let Some(unit) = unit(metric.unit) {
        out.push('_');
        out.push_str(unit);
    }
    out
}

pub(super) fn unit(ucum: &str) -> Option<&'static str> {
    match ucum {
        "s" => Some("seconds"),
        "By" => Some("bytes"),
        "USD" => Some("usd"),
        _ => None,
    }
}

/// A name with letters, digits and underscores only.
pub(super) fn sanitized(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(fits).collect()
}

/// All series and figures. `is_open`: as OpenMetrics.
pub(super) fn write(is_open: bool, metrics: &Metrics, figures: &[Figure]) -> String {
    let mut page = Page {
        out: String::new(),
        is_open,
    };
    let mut last = None;
    for series in metrics.series() {
        let metric = series.metric;
        if last != Some(metric.name) {
            last = Some(metric.name);
            let kind = match metric.kind {
                Kind::Histogram(_) => "histogram",
                Kind::Counter => "counter",
            };
            page.head(&name(metric), kind, unit(metric.unit), metric.help);
        }
        page.series(&series);
    }
    page.figures(figures);
    if is_open {
        page.out.push_str("# EOF\n");
    }
    page.out
}

struct Page {
    out: String,
    is_open: bool,
}

impl Page {
    fn head(&mut self, family: &str, kind: &str, unit: Option<&str>, help: &str) {
        // Of a counter the plain format names the sample, OpenMetrics the family.
        let total = match (self.is_open, kind) {
            (false, "counter") => "_total",
            _ => "",
        };
        self.out.push_str("# HELP ");
        self.out.push_str(family);
        self.out.push_str(total);
        self.out.push(' ');
        escape(&mut self.out, help, self.is_open);
        self.line(format_args!("\n# TYPE {family}{total} {kind}"));
        if let (true, Some(unit)) = (self.is_open, unit) {
            self.line(format_args!("# UNIT {family} {unit}"));
        }
    }

    fn series(&mut self, series: &Series<'_>) {
        let family = name(series.metric);
        let mut labels = String::new();
        for (name, value) in series.source.labels() {
            label(&mut labels, name, value);
        }
        for (name, value) in series.labels() {
            label(&mut labels, name.name(), value);
        }
        match series.value {
            Value::Sum(sum) => {
                let set = braced(&labels);
                self.line(format_args!("{family}_total{set} {sum}"));
            }
            Value::Histogram(histogram) => self.histogram(&family, &labels, histogram),
        }
        if self.is_open {
            let (since, set) = (seconds(series.since_ns), braced(&labels));
            self.line(format_args!("{family}_created{set} {since}"));
        }
    }

    fn histogram(&mut self, family: &str, labels: &str, histogram: &Histogram) {
        let mut below = 0;
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = histogram.bounds.iter().map(Some).chain([None]);
        let buckets = histogram.counts.iter().zip(&histogram.exemplars);
        for (bound, (count, exemplar)) in bounds.zip(buckets) {
            below += count;
            self.put(format_args!("{family}_bucket{{{labels}{comma}le=\""));
            match bound {
                // With a point, as OpenMetrics wants it.
                Some(bound) => self.put(format_args!("{bound:?}")),
                None => self.put(format_args!("+Inf")),
            }
            self.put(format_args!("\"}} {below}"));
            if let (true, Some(exemplar)) = (self.is_open, exemplar) {
                let (trace, span) = (
                    u128::from_be_bytes(exemplar.trace_id),
                    u64::from_be_bytes(exemplar.span_id),
                );
                let value = exemplar.value;
                let at = seconds(exemplar.ts_ns);
                self.put(format_args!(
                    " # {{trace_id=\"{trace:032x}\",span_id=\"{span:016x}\"}} {value} {at}"
                ));
            }
            self.out.push('\n');
        }
        let (set, sum) = (braced(labels), histogram.sum);
        self.line(format_args!("{family}_count{set} {below}"));
        self.line(format_args!("{family}_sum{set} {sum}"));
    }

    fn figures(&mut self, figures: &[Figure]) {
        let mut last = None;
        for figure in figures {
            let (suffix, kind) = match figure.kind {
                FigureKind::Counter => ("_total", "counter"),
                FigureKind::Gauge => ("", "gauge"),
            };
            if last != Some(&figure.name) {
                last = Some(&figure.name);
                self.head(&figure.name, kind, figure.unit, &figure.help);
            }
            let mut labels = String::new();
            for (name, value) in &figure.labels {
                label(&mut labels, name, value);
            }
            let (name, set, value) = (&figure.name, braced(&labels), figure.value);
            self.line(format_args!("{name}{suffix}{set} {value}"));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.put(line);
        self.out.push('\n');
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = self.out.write_fmt(text);
    }
}

fn label(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(&sanitized(name));
    out.push_str("=\"");
    escape(out, value, true);
    out.push('"');
}

fn braced(labels: &str) -> String {
    if labels.is_empty() {
        return String::new();
    }
    format!("{{{labels}}}")
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// Nanoseconds as seconds, to the millisecond: what a float of 64 bits holds for certain.
fn seconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
