//! Messages on standard error. Whether anybody reads them does not matter to a capture: a pipe
//! whose reader has gone or stands still, or a full disk, costs lines, which are counted.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::log::Shown;
use crate::output::lossy::{Lossy, Waiting};
use crate::privileges;
use cirron_spool::shown::shown_message;

/// Bytes of messages that may wait. `-vv` writes some kilobytes a second.
const QUEUE_BYTES: usize = 1024 * 1024;

/// What our own few messages, the summary among them, may take besides.
const RESERVE_BYTES: usize = 64 * 1024;

/// How long the end waits for somebody to read. A terminal takes milliseconds.
const END_LIMIT: Duration = Duration::from_secs(1);

static LOG: OnceLock<Lossy> = OnceLock::new();

/// Starts writing, from `-v`'s level on.
pub fn start(verbose: u8) {
    let log = Waiting::on(io::stderr()).and_then(|out| {
        Lossy::start(
            "cirron-log",
            Box::new(out),
            QUEUE_BYTES,
            privileges::keep_none,
        )
    });
    // Where no thread can be had, messages are written by whoever has them.
    if let Ok(log) = log {
        let _ = LOG.set(log);
    }
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let made = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(Log)
        // It would print, and panic where that fails, what a writer of ours never returns.
        .log_internal_errors(false)
        .with_target(verbose > 1)
        .map_event_format(Shown)
        .try_init();
    if let Err(e) = made {
        say(&format!("messages of the log are not shown: {e}"));
    }
}

/// One message of ours.
pub fn say(text: &str) {
    let line = format!("cirron-agent: {}\n", shown_message(text)).into_bytes();
    match LOG.get() {
        Some(log) => {
            let lines = line.iter().filter(|b| **b == b'\n').count() as u64;
            log.put_important(line, lines, RESERVE_BYTES);
        }
        None => {
            let _ = io::stderr().write_all(&line);
        }
    }
}

/// Lines of it that nobody took so far.
pub fn lines_dropped() -> u64 {
    LOG.get().map_or(0, |log| log.stats().lines_dropped)
}

/// Waits for the rest to be written, for a bounded time.
pub fn finish() {
    if let Some(log) = LOG.get() {
        log.finish(END_LIMIT);
    }
}

/// Where the log's events go.
#[derive(Clone, Copy, Debug)]
struct Log;

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        Log
    }
}

impl Write for Log {
    /// An event comes whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match LOG.get() {
            Some(log) => {
                log.put(bytes.to_vec(), 1);
            }
            None => {
                let _ = io::stderr().write_all(bytes);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
