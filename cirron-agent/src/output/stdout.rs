//! `--output stdout`: the SDK's one line for each finished scope, `[cirron] request — 12.3ms`.
//!
//! Lines are collected and written at each flush. Their reader may take its time: who waits for it is the
//! queue's business. A write that fails costs its lines. A pipe whose reader has gone is not an
//! error: the sink says that it is closed, and keeps still.

use std::io::{self, Write};

use super::Timed;
use super::line::write_line;
use super::lossy::Waiting;
use super::sink::{Count, Opening, Pressure, Sink, SinkKind, Stats};

/// Bytes of text past which it is written before its time.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Its row in the table of sinks. As in the SDK, only what is closed has a line.
pub const KIND: SinkKind = SinkKind {
    name: "stdout",
    help: "One line for each finished scope on standard output",
    pressure: Pressure::Drops,
    writes_files: false,
    wants: |scope| scope.span.end.is_some(),
    open,
};

fn open(_: &Opening<'_>) -> anyhow::Result<Box<dyn Sink>> {
    Ok(Box::new(StdoutSink::new(Waiting::on(io::stdout())?)))
}

/// Writes lines.
struct StdoutSink<W> {
    out: W,
    text: String,
    /// Number of lines in the text.
    lines: u64,
    lines_written: u64,
    lines_dropped: u64,
    is_closed: bool,
    has_said: bool,
}

impl<W: Write + Send> StdoutSink<W> {
    fn new(out: W) -> StdoutSink<W> {
        StdoutSink {
            out,
            text: String::new(),
            lines: 0,
            lines_written: 0,
            lines_dropped: 0,
            is_closed: false,
            has_said: false,
        }
    }

    fn fail(&mut self, lines: u64, e: &io::Error) {
        self.lines_dropped += lines;
        if e.kind() == io::ErrorKind::BrokenPipe {
            self.is_closed = true;
        } else if !std::mem::replace(&mut self.has_said, true) {
            tracing::warn!(
                "lines for standard output are lost: {e}; \
                 the capture goes on, further losses are counted"
            );
        }
    }
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn kind(&self) -> &'static SinkKind {
        &KIND
    }

    fn accept(&mut self, Timed { scope, times }: &Timed) {
        if self.is_closed {
            self.lines_dropped += 1;
            return;
        }
        self.text.push_str("[cirron] ");
        write_line(&mut self.text, &scope.span, *times, &scope.marks);
        self.text.push('\n');
        self.lines += 1;
        if self.text.len() >= MAX_TEXT_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let lines = std::mem::take(&mut self.lines);
        let put = self.out.write_all(text.as_bytes());
        match put.and_then(|()| self.out.flush()) {
            Ok(()) => self.lines_written += lines,
            Err(e) => self.fail(lines, &e),
        }
    }

    fn stats(&self) -> Stats {
        Stats {
            settled: self.lines_written + self.lines_dropped,
            counts: vec![Count::plain("lines_written", self.lines_written)],
            dropped: Count::loss(
                "lines_dropped",
                self.lines_dropped,
                "line that nobody took on standard output",
                "lines that nobody took on standard output",
            ),
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::testing::{finished, span, timed};
    use crate::testing::Kept;

    /// Fails each time.
    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scope(end: Option<u64>) -> Timed {
        timed(finished(span(2, Some(1), 0, end), Vec::new()))
    }

    #[test]
    fn closed_scopes_have_a_line_and_open_ones_are_not_wanted() {
        let kept = Kept::default();
        let mut sink = StdoutSink::new(kept.clone());
        assert!(!(KIND.wants)(&scope(None).scope));
        let closed = scope(Some(12_345_678));
        assert!((KIND.wants)(&closed.scope));
        sink.accept(&closed);
        assert_eq!(sink.stats().settled, 0, "it is not written yet");
        sink.flush();
        assert_eq!(sink.stats().settled, 1);
        assert_eq!(kept.text(), "[cirron] request — 12.3ms\n");
    }

    #[test]
    fn a_reader_that_went_away_is_noticed() {
        let mut sink = StdoutSink::new(Fails(io::ErrorKind::BrokenPipe));
        sink.accept(&scope(Some(1)));
        assert!(!sink.is_closed());
        sink.flush();
        assert!(sink.is_closed());
        sink.accept(&scope(Some(1)));
        let stats = sink.stats();
        assert_eq!((stats.settled, stats.dropped.value), (2, 2));
    }

    #[test]
    fn a_full_disk_costs_lines_and_the_next_are_tried() {
        let mut sink = StdoutSink::new(Fails(io::ErrorKind::StorageFull));
        for _ in 0..2 {
            sink.accept(&scope(Some(1)));
            sink.flush();
        }
        assert!(!sink.is_closed());
        assert_eq!(sink.stats().dropped.value, 2);
    }
}
