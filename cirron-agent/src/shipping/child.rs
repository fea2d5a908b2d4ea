//! The agent's end of the pipe: its child that ships, and what it is told of the agent.

use std::io::{self, PipeWriter, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use serde::Serialize;

use super::keeper::OURSELVES;
use super::plan::{ShipPlan, verbosity};
use crate::cli::say;
use crate::privileges::Rights;

/// How long the agent's own end waits for what is still to be sent.
pub const END_LIMIT: Duration = Duration::from_secs(5);

/// Between two lines.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Counts of the pipe and the child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChildCounts {
    /// Lines that the child was told.
    pub status_lines: u64,
    /// Lines that it was not told, since it had not read the one before.
    pub status_lines_dropped: u64,
    /// How often it died for good: 0 or 1. What its keeper starts again, that one says.
    pub deaths: u64,
}

/// A child that ships.
#[derive(Debug)]
pub struct ShipChild {
    child: Child,
    /// Absent once the child is gone.
    pipe: Option<PipeWriter>,
    /// Of a line of which the pipe took a part.
    rest: Vec<u8>,
    counts: ChildCounts,
}

impl ShipChild {
    /// Starts it, while programs may be started.
    ///
    /// # Errors
    /// Where the system says no.
    pub fn start(plan: &ShipPlan) -> io::Result<ShipChild> {
        let (reader, pipe) = io::pipe()?;
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        let child = Command::new(OURSELVES)
            .arg0("cirron-agent")
            .args(plan.args("keeper"))
            .args(verbosity())
            .envs(plan.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(reader))
            .spawn()?;
        Ok(ShipChild {
            child,
            pipe: Some(pipe),
            rest: Vec::new(),
            counts: ChildCounts::default(),
        })
    }

    /// Tells it a line, without its end; never waits.
    pub fn tell(&mut self, line: Vec<u8>) {
        if self.pipe.is_none() {
            return;
        }
        self.put();
        if self.rest.is_empty() {
            self.rest = line;
            self.rest.push(b'\n');
            self.counts.status_lines += 1;
            self.put();
        } else {
            self.counts.status_lines_dropped += 1;
        }
        self.look();
    }

    /// Writes what the pipe takes.
    fn put(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        while !self.rest.is_empty() {
            match pipe.write(&self.rest) {
                Ok(0) => return,
                Ok(bytes) => drop(self.rest.drain(..bytes)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Full, or nobody reads any more: that is seen by its end.
                Err(_) => return,
            }
        }
    }

    /// Whether it has ended; that is said once.
    fn look(&mut self) {
        let Ok(Some(status)) = self.child.try_wait() else {
            return;
        };
        self.pipe = None;
        self.counts.deaths += 1;
        say(&format!(
            "warning: nothing is shipped any more, the process that does it ended ({status}); batches stay in the spool, \
             and `cirron-agent ship` sends them"
        ));
    }

    /// Tells it that the agent ends, and waits until it has sent what is there, for a bounded time.
    pub fn finish(&mut self) {
        if self.pipe.take().is_none() {
            return;
        }
        let until = Instant::now() + END_LIMIT;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(LOOK),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        say("what is shipped takes longer than the agent's end, and goes on without it");
    }
}

/// The thread that tells the child how things stand.
#[derive(Debug)]
pub struct Feed {
    end: Sender<()>,
    thread: JoinHandle<ShipChild>,
}

impl Feed {
    /// Starts it. `so_far`: a line, where there is one now; the core may take a moment to answer.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn start(
        mut child: ShipChild,
        so_far: impl Fn() -> Option<Vec<u8>> + Send + 'static,
        rights: Rights,
    ) -> io::Result<Feed> {
        let (end, ended) = channel();
        let thread = std::thread::Builder::new()
            .name("cirron-feed".into())
            .spawn(move || {
                rights.keep_nothing();
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(STATUS_INTERVAL) {
                    match so_far() {
                        Some(line) => child.tell(line),
                        None => child.look(),
                    }
                }
                child
            })?;
        Ok(Feed { end, thread })
    }

    /// Ends it and the child.
    pub fn finish(self) -> ChildCounts {
        let Feed { end, thread } = self;
        drop(end);
        let Ok(mut child) = thread.join() else {
            return ChildCounts::default();
        };
        child.finish();
        child.counts
    }
}
