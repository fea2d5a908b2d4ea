//! What documents, alerts and the dashboard say is what is exposed.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cirron_otel::destinations::own_figures;
use cirron_otel::metrics::{Kind, METRICS};
use cirron_otel::prometheus::{FigureKind, name};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The rows of metrics, and those of our own figures.
fn tables() -> [(&'static str, String); 2] {
    let mut metrics = String::from(
        "| name | in Prometheus | unit | labels | what it counts |\n| --- | --- | --- | --- | --- |\n",
    );
    for metric in &METRICS {
        let total = match metric.kind {
            Kind::Counter => "_total",
            Kind::Histogram(_) => "",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|l| format!("`{}`", l.name()))
            .collect();
        metrics += &format!(
            "| `{}` | `{}{total}` | {} | {} | {} |\n",
            metric.name,
            name(metric),
            metric.unit,
            labels.join(", "),
            metric.help
        );
    }
    let mut own = String::from("| name | what it counts |\n| --- | --- |\n");
    for figure in own_figures() {
        let total = match figure.kind {
            FigureKind::Counter => "_total",
            FigureKind::Gauge => "",
        };
        own += &format!("| `{}{total}` | {} |\n", figure.name, figure.help);
    }
    [
        ("| name | in Prometheus |", metrics),
        ("| name | what it counts |", own),
    ]
}

/// To renew the document: `UPDATE_DOCS=1 cargo test -p cirron-otel documents`.
#[test]
fn the_document_has_every_metric() {
    let path = repository().join("docs/metrics.md");
    let mut text = read("docs/metrics.md");
    for (head, table) in tables() {
        let begin = text.find(head).unwrap();
        let end = begin + text[begin..].find("\n\n").unwrap() + 1;
        if std::env::var_os("UPDATE_DOCS").is_some() {
            text.replace_range(begin..end, &table);
        } else {
            assert_eq!(
                &text[begin..end],
                table,
                "UPDATE_DOCS=1 cargo test -p cirron-otel documents"
            );
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
    }
}

/// Every name of a series of ours that a page may have.
fn exposed() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for metric in &METRICS {
        let suffixes: &[&str] = match metric.kind {
            Kind::Counter => &["_total"],
            Kind::Histogram(_) => &["_bucket", "_count", "_sum"],
        };
        names.extend(
            suffixes
                .iter()
                .map(|suffix| format!("{}{suffix}", name(metric))),
        );
    }
    for figure in own_figures() {
        let total = match figure.kind {
            FigureKind::Counter => "_total",
            FigureKind::Gauge => "",
        };
        names.insert(format!("{}{total}", figure.name));
    }
    names
}

/// The words of a text that are names of series of ours.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let is_series = |word: &&str| {
        let prefixes = [
            "gen_ai_server_",
            "gen_ai_client_",
            "http_server_",
            "http_client_",
            "cirron_",
        ];
        let labels = [
            "cirron_role",
            "cirron_endpoint",
            "cirron_aborted_by",
            "cirron_deployment_id",
            "cirron_figures",
            "cirron_target",
        ];
        prefixes.iter().any(|prefix| word.starts_with(prefix)) && !labels.contains(word)
    };
    words.filter(is_series).map(str::to_owned).collect()
}

/// What the agent says of itself stands in the summary: `cirron_agent_GROUP_NAME_total`.
fn is_of_the_agent(series: &str, summary: &str) -> bool {
    let Some(place) = series.strip_prefix("cirron_agent_") else {
        return false;
    };
    let place = place.strip_suffix("_total").unwrap_or(place);
    ["engine_", "spool_", "libraries_", ""]
        .iter()
        .filter_map(|group| place.strip_prefix(group))
        .any(|name| summary.contains(&format!("`{name}`")))
}

#[test]
fn alerts_and_the_dashboard_ask_for_what_is_exposed() {
    let (exposed, summary) = (exposed(), read("docs/summary.md"));
    for path in [
        "deploy/prometheus/rules.yml",
        "deploy/prometheus/rules_test.yml",
        "deploy/grafana/cirron-agent.json",
    ] {
        let named = named(&read(path));
        assert!(named.len() > 3, "{path}: {named:?}");
        for series in named.iter().filter(|name| *name != "cirron_agent") {
            let is_known = exposed.contains(series) || is_of_the_agent(series, &summary);
            assert!(is_known, "{path} asks for {series}, which nobody exposes");
        }
    }
}

#[test]
fn the_dashboard_is_whole() {
    let text = read("deploy/grafana/cirron-agent.json");
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        assert!(
            panel["targets"]
                .as_array()
                .is_some_and(|targets| !targets.is_empty()),
            "{panel}"
        );
        let (x, w) = (&panel["gridPos"]["x"], &panel["gridPos"]["w"]);
        assert!(x.as_u64().unwrap() + w.as_u64().unwrap() <= 24, "{panel}");
    }
}
