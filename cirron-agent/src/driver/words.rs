//! The summary in words: one line, for people who see it for the first time.

use std::collections::BTreeMap;
use std::fmt::Write;

use cirron_common::Counter;

use super::summary::Summary;

impl Summary {
    /// One line. What was lost is always said, what else went wrong where it did.
    pub fn line(&self) -> String {
        let mut out = captured(&self.engine);
        let losses = self.losses();
        let _ = match (self.kernel.is_some(), losses.is_empty()) {
            (true, true) => write!(out, "; nothing was lost"),
            (true, false) => write!(out, "; lost: {}", losses.join(", ")),
            (false, true) => write!(out, "; whether anything was lost is unknown"),
            (false, false) => write!(
                out,
                "; lost: {}, and what the kernel side dropped is unknown",
                losses.join(", ")
            ),
        };
        let notes = self.notes();
        if !notes.is_empty() {
            let _ = write!(out, "; note: {}", notes.join(", "));
        }
        if let Some(path) = &self.spool_path {
            let written = self.sinks().map(|sink| sink.count("batches_written")).sum();
            let batches = counted(written, "batch", "batches");
            let _ = write!(out, "; {batches} in {path}");
        }
        out
    }

    /// Ways in which something was lost.
    fn losses(&self) -> Vec<String> {
        let dropped = [
            Counter::RingFull,
            Counter::EventsLost,
            Counter::ProbeHitsLost,
        ];
        let dropped: u64 = dropped.into_iter().map(|c| self.kernel(c)).sum();
        let lost = [
            Counter::RingFullBytes,
            Counter::FaultBytes,
            Counter::OverLimitBytes,
        ];
        let lost: u64 = lost.into_iter().map(|counter| self.kernel(counter)).sum();
        let all = [
            (
                dropped,
                "record dropped while the ring was full (see --ring-mib)",
                "records dropped while the ring was full (see --ring-mib)",
            ),
            (lost, "byte not captured", "bytes not captured"),
            (
                self.kernel(Counter::BypassBytes),
                "byte by sendfile or splice, which cannot be read",
                "bytes by sendfile or splice, which cannot be read",
            ),
            (
                self.kernel(Counter::CompatCalls),
                "call of a 32-bit process, which is not decoded",
                "calls of 32-bit processes, which are not decoded",
            ),
            (
                self.kernel(Counter::IoUringTransfers),
                "send or receive by io_uring, which is not seen",
                "sends and receives by io_uring, which are not seen",
            ),
            (
                self.kernel(Counter::ProbeHitsLeftOut),
                "hit of a probe that was hit too often",
                "hits of probes that were hit too often",
            ),
            (
                self.libraries("probes_detached"),
                "function or probe that was detached, since it was hit far too often",
                "functions or probes that were detached, since they were hit far too often",
            ),
            (
                self.kernel(Counter::ProbeFaults),
                "value or text of a probe that could not be read",
                "values or texts of probes that could not be read",
            ),
            (
                self.kernel(Counter::PassedOver),
                "call or event, of any process, that the kernel passed over",
                "calls or events, of any process, that the kernel passed over",
            ),
            (
                self.kernel(Counter::ConnMapFull) + self.engine("evicted_connections"),
                "connection past those that can be followed at a time",
                "connections past those that can be followed at a time",
            ),
            (
                self.kernel(Counter::TargetMapFull),
                "child past those that can be followed at a time",
                "children past those that can be followed at a time",
            ),
            (
                self.engine("ends_lost"),
                "connection whose end was not told",
                "connections whose end was not told",
            ),
            (
                self.engine("given_up_bodies"),
                "exchange read no further for want of memory (see --max-memory)",
                "exchanges read no further for want of memory (see --max-memory)",
            ),
            (
                // Of those that were forgotten nothing had been read any more.
                self.engine("given_up_connections"),
                "connection given up for want of memory (see --max-memory)",
                "connections given up for want of memory (see --max-memory)",
            ),
            (
                self.engine("forgotten_processes"),
                "process past those that can be known at a time",
                "processes past those that can be known at a time",
            ),
            (
                self.engine("bad_records"),
                "record not understood (report it)",
                "records not understood (report it)",
            ),
            (
                self.libraries("processes_unlooked") + self.libraries("processes_passed_over"),
                "process not looked into for TLS",
                "processes not looked into for TLS",
            ),
            (
                self.libraries("processes_unasked") + self.libraries("facts_late"),
                "process whose facts could not be read in time",
                "processes whose facts could not be read in time",
            ),
            (
                self.libraries("targets_refused"),
                "process that a rule chose and that could not be watched",
                "processes that a rule chose and that could not be watched",
            ),
            (
                self.libraries("pods_unanswered"),
                "question for pods without an answer",
                "questions for pods without an answer",
            ),
            (
                self.libraries("containers_left_out"),
                "container past those that can be known",
                "containers past those that can be known",
            ),
            (
                self.libraries("containers_unknown"),
                "container of which nobody said in time what it is",
                "containers of which nobody said in time what they are",
            ),
            (
                self.libraries("files_panicked"),
                "file that could not be looked into (report it)",
                "files that could not be looked into (report it)",
            ),
            (
                self.libraries("files_unwatched"),
                "TLS library past those that can be watched",
                "TLS libraries past those that can be watched",
            ),
        ];
        let sinks = self.sinks().flat_map(|sink| &sink.counts);
        let sinks = sinks.filter_map(|count| {
            let (one, many) = count.loss?;
            Some((count.value, one, many))
        });
        let recording = (
            self.recording.map_or(0, |all| all.entries_lost),
            "entry of the recording",
            "entries of the recording",
        );
        said(all.into_iter().chain(sinks).chain([recording]))
    }

    /// What is to be known of what was captured, and is no loss of the agent's.
    fn notes(&self) -> Vec<String> {
        // Of no interest beside what was captured: databases, event loops, other protocols.
        let other = if self.engine("exchanges") == 0 {
            self.engine("opaque_connections")
        } else {
            0
        };
        let all = [
            (
                self.engine("partial"),
                "exchange is partial (it says why)",
                "exchanges are partial (each says why)",
            ),
            (
                self.unread_tls(),
                "TLS connection not read (`doctor --pid` says of which library)",
                "TLS connections not read (`doctor --pid` says of which library)",
            ),
            (
                self.libraries("processes_unsearched"),
                "search for a TLS library that cannot be read, cut short",
                "searches for TLS libraries that cannot be read, cut short",
            ),
            (
                self.engine("tls_silent"),
                "TLS connection without plaintext",
                "TLS connections without plaintext",
            ),
            (
                self.engine("unnamed_exchanges"),
                "exchange that nothing named (joined late), counted only",
                "exchanges that nothing named (joined late), counted only",
            ),
            (
                other,
                "connection that carries no HTTP, left alone",
                "connections that carry no HTTP, left alone",
            ),
            (
                self.log_lines_dropped,
                "line of the log that nobody took",
                "lines of the log that nobody took",
            ),
        ];
        said(all)
    }
}

/// What was captured, in words, by the engine's counters.
pub fn captured(engine: &BTreeMap<&'static str, u64>) -> String {
    let get = |name| engine.get(name).copied().unwrap_or(0);
    if get("exchanges") == 0 {
        return "no HTTP was seen".to_owned();
    }
    format!(
        "{} ({} served, {} made), {}, {}",
        counted(get("exchanges"), "exchange", "exchanges"),
        counted(get("requests"), "request", "requests"),
        counted(get("client_calls"), "call", "calls"),
        counted(get("llm_calls"), "LLM call", "LLM calls"),
        counted(get("output_tokens"), "output token", "output tokens"),
    )
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Those that are more than none.
fn said<'a>(all: impl IntoIterator<Item = (u64, &'a str, &'a str)>) -> Vec<String> {
    all.into_iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| counted(count, one, many))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cirron_core::engine::EngineStats;

    use super::*;
    use crate::driver::Report;
    use crate::driver::summary::tests::{report, spool};
    use crate::output::sink::{Count, SinkReport, Stats};
    use crate::record::writer::RecordingStats;

    #[test]
    fn the_line_says_what_was_lost_and_only_then_what_else_went_wrong() {
        let line = Summary::from_report(&report(), 1.0, Some(Path::new("x/spool"))).line();
        assert_eq!(
            line,
            "3 exchanges (2 requests served, 1 call made), 0 LLM calls, 0 output tokens; \
             lost: 5 records dropped while the ring was full (see --ring-mib), 17 bytes not captured, \
             2 batches that could not be written; 0 batches in x/spool"
        );
    }

    #[test]
    fn lines_and_entries_that_nobody_took_are_said() {
        let mut report = report();
        let dropped = Count::loss("lines_dropped", 9, "line that", "lines that nobody took");
        let stats = Stats {
            settled: 3,
            counts: Vec::new(),
            dropped,
        };
        report
            .sinks
            .push(SinkReport::new("stdout", stats, 0, false));
        report.core.recording = Some(RecordingStats {
            entries: 3,
            entries_lost: 1,
        });
        let mut summary = Summary::from_report(&report, 1.0, None);
        summary.log_lines_dropped = 2;
        let line = summary.line();
        assert!(
            line.contains(
                "9 lines that nobody took, 1 entry of the recording; \
                 note: 2 lines of the log that nobody took"
            ),
            "{line}"
        );
    }

    #[test]
    fn what_was_lost_of_probes_is_said() {
        let mut report = report();
        let mut counters = [0; cirron_common::counters::COUNTERS as usize];
        counters[Counter::ProbeHitsLost as usize] = 2;
        counters[Counter::ProbeHitsLeftOut as usize] = 3;
        counters[Counter::ProbeFaults as usize] = 1;
        report.core.counters = Some(counters);
        let line = Summary::from_report(&report, 1.0, None).line();
        for said in [
            "2 records dropped while the ring was full",
            "3 hits of probes that were hit too often",
            "1 value or text of a probe that could not be read",
        ] {
            assert!(line.contains(said), "{line}");
        }
    }

    #[test]
    fn where_nothing_was_lost_the_line_says_so_and_no_more() {
        let mut report = report();
        report.core.counters = Some([0; cirron_common::counters::COUNTERS as usize]);
        report.core.engine.opaque_connections = 12;
        report.sinks = vec![spool("batches_written", 1)];
        let line =
            |report: &Report| Summary::from_report(report, 1.0, Some(Path::new("x/spool"))).line();
        assert_eq!(
            line(&report),
            "3 exchanges (2 requests served, 1 call made), 0 LLM calls, 0 output tokens; \
             nothing was lost; 1 batch in x/spool"
        );
        report.core.engine.partial = 1;
        assert!(
            line(&report)
                .contains("; nothing was lost; note: 1 exchange is partial (it says why); ")
        );
        // Who sees nothing is told what there was instead.
        report.core.engine = EngineStats {
            opaque_connections: 12,
            ..EngineStats::default()
        };
        assert_eq!(
            line(&report),
            "no HTTP was seen; nothing was lost; note: 12 connections that carry no HTTP, left alone; \
             1 batch in x/spool"
        );
    }
}
