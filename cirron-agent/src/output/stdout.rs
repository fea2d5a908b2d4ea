//! `--output stdout`: the SDK's one line for each finished scope, `[cirron] request — 12.3ms`.
//!
//! Lines are collected and written at each flush. A pipe whose reader has gone is not an error:
//! the sink says that it is closed, and keeps still.

use std::io::{self, Write};

use super::Finished;
use super::line::write_line;
use crate::spool::json::WallTimes;

/// Bytes of text past which it is written before its time.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Writes lines.
pub struct StdoutSink {
    out: Box<dyn Write + Send>,
    text: String,
    closed: bool,
}

impl StdoutSink {
    /// Lines go to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> StdoutSink {
        StdoutSink {
            out,
            text: String::new(),
            closed: false,
        }
    }

    /// Takes one scope. As in the SDK, only what is closed has a line.
    pub fn accept(&mut self, scope: &Finished, times: WallTimes) {
        if self.closed || times.end_ns.is_none() {
            return;
        }
        self.text.push_str("[cirron] ");
        write_line(&mut self.text, &scope.span, times, &scope.marks);
        self.text.push('\n');
        if self.text.len() >= MAX_TEXT_BYTES {
            self.flush();
        }
    }

    /// Writes what there is.
    pub fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let put = self
            .out
            .write_all(self.text.as_bytes())
            .and_then(|()| self.out.flush());
        self.text.clear();
        if let Err(e) = put {
            self.closed = true;
            if e.kind() != io::ErrorKind::BrokenPipe {
                tracing::warn!("cannot write to standard output: {e}; its lines end here");
            }
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
    }
}
