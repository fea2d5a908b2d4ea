//! The end in numbers: one honest line for people, and all counters for machines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use cirron_common::Counter;
use cirron_core::engine::EngineStats;
use cirron_core::scope::Rows;
use cirron_core::time::MonoNs;
use serde::Serialize;

use super::Report;
use super::counts::Counts;
use super::pending::Pending;
use super::stop::Reason;
use crate::kernel::Detached;
use crate::output::sink::SinkReport;
use crate::output::table::KINDS;
use crate::record::writer::RecordingStats;
use crate::shipping::child::ChildCounts;

/// How a capture that runs stands.
#[derive(Debug)]
pub struct SoFar {
    /// The summary.
    pub summary: Summary,
    /// Processes that are watched.
    pub targets: usize,
    /// Exchanges that go on.
    pub open: Rows,
    /// When they were asked for.
    pub at: MonoNs,
}

/// Every counter of a capture, as `--summary-json` writes it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The agent's version.
    pub version: &'static str,
    /// Why it ended; null where it runs still, or where the threads did not say.
    pub reason: Option<Reason>,
    /// Seconds from the attach to the end.
    pub duration_s: f64,
    /// What went wrong.
    pub failure: Option<String>,
    /// The spool's directory; null where none was written.
    pub spool_path: Option<String>,
    /// Records that came through the ring.
    pub records_read: u64,
    /// Exits that only procfs told.
    pub exits_missed: u64,
    /// The kernel side's counters by name; null where they could not be read.
    pub kernel: Option<BTreeMap<&'static str, u64>>,
    /// The engine's counters.
    pub engine: BTreeMap<&'static str, u64>,
    /// What was opened by secrets that TLS libraries announced.
    pub unsealed: BTreeMap<&'static str, u64>,
    /// The most that connections and open scopes held at once, bytes; `--max-memory` bounds it.
    pub peak_held_bytes: u64,
    /// The counters of each sink, by its name; null where it was not asked for.
    #[serde(flatten)]
    pub sinks: BTreeMap<&'static str, Option<SinkReport>>,
    /// Lines of the log that nobody took, up to here.
    pub log_lines_dropped: u64,
    /// The process that ships: null where nothing is shipped, or until the end.
    pub shipper: Option<ChildCounts>,
    /// The recording's counters; null where none was asked for.
    pub recording: Option<RecordingStats>,
    /// What was not done with the files of targets, by name.
    pub libraries: BTreeMap<&'static str, u64>,
    /// How the probes were detached, where they were.
    pub detach: Option<Detach>,
}

/// The end of the probes.
#[derive(Debug, Serialize)]
pub struct Detach {
    /// Probes in TLS libraries.
    pub uprobes: usize,
    /// Links that held them.
    pub links: usize,
    /// Milliseconds until all were gone, those on tracepoints too.
    pub ms: f64,
}

impl Detach {
    /// As the kernel side says it.
    pub fn new(detached: Detached) -> Detach {
        Detach {
            uprobes: detached.probes,
            links: detached.links,
            ms: detached.took.as_secs_f64() * 1e3,
        }
    }
}

impl fmt::Display for Detach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detach { uprobes, links, ms } = self;
        write!(f, "detached {uprobes} probes ({links} links) in {ms:.1} ms")
    }
}

impl Summary {
    /// Of a report.
    pub fn from_report(report: &Report, duration_s: f64, spool_path: Option<&Path>) -> Summary {
        let kernel = report.core.counters.map(|counters| {
            Counter::ALL
                .iter()
                .map(|c| (c.name(), counters[*c as usize]))
                .collect()
        });
        Summary {
            version: env!("CARGO_PKG_VERSION"),
            reason: report.reason,
            duration_s,
            failure: report.failure.as_ref().map(|e| format!("{e:#}")),
            spool_path: spool_path.map(|path| path.display().to_string()),
            records_read: report.core.records,
            exits_missed: report.core.exits_missed,
            kernel,
            engine: engine_counters(&report.core.engine),
            unsealed: report.core.unseal.by_name(),
            peak_held_bytes: report.core.peak_held_bytes,
            sinks: by_name(&report.sinks),
            shipper: None,
            recording: report.core.recording,
            log_lines_dropped: crate::cli::messages::lines_dropped(),
            libraries: BTreeMap::new(),
            detach: None,
        }
    }

    /// What was not done with the files of targets.
    pub fn take_libraries(&mut self, counts: &Counts, pending: &Pending) {
        self.libraries = counts.by_name();
        self.libraries
            .insert("processes_passed_over", pending.passed_over());
    }

    pub(super) fn sinks(&self) -> impl Iterator<Item = &SinkReport> {
        KINDS
            .iter()
            .filter_map(|kind| self.sinks.get(kind.name)?.as_ref())
    }

    pub(super) fn libraries(&self, name: &str) -> u64 {
        self.libraries.get(name).copied().unwrap_or(0)
    }

    pub(super) fn kernel(&self, counter: Counter) -> u64 {
        self.kernel
            .as_ref()
            .and_then(|all| all.get(counter.name()))
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn engine(&self, name: &str) -> u64 {
        self.engine.get(name).copied().unwrap_or(0)
    }

    /// Sockets that carry TLS, less those whose plaintext was read without knowing the socket.
    pub(super) fn unread_tls(&self) -> u64 {
        let unlinked = self
            .engine("tls_objects")
            .saturating_sub(self.engine("tls_linked"));
        self.engine("tls_sockets").saturating_sub(unlinked)
    }
}

fn by_name(reports: &[SinkReport]) -> BTreeMap<&'static str, Option<SinkReport>> {
    let none = KINDS.iter().map(|kind| (kind.name, None));
    let some = reports
        .iter()
        .map(|report| (report.name, Some(report.clone())));
    none.chain(some).collect()
}

/// By name. Destructured, so that a new counter must be noticed here.
pub fn engine_counters(stats: &EngineStats) -> BTreeMap<&'static str, u64> {
    let EngineStats {
        exchanges,
        requests,
        client_calls,
        llm_calls,
        output_tokens,
        partial,
        lost_bytes,
        holes,
        reordered_records,
        stale_bytes,
        connections,
        opaque_connections,
        net_scopes,
        net_turns_left_out,
        net_unasked_bytes,
        tls_sockets,
        tls_objects,
        tls_linked,
        tls_silent,
        unnamed_exchanges,
        unnamed_connections,
        ends_lost,
        evicted_connections,
        ignored_exchanges,
        sampled_out_exchanges,
        config_problems,
        passed_over_bytes,
        bad_records,
        given_up_bodies,
        given_up_connections,
        forgotten_connections,
        forgotten_processes,
        unknown_contexts,
        scopes_left_out,
        marks_left_out,
        marks_unplaced,
        probes_unseen,
        probes_unread,
        probes_told_left_out,
        parents_known,
        parents_unknown,
        parents_given_up,
        paired_connections,
        callers_known,
        callers_unknown,
        ends_refused,
        traces_forgotten,
        bad_traceparents,
    } = *stats;
    BTreeMap::from([
        ("exchanges", exchanges),
        ("requests", requests),
        ("client_calls", client_calls),
        ("llm_calls", llm_calls),
        ("output_tokens", output_tokens),
        ("partial", partial),
        ("lost_bytes", lost_bytes),
        ("holes", holes),
        ("reordered_records", reordered_records),
        ("stale_bytes", stale_bytes),
        ("connections", connections),
        ("opaque_connections", opaque_connections),
        ("net_scopes", net_scopes),
        ("net_turns_left_out", net_turns_left_out),
        ("net_unasked_bytes", net_unasked_bytes),
        ("tls_sockets", tls_sockets),
        ("tls_objects", tls_objects),
        ("tls_linked", tls_linked),
        ("tls_silent", tls_silent),
        ("unnamed_exchanges", unnamed_exchanges),
        ("unnamed_connections", unnamed_connections),
        ("ends_lost", ends_lost),
        ("evicted_connections", evicted_connections),
        ("ignored_exchanges", ignored_exchanges),
        ("sampled_out_exchanges", sampled_out_exchanges),
        ("config_problems", config_problems),
        ("passed_over_bytes", passed_over_bytes),
        ("bad_records", bad_records),
        ("given_up_bodies", given_up_bodies),
        ("given_up_connections", given_up_connections),
        ("forgotten_connections", forgotten_connections),
        ("forgotten_processes", forgotten_processes),
        ("unknown_contexts", unknown_contexts),
        ("scopes_left_out", scopes_left_out),
        ("marks_left_out", marks_left_out),
        ("marks_unplaced", marks_unplaced),
        ("probes_unseen", probes_unseen),
        ("probes_unread", probes_unread),
        ("probes_told_left_out", probes_told_left_out),
        ("parents_known", parents_known),
        ("parents_unknown", parents_unknown),
        ("parents_given_up", parents_given_up),
        ("paired_connections", paired_connections),
        ("callers_known", callers_known),
        ("callers_unknown", callers_unknown),
        ("ends_refused", ends_refused),
        ("traces_forgotten", traces_forgotten),
        ("bad_traceparents", bad_traceparents),
    ])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::driver::core::CoreReport;
    use crate::spool::sink::SpoolStats;

    /// A spool's report with one count set.
    pub(in crate::driver) fn spool(name: &str, value: u64) -> SinkReport {
        let mut stats = SpoolStats::default();
        match name {
            "batches_lost" => stats.batches_lost = value,
            _ => stats.batches_written = value,
        }
        SinkReport::new("spool", stats.told(0), 0, false)
    }

    pub(crate) fn report() -> Report {
        let engine = EngineStats {
            exchanges: 3,
            requests: 2,
            client_calls: 1,
            ..EngineStats::default()
        };
        let mut counters = [0; cirron_common::counters::COUNTERS as usize];
        counters[Counter::RingFull as usize] = 4;
        counters[Counter::EventsLost as usize] = 1;
        counters[Counter::FaultBytes as usize] = 10;
        counters[Counter::OverLimitBytes as usize] = 7;
        let core = CoreReport {
            engine,
            counters: Some(counters),
            ..CoreReport::default()
        };
        Report {
            reason: Some(Reason::Signal),
            core,
            sinks: vec![spool("batches_lost", 2)],
            failure: None,
        }
    }

    #[test]
    fn the_detaching_is_told_in_words_and_numbers() {
        let detach = Detach::new(Detached {
            probes: 66,
            links: 6,
            took: std::time::Duration::from_micros(71_250),
        });
        assert_eq!(
            detach.to_string(),
            "detached 66 probes (6 links) in 71.2 ms"
        );
        let mut summary = Summary::from_report(&report(), 1.0, None);
        let json = |summary: &Summary| serde_json::to_value(summary).unwrap_or_default();
        assert_eq!(json(&summary)["detach"], serde_json::Value::Null);
        summary.detach = Some(detach);
        assert_eq!(json(&summary)["detach"]["links"], 6);
        assert_eq!(json(&summary)["detach"]["ms"], 71.25);
    }

    #[test]
    fn every_counter_of_the_engine_stands_in_the_document() {
        let document = include_str!("../../../docs/summary.md");
        for name in engine_counters(&EngineStats::default()).keys() {
            assert!(document.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn every_count_of_what_was_not_done_stands_in_the_document() {
        let document = include_str!("../../../docs/summary.md");
        let mut summary = Summary::from_report(&report(), 1.0, None);
        summary.take_libraries(&Counts::default(), &Pending::default());
        assert!(summary.libraries.len() > 8);
        for name in summary.libraries.keys() {
            assert!(document.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn counters_that_could_not_be_read_are_not_zero() {
        let mut report = report();
        report.core.counters = None;
        let summary = Summary::from_report(&report, 1.0, None);
        assert!(summary.line().contains("unknown"));
        let json = serde_json::to_value(&summary).unwrap_or_default();
        assert_eq!(json["kernel"], serde_json::Value::Null);
        assert_eq!(json["reason"], "signal");
        assert_eq!(json["engine"]["requests"], 2);
    }
}
