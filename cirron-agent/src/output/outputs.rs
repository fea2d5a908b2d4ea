//! All outputs together, as the output thread sees them.
//!
//! A session root is written twice with the same id; its start on the wall clock is the one it
//! was first written with, however the clock was set since.

use std::collections::HashMap;

use cirron_core::id::Id;

use super::Finished;
use super::lossy::LossyStats;
use super::stdout::StdoutSink;
use crate::spool::json::WallTimes;
use crate::spool::sink::{SpoolSink, SpoolStats};

/// What became of what was handed out.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputStats {
    /// The spool's counts.
    pub spool: SpoolStats,
    /// Those of standard output, where it was asked for.
    pub stdout: Option<LossyStats>,
}

/// The outputs that were asked for.
#[derive(Default)]
pub struct Outputs {
    spool: Option<SpoolSink>,
    stdout: Option<StdoutSink>,
    /// Wall-clock starts of open session roots.
    starts: HashMap<Id, u64>,
}

impl Outputs {
    /// These outputs.
    pub fn new(spool: Option<SpoolSink>, stdout: Option<StdoutSink>) -> Outputs {
        Outputs {
            spool,
            stdout,
            starts: HashMap::new(),
        }
    }

    /// Hands one scope to each output.
    pub fn accept(&mut self, scope: &Finished) {
        let times = self.times(scope);
        if let Some(spool) = &mut self.spool {
            spool.accept(scope, times);
        }
        if let Some(stdout) = &mut self.stdout {
            stdout.accept(scope, times);
        }
    }

    fn times(&mut self, scope: &Finished) -> WallTimes {
        let mut times = WallTimes::of(&scope.span, &scope.anchor);
        let id = scope.span.id;
        match times.end_ns {
            None => times.start_ns = *self.starts.entry(id).or_insert(times.start_ns),
            Some(end) => {
                times.start_ns = self.starts.remove(&id).unwrap_or(times.start_ns);
                times.end_ns = Some(end.max(times.start_ns));
            }
        }
        times
    }

    /// Writes what is waiting.
    pub fn flush(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.flush();
        }
        if let Some(stdout) = &mut self.stdout {
            stdout.flush();
        }
    }

    /// Standard output was the only output, and nobody reads it any more.
    pub fn is_pointless(&self) -> bool {
        self.spool.is_none() && self.stdout.as_ref().is_some_and(StdoutSink::is_closed)
    }

    /// Writes the rest. The spool is first: standard output may take a while.
    pub fn finish(&mut self) -> OutputStats {
        if let Some(spool) = &mut self.spool {
            spool.flush();
        }
        OutputStats {
            spool: self
                .spool
                .as_ref()
                .map(SpoolSink::stats)
                .unwrap_or_default(),
            stdout: self.stdout.as_mut().map(StdoutSink::finish),
        }
    }
}

#[cfg(test)]
mod tests {
    use cirron_core::time::MonoNs;

    use super::*;
    use crate::clock::Anchor;
    use crate::spool::testing::{finished, span};

    #[test]
    fn a_session_keeps_its_start_when_the_clock_is_set_back() {
        let mut outputs = Outputs::default();
        let open = finished(span(1, None, 100, None), Vec::new());
        let first = outputs.times(&open);
        let mut close = finished(span(1, None, 100, Some(500)), Vec::new());
        close.anchor = Anchor {
            mono: MonoNs(400),
            wall_ns: 17,
        };
        let last = outputs.times(&close);
        assert_eq!(last.start_ns, first.start_ns);
        assert_eq!(last.end_ns, Some(first.start_ns));
        assert!(outputs.starts.is_empty());
    }
}
