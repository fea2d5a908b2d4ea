//! Text for somebody who may not read it: a thread of its own, and a bounded queue.
//!
//! Whoever writes never waits. What does not fit is dropped and counted, as is what cannot be
//! written; a reader that has gone closes it. Standard output, the log and a recording that goes
//! into a pipe are written so: a pager that stands still, a full disk or a terminal after Ctrl-S
//! costs their own lines and nothing else.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How much was written and how much was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LossyStats {
    /// Lines that were written.
    pub lines_written: u64,
    /// Lines that nobody took: no room, an error, or the reader had gone.
    pub lines_dropped: u64,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Vec<u8>, u64)>,
    /// Bytes in the queue, and those being written.
    bytes: usize,
    /// Lines being written.
    under_way: u64,
    stats: LossyStats,
    closed: bool,
    /// The last error but that of a reader that has gone.
    error: Option<String>,
    ending: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Where to put it.
pub struct Lossy {
    shared: Arc<Shared>,
    max_bytes: usize,
}

impl Lossy {
    /// Starts the thread, which calls `first` before all else. Up to `max_bytes` wait.
    pub fn start(
        name: &str,
        mut out: Box<dyn Write + Send>,
        max_bytes: usize,
        first: fn(),
    ) -> io::Result<Lossy> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                first();
                theirs.run(&mut *out);
            })?;
        Ok(Lossy { shared, max_bytes })
    }

    /// Puts whole lines into the queue; whether they were taken.
    pub fn put(&self, text: Vec<u8>, lines: u64) -> bool {
        self.put_up_to(text, lines, self.max_bytes)
    }

    /// The same for what is said seldom and matters: it may take `reserve` bytes more.
    pub fn put_important(&self, text: Vec<u8>, lines: u64, reserve: usize) -> bool {
        self.put_up_to(text, lines, self.max_bytes.saturating_add(reserve))
    }

    fn put_up_to(&self, text: Vec<u8>, lines: u64, max_bytes: usize) -> bool {
        let mut state = self.shared.lock();
        let fits = state.bytes.saturating_add(text.len()) <= max_bytes;
        if state.closed || state.ending || !fits {
            state.stats.lines_dropped += lines;
            return false;
        }
        state.bytes += text.len();
        state.queue.push_back((text, lines));
        self.shared.changed.notify_all();
        true
    }

    /// The reader has gone.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Counts so far.
    pub fn stats(&self) -> LossyStats {
        self.shared.lock().stats
    }

    /// Why something could not be written, each time once.
    pub fn take_error(&self) -> Option<String> {
        self.shared.lock().error.take()
    }

    /// Waits for what is there to be written, up to `limit`. What is not by then is dropped and
    /// counted, and the thread, which may hang, is left behind.
    pub fn finish(&self, limit: Duration) -> LossyStats {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        while state.bytes > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = match self.shared.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.ending = true;
        let left: u64 = state.queue.drain(..).map(|(_, lines)| lines).sum();
        state.stats.lines_dropped += left + std::mem::take(&mut state.under_way);
        self.shared.changed.notify_all();
        state.stats
    }
}

impl Shared {
    /// Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, out: &mut dyn Write) {
        let mut state = self.lock();
        while !state.ending {
            let Some((text, lines)) = state.queue.pop_front() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.under_way = lines;
            drop(state);
            let put = out.write_all(&text).and_then(|()| out.flush());
            state = self.lock();
            state.bytes -= text.len();
            let lines = std::mem::take(&mut state.under_way);
            match put {
                Ok(()) => state.stats.lines_written += lines,
                Err(e) => {
                    state.stats.lines_dropped += lines;
                    if e.kind() == io::ErrorKind::BrokenPipe {
                        state.closed = true;
                        let left: u64 = state.queue.drain(..).map(|(_, lines)| lines).sum();
                        state.stats.lines_dropped += left;
                        state.bytes = 0;
                    } else {
                        state.error = Some(e.to_string());
                    }
                }
            }
            self.changed.notify_all();
        }
    }
}

/// A descriptor whose other end may have made it non-blocking: it waits all the same.
#[derive(Debug)]
pub struct Waiting<F>(pub F);

impl Waiting<File> {
    /// A descriptor of our own for what `of` is open on: no lock of the standard library's is held by
    /// a thread that hangs.
    pub fn on(of: impl AsFd) -> io::Result<Waiting<File>> {
        Ok(Waiting(File::from(of.as_fd().try_clone_to_owned()?)))
    }
}

impl<F: Write + AsFd> Write for Waiting<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait(self.0.as_fd())?,
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Until it can be written to.
fn wait(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut polled = [rustix::event::PollFd::from_borrowed_fd(
        fd,
        rustix::event::PollFlags::OUT,
    )];
    match rustix::event::poll(&mut polled, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
#[path = "lossy_tests.rs"]
mod tests;
