//! `--output stdout`: the SDK's one line for each finished scope, `[cirron] request — 12.3ms`.
//!
//! Lines are collected and written at each flush. A live capture does not wait for their reader
//! ([`Lossy`]): what it does not take is dropped and counted, also where standard output is the only
//! output, since waiting would cost the capture itself. A replay waits: its file does not run away.
//! A pipe whose reader has gone is not an error: the sink says that it is closed, and keeps still.

use std::io::{self, Write};
use std::time::Duration;

use super::Finished;
use super::line::write_line;
use super::lossy::{Lossy, LossyStats, Waiting};
use crate::privileges;
use crate::spool::json::WallTimes;

/// Bytes of text past which it is written before its time.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Bytes of lines that wait for a reader: some 50 000 lines, minutes of a busy server. Past it lines
/// are dropped and counted.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// How long the end waits for a reader that stands still, or is slow.
pub const END_LIMIT: Duration = Duration::from_secs(1);

enum To {
    Waiting(Box<dyn Write + Send>),
    Lossy(Lossy),
}

/// Writes lines.
pub struct StdoutSink {
    to: To,
    text: String,
    lines: u64,
    closed: bool,
    stats: LossyStats,
    said_dropped: bool,
}

impl StdoutSink {
    /// Lines go to `out`, and each waits for it.
    pub fn new(out: Box<dyn Write + Send>) -> StdoutSink {
        StdoutSink::to(To::Waiting(out))
    }

    /// Lines go to standard output, and nothing waits for it.
    pub fn live() -> io::Result<StdoutSink> {
        let out = Box::new(Waiting::on(io::stdout())?);
        let lossy = Lossy::start("cirron-stdout", out, QUEUE_BYTES, privileges::keep_none)?;
        Ok(StdoutSink::to(To::Lossy(lossy)))
    }

    fn to(to: To) -> StdoutSink {
        StdoutSink {
            to,
            text: String::new(),
            lines: 0,
            closed: false,
            stats: LossyStats::default(),
            said_dropped: false,
        }
    }

    /// Takes one scope. As in the SDK, only what is closed has a line.
    pub fn accept(&mut self, scope: &Finished, times: WallTimes) {
        if times.end_ns.is_none() {
            return;
        }
        if self.closed {
            self.stats.lines_dropped += 1;
            return;
        }
        self.text.push_str("[cirron] ");
        write_line(&mut self.text, &scope.span, times, &scope.marks);
        self.text.push('\n');
        self.lines += 1;
        if self.text.len() >= MAX_TEXT_BYTES {
            self.flush();
        }
    }

    /// Writes what there is.
    pub fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text).into_bytes();
        let lines = std::mem::take(&mut self.lines);
        match &mut self.to {
            To::Waiting(out) => match out.write_all(&text).and_then(|()| out.flush()) {
                Ok(()) => self.stats.lines_written += lines,
                Err(e) => {
                    self.stats.lines_dropped += lines;
                    self.closed = true;
                    if e.kind() != io::ErrorKind::BrokenPipe {
                        tracing::warn!("cannot write to standard output: {e}; its lines end here");
                    }
                }
            },
            To::Lossy(lossy) => {
                let taken = lossy.put(text, lines);
                self.closed |= lossy.is_closed();
                let error = lossy.take_error();
                if (!taken || error.is_some())
                    && !self.closed
                    && !std::mem::replace(&mut self.said_dropped, true)
                {
                    let why = error.unwrap_or_else(|| "its reader does not keep up".to_owned());
                    tracing::warn!(
                        "lines for standard output are lost: {why}; \
                         the capture goes on, further losses are counted"
                    );
                }
            }
        }
    }

    /// Writes the rest, for a bounded time where nobody waits; then the counts.
    pub fn finish(&mut self) -> LossyStats {
        self.flush();
        let LossyStats {
            lines_written,
            lines_dropped,
        } = match &self.to {
            To::Waiting(_) => LossyStats::default(),
            To::Lossy(lossy) => lossy.finish(END_LIMIT),
        };
        LossyStats {
            lines_written: self.stats.lines_written + lines_written,
            lines_dropped: self.stats.lines_dropped + lines_dropped,
        }
    }

    /// Nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::testing::{anchor, finished, span};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .map_err(|_| io::ErrorKind::Other)?
                .write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn accept(sink: &mut StdoutSink, end: Option<u64>) {
        let scope = finished(span(2, Some(1), 0, end), Vec::new());
        sink.accept(&scope, WallTimes::of(&scope.span, &anchor()));
    }

    #[test]
    fn closed_scopes_have_a_line_and_open_ones_none() {
        let shared = Shared::default();
        let mut sink = StdoutSink::new(Box::new(shared.clone()));
        accept(&mut sink, None);
        accept(&mut sink, Some(12_345_678));
        sink.flush();
        let text = shared.0.lock().map(|text| text.clone()).unwrap_or_default();
        assert_eq!(
            String::from_utf8_lossy(&text),
            "[cirron] request — 12.3ms\n"
        );
    }

    #[test]
    fn a_reader_that_went_away_is_noticed() {
        let mut sink = StdoutSink::new(Box::new(Gone));
        accept(&mut sink, Some(1));
        assert!(!sink.is_closed());
        sink.flush();
        assert!(sink.is_closed());
        accept(&mut sink, Some(1));
        let stats = sink.finish();
        assert_eq!((stats.lines_written, stats.lines_dropped), (0, 2));
    }
}
