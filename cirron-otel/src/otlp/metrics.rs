//! Series as the messages that a collector takes: cumulative, since the beginning that each series has.

use std::mem;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value as ExemplarValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::traces::Also;
use super::{pair, scope, text};
use crate::metrics::{self, Kind, Metrics, Series, Source, Value};
use crate::prometheus::{Figure, FigureKind};

/// Points of one message: with 16 buckets, their exemplars and labels a point has 1 kB, and collectors take 4 MiB.
pub const MAX_POINTS: usize = 1_000;

/// The messages for all series and figures as they stand at `now_ns`.
pub fn requests(
    metrics: &Metrics,
    figures: &[Figure],
    also: &Also,
    now_ns: u64,
) -> Vec<ExportMetricsServiceRequest> {
    let mut all: Vec<Series<'_>> = metrics.series().collect();
    // A source is a resource, and stands in one place of a message.
    all.sort_by_key(|series| std::ptr::from_ref(series.source).addr());
    let mut out = Vec::new();
    let mut next = Next::default();
    for series in all {
        if next.points >= MAX_POINTS {
            out.push(mem::take(&mut next).request());
        }
        next.put(&series, also, now_ns);
    }
    if next.points > 0 {
        out.push(next.request());
    }
    if !figures.is_empty() {
        out.push(own(figures, also, metrics.start_ns(), now_ns));
    }
    out
}

#[derive(Default)]
struct Next<'a> {
    resources: Vec<(&'a Source, ScopeMetrics)>,
    points: usize,
    also: Also,
}

impl<'a> Next<'a> {
    fn put(&mut self, series: &Series<'a>, also: &Also, now_ns: u64) {
        let last = self.resources.last();
        if last.is_none_or(|(source, _)| !std::ptr::eq(*source, series.source)) {
            let metrics = ScopeMetrics {
                scope: Some(scope()),
                ..ScopeMetrics::default()
            };
            self.resources.push((series.source, metrics));
            self.also = also.clone();
        }
        let Some((_, scope)) = self.resources.last_mut() else {
            return;
        };
        let is_same = |metric: &&mut Metric| metric.name == series.metric.name;
        let metric = match scope.metrics.last_mut().filter(is_same) {
            Some(_) => scope.metrics.last_mut(),
            None => {
                scope.metrics.push(empty(series.metric));
                scope.metrics.last_mut()
            }
        };
        if let Some(data) = metric.and_then(|metric| metric.data.as_mut()) {
            add(data, series, now_ns);
            self.points += 1;
        }
    }

    fn request(self) -> ExportMetricsServiceRequest {
        let also = self.also;
        let resource = |(source, scope): (&Source, ScopeMetrics)| {
            let mut attributes = source
                .labels()
                .map(|(name, value)| text(name, value))
                .collect();
            // The source's name is the given one already.
            also.add(&mut attributes);
            ResourceMetrics {
                resource: Some(Resource {
                    attributes,
                    ..Resource::default()
                }),
                scope_metrics: vec![scope],
                ..ResourceMetrics::default()
            }
        };
        ExportMetricsServiceRequest {
            resource_metrics: self.resources.into_iter().map(resource).collect(),
        }
    }
}

fn empty(metric: &metrics::Metric) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: metric.unit.to_owned(),
        data: Some(match metric.kind {
            Kind::Histogram(_) => Data::Histogram(Histogram {
                aggregation_temporality,
                ..Histogram::default()
            }),
            Kind::Counter => Data::Sum(Sum {
                aggregation_temporality,
                is_monotonic: true,
                ..Sum::default()
            }),
        }),
        ..Metric::default()
    }
}

fn add(data: &mut Data, series: &Series<'_>, now_ns: u64) {
    let attributes = series.labels().map(|(label, word)| {
        let number = word.parse().ok().filter(|_| label.is_int());
        match number {
            Some(number) => pair(label.name(), Any::IntValue(number)),
            None => text(label.name(), word),
        }
    });
    let attributes: Vec<KeyValue> = attributes.collect();
    match (data, series.value) {
        (Data::Sum(sum), Value::Sum(value)) => sum.data_points.push(NumberDataPoint {
            attributes,
            start_time_unix_nano: series.since_ns,
            time_unix_nano: now_ns,
            value: Some(Number::AsDouble(*value)),
            ..NumberDataPoint::default()
        }),
        (Data::Histogram(all), Value::Histogram(histogram)) => {
            let exemplars = histogram.exemplars.iter().flatten();
            all.data_points.push(HistogramDataPoint {
                attributes,
                start_time_unix_nano: series.since_ns,
                time_unix_nano: now_ns,
                count: histogram.count(),
                sum: Some(histogram.sum),
                bucket_counts: histogram.counts.to_vec(),
                explicit_bounds: histogram.bounds.to_vec(),
                exemplars: exemplars.map(exemplar).collect(),
                ..HistogramDataPoint::default()
            });
        }
        // The table has one kind for each name.
        _ => {}
    }
}

fn exemplar(seen: &metrics::Exemplar) -> Exemplar {
    Exemplar {
        time_unix_nano: seen.ts_ns,
        span_id: seen.span_id.to_vec(),
        trace_id: seen.trace_id.to_vec(),
        value: Some(ExemplarValue::AsDouble(seen.value)),
        ..Exemplar::default()
    }
}

/// The agent's own figures: a resource of their own.
fn own(figures: &[Figure], also: &Also, since_ns: u64, now_ns: u64) -> ExportMetricsServiceRequest {
    let metric = |figure: &Figure| {
        let labels = figure.labels.iter();
        let point = NumberDataPoint {
            attributes: labels.map(|(name, value)| text(name, value)).collect(),
            start_time_unix_nano: since_ns,
            time_unix_nano: now_ns,
            value: Some(Number::AsDouble(figure.value)),
            ..NumberDataPoint::default()
        };
        Metric {
            name: figure.name.clone(),
            description: figure.help.clone(),
            data: Some(match figure.kind {
                FigureKind::Gauge => Data::Gauge(Gauge {
                    data_points: vec![point],
                }),
                FigureKind::Counter => Data::Sum(Sum {
                    data_points: vec![point],
                    aggregation_temporality: AggregationTemporality::Cumulative.into(),
                    is_monotonic: true,
                }),
            }),
            ..Metric::default()
        }
    };
    let mut attributes = vec![text("service.name", "cirron-agent")];
    let also = Also {
        service: None,
        attributes: also.attributes.clone(),
    };
    also.add(&mut attributes);
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes,
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics: figures.iter().map(metric).collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Exchange, taken};

    #[test]
    fn every_series_is_a_point_of_its_sources_resource() {
        let call = |id: u128, pod: &str| {
            let mut call = Exchange::call("request", "m");
            call.id = id;
            call.marks = vec![("time_to_first_token_ms", 120.0)];
            call.session.insert("k8s.pod.name".into(), pod.into());
            call
        };
        let metrics = taken(&[call(2, "a"), call(3, "b"), call(4, "a")]);
        let figures = [Figure::counter("cirron_agent_x", "X.", 3)];
        let sent = requests(&metrics, &figures, &Also::default(), 9);
        let [series, own] = &*sent else {
            panic!("{sent:?}")
        };
        assert_eq!(series.resource_metrics.len(), 2);
        let mut counts = Vec::new();
        for resource in &series.resource_metrics {
            for metric in &resource.scope_metrics[0].metrics {
                if let Some(Data::Histogram(histogram)) = &metric.data {
                    assert_eq!(histogram.aggregation_temporality, 2);
                    for point in &histogram.data_points {
                        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                        counts.push((metric.name.clone(), point.count, point.exemplars.len()));
                    }
                }
            }
        }
        counts.sort();
        assert_eq!(counts.len(), 6, "{counts:?}");
        assert!(counts.contains(&("gen_ai.server.time_to_first_token".into(), 2, 1)));
        assert_eq!(
            own.resource_metrics[0].scope_metrics[0].metrics[0].name,
            "cirron_agent_x"
        );
    }

    #[test]
    fn many_series_are_several_messages() {
        let one = |n: usize| {
            let mut one = Exchange::new("request", &format!("/{}", n % 61));
            one.id = n as u128 + 10;
            one.session
                .insert("k8s.pod.name".into(), format!("{}", n % 40).into());
            one
        };
        let metrics = taken(&(0..4000).map(one).collect::<Vec<_>>());
        let sent = requests(&metrics, &[], &Also::default(), 9);
        assert!(sent.len() > 1);
        let points = |request: &ExportMetricsServiceRequest| -> usize {
            let scopes = request
                .resource_metrics
                .iter()
                .flat_map(|r| &r.scope_metrics);
            let data = scopes
                .flat_map(|s| &s.metrics)
                .filter_map(|m| m.data.as_ref());
            data.map(|data| {
                let (mut sums, mut histograms) = (0, 0);
                if let Data::Sum(sum) = data {
                    sums = sum.data_points.len();
                }
                if let Data::Histogram(histogram) = data {
                    histograms = histogram.data_points.len();
                }
                sums + histograms
            })
            .sum()
        };
        assert!(sent.iter().all(|request| points(request) <= MAX_POINTS));
        assert_eq!(sent.iter().map(points).sum::<usize>(), metrics.len());
    }
}
