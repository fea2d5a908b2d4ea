use super::testing::{Exchange, S, take, taken};
use super::*;

/// Each series as one line.
fn lines(metrics: &Metrics) -> Vec<String> {
    let line = |series: Series<'_>| {
        let labels: Vec<String> = series
            .labels()
            .map(|(label, word)| format!("{}={word}", label.name()))
            .collect();
        let value = match series.value {
            Value::Sum(sum) => format!("{sum}"),
            Value::Histogram(histogram) => format!("{} in {}", histogram.sum, histogram.count()),
        };
        format!("{} {{{}}} {value}", series.metric.name, labels.join(" "))
    };
    metrics.series().map(line).collect()
}

fn sum(metrics: &Metrics, name: &str) -> f64 {
    let values = metrics.series().filter(|series| series.metric.name == name);
    values
        .map(|series| match series.value {
            Value::Sum(sum) => *sum,
            Value::Histogram(histogram) => histogram.count() as f64,
        })
        .sum()
}

#[test]
fn the_table_is_in_the_order_of_the_names_and_no_metric_has_more_labels_than_there_is_room_for() {
    let names: Vec<&str> = Name::all().map(|name| name.metric().name).collect();
    let rows: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names, rows);
    assert!(
        METRICS
            .iter()
            .all(|metric| metric.labels.len() <= MAX_LABELS)
    );
    for (place, label) in Label::ALL.iter().enumerate() {
        assert_eq!(label.place(), place);
    }
}

#[test]
fn a_call_that_was_served_is_in_every_metric_of_servers_with_the_spools_own_figures() {
    let mut call = Exchange::call("request", "m");
    call.marks = vec![
        ("request_duration_ms", 900.0),
        ("time_to_first_token_ms", 120.0),
        ("time_per_output_token_ms", 20.0),
        ("input_tokens", 12.0),
        ("output_tokens", 20.0),
    ];
    let gen_ai = "gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m";
    let http = "http.request.method=POST http.response.status_code=200 cirron.endpoint=/v1/chat/completions";
    assert_eq!(
        lines(&taken(&[call])),
        [
            format!("gen_ai.server.request.duration {{{gen_ai}}} 0.9 in 1"),
            format!("gen_ai.server.time_to_first_token {{{gen_ai}}} 0.12 in 1"),
            format!("gen_ai.server.time_per_output_token {{{gen_ai}}} 0.02 in 1"),
            format!("http.server.request.duration {{{http}}} 0.9 in 1"),
            format!(
                "cirron.tokens {{cirron.role=server gen_ai.token.type=input cirron.figures=reported {gen_ai}}} 12"
            ),
            format!(
                "cirron.tokens {{cirron.role=server gen_ai.token.type=output cirron.figures=reported {gen_ai}}} 20"
            ),
            format!("cirron.requests {{cirron.role=server {http}}} 1"),
        ]
    );
}

#[test]
fn a_call_that_was_made_is_the_clients() {
    let mut call = Exchange::call("http.client", "m")
        .with("server.address", "api")
        .with("server.port", 443);
    call.marks = vec![("output_tokens", 20.0), ("cost_usd", 0.25)];
    let metrics = taken(&[call]);
    assert_eq!(sum(&metrics, "gen_ai.client.operation.duration"), 1.0);
    assert_eq!(sum(&metrics, "gen_ai.client.token.usage"), 1.0);
    assert_eq!(sum(&metrics, "http.client.request.duration"), 1.0);
    assert_eq!(sum(&metrics, "cirron.cost"), 0.25);
    assert_eq!(sum(&metrics, "http.server.request.duration"), 0.0);
    assert!(
        lines(&metrics)
            .iter()
            .any(|line| line.contains("server.address=api server.port=443"))
    );
}

#[test]
fn of_what_was_not_seen_whole_there_is_a_count_and_no_duration() {
    let late = Exchange::new("request", "/a")
        .with("cirron.late_attach", true)
        .with("cirron.partial", true);
    let mut ended = Exchange::call("request", "m").with("cirron.aborted_by", "agent");
    ended.id = 3;
    let mut left = Exchange::new("request", "/a")
        .with("cirron.aborted_by", "client")
        .with("cirron.lost_bytes", 7);
    left.id = 4;
    let metrics = taken(&[late, ended, left]);
    assert_eq!(sum(&metrics, "cirron.requests"), 3.0);
    assert_eq!(sum(&metrics, "cirron.requests.aborted"), 2.0);
    assert_eq!(sum(&metrics, "cirron.requests.partial"), 1.0);
    assert_eq!(sum(&metrics, "cirron.requests.lost"), 7.0);
    assert_eq!(
        sum(&metrics, "http.server.request.duration"),
        1.0,
        "of the one that the client left"
    );
    assert_eq!(sum(&metrics, "gen_ai.server.request.duration"), 0.0);
}

#[test]
fn a_failed_stream_has_a_duration_and_no_first_token_and_a_websocket_has_none_at_all() {
    let mut failed = Exchange::call("request", "m").with("error.type", "500");
    failed.marks = vec![("time_to_first_token_ms", 1.0)];
    let mut socket = Exchange::new("request", "/ws").with("cirron.upgraded", true);
    socket.id = 3;
    let mut unknown = Exchange::call("response", "m");
    unknown.id = 4;
    let metrics = taken(&[failed, socket, unknown]);
    assert_eq!(sum(&metrics, "gen_ai.server.time_to_first_token"), 0.0);
    assert_eq!(
        sum(&metrics, "gen_ai.server.request.duration"),
        1.0,
        "who asked whom is not known of the response"
    );
    assert_eq!(sum(&metrics, "http.server.request.duration"), 1.0);
    assert_eq!(sum(&metrics, "cirron.requests"), 2.0);
}

#[test]
fn what_ended_before_the_start_is_not_counted() {
    let mut metrics = Metrics::new(3 * S, Some("mine"));
    take(&mut metrics, &[Exchange::new("request", "/a")]);
    assert!(metrics.is_empty());
    assert_eq!(metrics.counts().before_start, 1);
    let mut later = Exchange::new("request", "/a");
    later.end_ns = 4 * S;
    take(&mut metrics, &[later]);
    assert_eq!(sum(&metrics, "cirron.requests"), 1.0);
    let labels: Vec<_> = metrics.series().flat_map(|s| s.source.labels()).collect();
    assert!(labels.contains(&("service.name", "mine")), "{labels:?}");
    assert!(metrics.series().all(|series| series.since_ns == 3 * S));
}

#[test]
fn the_words_of_clients_make_a_bounded_number_of_series_and_a_scanner_takes_no_place() {
    let exchange = |n: usize, status: u16| {
        let mut one =
            Exchange::new("request", &format!("/{n}")).with("http.response.status_code", status);
        one.id = n as u128 + 10;
        one
    };
    let scan: Vec<Exchange> = (0..1000).map(|n| exchange(n, 404)).collect();
    let mut metrics = taken(&scan);
    assert_eq!(metrics.len(), 2, "{:?}", lines(&metrics));
    let real: Vec<Exchange> = (0..MAX_WORDS + 20).map(|n| exchange(n, 200)).collect();
    take(&mut metrics, &real);
    let words = MAX_WORDS + 1;
    assert_eq!(metrics.len(), 2 + 2 * words);
    assert_eq!(
        sum(&metrics, "cirron.requests"),
        (1000 + MAX_WORDS + 20) as f64
    );
    let others: Vec<_> = metrics.others().collect();
    assert_eq!(others, [(Label::Endpoint, 2 * (1000 + 20))]);
    take(&mut metrics, &[exchange(3, 404)]);
    assert!(
        lines(&metrics)
            .iter()
            .any(|line| line.contains("=404 cirron.endpoint=/3")),
        "a known one has its name"
    );
}

#[test]
fn sources_come_and_go_and_one_that_was_idle_makes_room() {
    let of = |pod: usize, end_ns: u64| {
        let mut one = Exchange::new("request", "/a");
        one.id = pod as u128 + 10;
        one.end_ns = end_ns;
        one.session
            .insert("k8s.pod.name".into(), format!("pod-{pod}").into());
        one
    };
    let mut metrics = Metrics::new(S, None);
    for pod in 0..MAX_SOURCES {
        take(&mut metrics, &[of(pod, 2 * S + pod as u64)]);
    }
    take(&mut metrics, &[of(9000, 3 * S)]);
    assert_eq!(
        metrics.counts().sources_other,
        1,
        "nobody was idle for long"
    );
    assert_eq!(metrics.len(), 2 * (MAX_SOURCES + 1));
    take(&mut metrics, &[of(9001, 4 * S + IDLE_NS)]);
    assert_eq!(metrics.counts().sources_retired, 1);
    assert_eq!(metrics.len(), 2 * (MAX_SOURCES + 1));
    let pods: Vec<&str> = metrics
        .series()
        .flat_map(|s| s.source.labels())
        .filter(|(name, _)| *name == "k8s.pod.name")
        .map(|(_, pod)| pod)
        .collect();
    assert!(!pods.contains(&"pod-0") && pods.contains(&"pod-1") && pods.contains(&"pod-9001"));
    let new = metrics
        .series()
        .find(|s| s.source.labels().any(|l| l.1 == "pod-9001"));
    assert_eq!(new.map(|series| series.since_ns), Some(4 * S + IDLE_NS));
}

#[test]
fn there_are_never_more_series_than_the_bound_and_what_they_miss_is_counted() {
    let mut metrics = Metrics::new(0, None);
    'full: for model in 0..MAX_WORDS {
        for path in 0..MAX_WORDS {
            let mut one = Exchange::call("request", &format!("m{model}"))
                .with("url.path", format!("/{path}"));
            one.attrs
                .insert("gen_ai.response.model".into(), format!("m{path}").into());
            one.id = (model * MAX_WORDS + path) as u128 + 10;
            for pod in 0..4 {
                one.session
                    .insert("k8s.pod.name".into(), format!("{pod}").into());
                one.id += 1 << 20;
                take(&mut metrics, std::slice::from_ref(&one));
            }
            if metrics.counts().values_dropped > 10 {
                break 'full;
            }
        }
    }
    assert_eq!(metrics.len(), MAX_SERIES);
    assert!(metrics.counts().values_dropped > 10);
}
