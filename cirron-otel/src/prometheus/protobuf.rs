//! Series as protobuf: Prometheus' own messages, which have native histograms.
//!
//! The messages are `io.prometheus.client`'s (`metrics.proto` of Prometheus' client model), as far as something of ours is
//! in them; each family stands behind its length. A histogram has both: the buckets of the conventions, with their
//! exemplars, and native ones. Which of the two a Prometheus keeps is its configuration's to say.

use prost::Message as _;

use super::figures::{Figure, Kind as FigureKind};
use super::text::{name, sanitized, unit};
use crate::metrics::{self, Kind, Metrics, Native, Series, Value, ZERO_THRESHOLD};

#[derive(Clone, PartialEq, prost::Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    unit: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Counter>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Gauge {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Counter {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<Exemplar>,
}

/// `length` buckets in a row, behind `offset` empty ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// All series and figures.
pub(super) fn write(metrics: &Metrics, figures: &[Figure]) -> Vec<u8> {
    let mut page = Page::default();
    for series in metrics.series() {
        let metric = series.metric;
        let (kind, family) = match metric.kind {
            Kind::Histogram(_) => (MetricType::Histogram, name(metric)),
            Kind::Counter => (MetricType::Counter, name(metric) + "_total"),
        };
        page.family(family, metric.help, kind, unit(metric.unit));
        page.metrics.push(of_series(&series));
    }
    for figure in figures {
        let (kind, suffix) = match figure.kind {
            FigureKind::Counter => (MetricType::Counter, "_total"),
            FigureKind::Gauge => (MetricType::Gauge, ""),
        };
        page.family(
            figure.name.clone() + suffix,
            &figure.help,
            kind,
            figure.unit,
        );
        page.metrics.push(of_figure(figure));
    }
    page.close();
    page.out
}

#[derive(Default)]
struct Page {
    out: Vec<u8>,
    family: MetricFamily,
    metrics: Vec<Metric>,
}

impl Page {
    /// What comes next is of this family.
    fn family(&mut self, name: String, help: &str, kind: MetricType, unit: Option<&str>) {
        if self.family.name.as_ref() == Some(&name) {
            return;
        }
        self.close();
        self.family = MetricFamily {
            name: Some(name),
            help: Some(help.to_owned()),
            kind: Some(kind.into()),
            metric: Vec::new(),
            unit: unit.map(str::to_owned),
        };
    }

    fn close(&mut self) {
        let mut family = std::mem::take(&mut self.family);
        family.metric = std::mem::take(&mut self.metrics);
        if !family.metric.is_empty() {
            self.out.extend(family.encode_length_delimited_to_vec());
        }
    }
}

fn of_series(series: &Series<'_>) -> Metric {
    let source = series
        .source
        .labels()
        .map(|(name, value)| pair(&sanitized(name), value));
    let own = series
        .labels()
        .map(|(label, value)| pair(&sanitized(label.name()), value));
    let created = Some(timestamp(series.since_ns));
    let mut metric = Metric {
        label: source.chain(own).collect(),
        ..Metric::default()
    };
    match series.value {
        Value::Sum(sum) => {
            metric.counter = Some(Counter {
                value: Some(*sum),
                created,
            });
        }
        Value::Histogram(histogram) => {
            metric.histogram = Some(Histogram {
                created,
                ..of_histogram(histogram)
            });
        }
    }
    metric
}

fn of_histogram(histogram: &metrics::Histogram) -> Histogram {
    let mut below = 0;
    let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
    let counts = histogram.counts.iter().zip(&histogram.exemplars);
    let bucket = bounds.zip(counts).map(|(bound, (count, newest))| {
        below += count;
        Bucket {
            cumulative_count: Some(below),
            upper_bound: Some(bound),
            exemplar: newest.as_ref().map(exemplar),
        }
    });
    let bucket = bucket.collect();
    let (positive_span, positive_delta) = spans(&histogram.native);
    Histogram {
        count: Some(histogram.count()),
        sum: Some(histogram.sum),
        bucket,
        schema: Some(histogram.native.schema()),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(histogram.native.zeros()),
        positive_span,
        positive_delta,
        created: None,
    }
}

/// Runs of buckets, and how each bucket's count differs from the one before.
fn spans(native: &Native) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<BucketSpan>::new(), Vec::new());
    let (mut next, mut last) = (0, 0);
    for (index, count) in native.buckets() {
        match spans.last_mut() {
            Some(span) if *index == next => span.length = span.length.map(|length| length + 1),
            Some(_) | None => spans.push(BucketSpan {
                offset: Some(index - next),
                length: Some(1),
            }),
        }
        next = index + 1;
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        deltas.push(count - last);
        last = count;
    }
    (spans, deltas)
}

fn of_figure(figure: &Figure) -> Metric {
    let value = Some(figure.value);
    let mut metric = Metric {
        label: figure
            .labels
            .iter()
            .map(|(name, value)| pair(name, value))
            .collect(),
        ..Metric::default()
    };
    match figure.kind {
        FigureKind::Counter => {
            metric.counter = Some(Counter {
                value,
                created: None,
            });
        }
        FigureKind::Gauge => metric.gauge = Some(Gauge { value }),
    }
    metric
}

fn exemplar(seen: &metrics::Exemplar) -> Exemplar {
    let trace = u128::from_be_bytes(seen.trace_id);
    let span = u64::from_be_bytes(seen.span_id);
    Exemplar {
        label: vec![
            pair("trace_id", &format!("{trace:032x}")),
            pair("span_id", &format!("{span:016x}")),
        ],
        value: Some(seen.value),
        timestamp: Some(timestamp(seen.ts_ns)),
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    LabelPair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    }
}

fn timestamp(ns: u64) -> Timestamp {
    const SECOND: u64 = 1_000_000_000;
    Timestamp {
        seconds: i64::try_from(ns / SECOND).unwrap_or(i64::MAX),
        nanos: i32::try_from(ns % SECOND).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::metrics::testing::{Exchange, taken};

    fn families(mut page: &[u8]) -> Vec<MetricFamily> {
        let mut all = Vec::new();
        while !page.is_empty() {
            all.push(MetricFamily::decode_length_delimited(&mut page).unwrap());
        }
        all
    }

    #[test]
    fn a_histogram_has_native_buckets_beside_those_of_the_conventions() {
        let call = |id: u128, ms: f64| {
            let mut call = Exchange::call("request", "m");
            call.id = id;
            call.marks = vec![("time_to_first_token_ms", ms)];
            call
        };
        let metrics = taken(&[
            call(2, 120.0),
            call(3, 125.0),
            call(4, 1_000.0),
            call(5, 0.0),
        ]);
        let figures = [
            Figure::counter("a", "A.", 3).with("label", "x"),
            Figure::counter("a", "A.", 4).with("label", "y"),
            Figure::gauge("b", "B.", 1.5),
        ];
        let all = families(&write(&metrics, &figures));
        let family = |name: &str| {
            let mut found = all.iter().filter(|f| f.name.as_deref() == Some(name));
            let family = found.next().unwrap();
            assert!(found.next().is_none(), "{name} stands twice");
            family
        };
        let first = family("gen_ai_server_time_to_first_token_seconds");
        assert_eq!(
            (first.kind(), first.unit.as_deref()),
            (MetricType::Histogram, Some("seconds"))
        );
        let histogram = first.metric[0].histogram.as_ref().unwrap();
        assert_eq!((histogram.count, histogram.zero_count), (Some(4), Some(1)));
        // 0.12 and 0.125 = 2^-3 are in one bucket, which that power ends; 1 = 2^0 ends another.
        let span = |offset, length| BucketSpan {
            offset: Some(offset),
            length: Some(length),
        };
        assert_eq!(histogram.schema, Some(3));
        assert_eq!(histogram.positive_span, [span(-24, 1), span(23, 1)]);
        assert_eq!(histogram.positive_delta, [2, -1]);
        let bounds = histogram.bucket.len();
        let last = histogram.bucket.last().unwrap();
        assert_eq!(
            (last.cumulative_count, last.upper_bound),
            (Some(4), Some(f64::INFINITY))
        );
        let newest = histogram.bucket[bounds - 6].exemplar.as_ref();
        assert!(newest.is_some_and(|e| e.label.len() == 2), "{newest:?}");
        assert_eq!(family("a_total").metric.len(), 2);
        assert_eq!(
            family("b").metric[0].gauge,
            Some(Gauge { value: Some(1.5) })
        );
        assert!(family("cirron_requests_total").metric[0].counter.is_some());
    }

    #[test]
    fn runs_of_buckets_are_one_span() {
        let mut histogram = metrics::Histogram::new(&[1.0]);
        // Three neighbours, of which the middle one has two, and one far above.
        for value in [1.0, 1.05, 1.06, 1.15, 1_024.0] {
            histogram.observe(value, None);
        }
        let (spans, deltas) = spans(&histogram.native);
        let shown: Vec<_> = spans
            .iter()
            .map(|s| (s.offset.unwrap(), s.length.unwrap()))
            .collect();
        assert_eq!(shown, [(0, 3), (77, 1)]);
        assert_eq!(deltas, [1, 1, -1, 0]);
    }
}
