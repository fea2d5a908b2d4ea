//! What the agent says of itself, once a second: a line of JSON through a pipe, `--summary-json`'s object.
//!
//! Only the last line is kept. The pipe's end is the agent's end, however it ended.

use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a line. The summary has 20 KiB; past it nobody sends us one.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// The agent, as it told last.
#[derive(Debug, Default)]
pub struct AgentStatus {
    line: Mutex<Option<String>>,
    gone: AtomicBool,
}

impl AgentStatus {
    /// Reads lines on a thread, until their end.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn read(input: impl Read + Send + 'static) -> io::Result<Arc<AgentStatus>> {
        let status = Arc::new(AgentStatus::default());
        let shared = Arc::clone(&status);
        std::thread::Builder::new()
            .name("cirron-status".into())
            .spawn(move || {
                let mut input = BufReader::new(input);
                loop {
                    let mut line = Vec::new();
                    let mut bounded = input.by_ref().take(MAX_LINE_BYTES);
                    if !matches!(bounded.read_until(b'\n', &mut line), Ok(bytes) if bytes > 0) {
                        break;
                    }
                    if let (Some(b'\n'), Ok(line)) = (line.pop(), String::from_utf8(line)) {
                        let mut last = shared.line.lock().unwrap_or_else(PoisonError::into_inner);
                        *last = Some(line);
                    }
                }
                shared.gone.store(true, Ordering::SeqCst);
            })?;
        Ok(status)
    }

    /// The last line, one JSON object.
    pub fn last(&self) -> Option<String> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.clone()
    }

    /// Whether the agent has ended.
    pub fn has_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_last_whole_line_is_kept_and_the_end_is_seen() {
        let (reader, mut writer) = io::pipe().unwrap();
        let status = AgentStatus::read(reader).unwrap();
        assert_eq!(status.last(), None);
        writer.write_all(b"{\"a\":1}\n{\"a\":2}\n{\"a\":").unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while status.last().as_deref() != Some("{\"a\":2}") {
            assert!(Instant::now() < until && !status.has_gone());
            std::thread::yield_now();
        }
        drop(writer);
        while !status.has_gone() {
            assert!(Instant::now() < until);
            std::thread::yield_now();
        }
        assert_eq!(status.last().as_deref(), Some("{\"a\":2}"));
    }
}
