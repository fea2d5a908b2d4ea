//! Threads beside the way of the data: the one that attaches, the one that searches, the census's clerk.
//!
//! The capture is not whole without any of them, so the panic of one ends it, with its name as the cause. What
//! such a thread fails at otherwise is its own business: it counts it and goes on.
//!
//! Nobody waits for their end: one may be in the middle of a large file when everything else is done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;

use super::stop::Stop;
use crate::privileges::Rights;

/// A thread to start.
pub struct Helper {
    name: &'static str,
    run: Box<dyn FnOnce() + Send>,
}

impl Helper {
    /// `name`: what it does, one word.
    pub fn new(name: &'static str, run: impl FnOnce() + Send + 'static) -> Helper {
        let run = Box::new(run);
        Helper { name, run }
    }

    /// Starts it. It keeps the rights to look into other processes.
    pub fn start(self, stop: &Arc<Stop>, rights: Rights) -> anyhow::Result<()> {
        let Helper { name, run } = self;
        let stop = Arc::clone(stop);
        thread::Builder::new()
            .name(format!("cirron-{name}"))
            .spawn(move || {
                rights.keep_for_capture();
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    stop.panicked(name);
                }
            })
            .with_context(|| format!("the {name} thread cannot be started"))?;
        Ok(())
    }
}
