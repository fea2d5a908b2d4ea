//! The thread of one sink: from its queue to the sink, and a flush at each interval.
//!
//! It promises that the queue is told of the end, a panic's as well. It is the only one that touches the sink.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::queue::{Next, Queue};
use super::sink::Sink;

/// Runs until the queue has ended and everything is written. Without an interval only full batches are
/// written before the end.
pub fn run(mut sink: Box<dyn Sink>, queue: &Queue, flush_interval: Option<Duration>) {
    let ended = catch_unwind(AssertUnwindSafe(|| {
        serve(&mut *sink, queue, flush_interval)
    }));
    if ended.is_err() {
        let name = queue.name();
        tracing::error!("the output {name} panicked, and writes nothing more; report it");
    }
    queue.left(ended.is_err());
}

fn serve(sink: &mut dyn Sink, queue: &Queue, flush_interval: Option<Duration>) {
    let next_flush = || flush_interval.map(|interval| Instant::now() + interval);
    let mut due = next_flush();
    loop {
        let next = queue.take(due);
        let list = match &next {
            Next::List(list) => {
                let wanted = list.scopes.iter().filter(|scope| queue.wants(scope));
                wanted.for_each(|scope| sink.accept(scope));
                Some(&**list)
            }
            Next::Due => None,
            Next::End => break,
        };
        if due.is_some_and(|due| due <= Instant::now()) {
            sink.flush();
            due = next_flush();
        }
        queue.tell(list, sink.stats(), sink.is_closed());
    }
    sink.flush();
    queue.tell(None, sink.stats(), sink.is_closed());
}
