#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::sink::Count;
use super::super::testing::SLEEPER;
use super::*;
use crate::spool::testing::{finished, span, timed};

struct Idle;

fn stats(settled: u64) -> Stats {
    Stats {
        settled,
        counts: Vec::new(),
        dropped: Count::plain("dropped", 0),
    }
}

impl Sink for Idle {
    fn kind(&self) -> &'static SinkKind {
        &SLEEPER
    }
    fn accept(&mut self, _: &Timed) {}
    fn flush(&mut self) {}
    fn stats(&self) -> Stats {
        stats(0)
    }
}

/// A list that takes 100 bytes, as it says, of two scopes of which one is wanted.
fn list() -> Arc<List> {
    let closed = timed(finished(span(2, Some(1), 0, Some(1)), Vec::new()));
    let open = timed(finished(span(1, None, 0, None), Vec::new()));
    Arc::new(List {
        scopes: vec![open, closed],
        bytes: 100,
    })
}

fn take(queue: &Queue) -> Arc<List> {
    match queue.take(None) {
        Next::List(list) => list,
        Next::Due | Next::End => panic!("no list"),
    }
}

#[test]
fn what_has_no_room_is_dropped_and_counted_and_what_a_sink_is_at_takes_room() {
    let queue = Queue::new(&Idle, Pressure::Drops, 250);
    for _ in 0..3 {
        queue.put(&list());
    }
    assert_eq!(queue.report().count("dropped"), 1);
    let first = take(&queue);
    queue.put(&list());
    assert_eq!(
        queue.report().count("dropped"),
        2,
        "the sink is at the first"
    );
    queue.tell(Some(&first), stats(1), false);
    queue.put(&list());
    assert_eq!(queue.report().count("dropped"), 2);
}

#[test]
fn a_list_of_any_size_finds_room_in_an_empty_queue() {
    let queue = Queue::new(&Idle, Pressure::Drops, 10);
    queue.put(&list());
    assert_eq!(queue.report().count("dropped"), 0);
    queue.put(&list());
    assert_eq!(queue.report().count("dropped"), 1);
}

#[test]
fn who_may_push_back_is_waited_for() {
    let queue = Arc::new(Queue::new(&Idle, Pressure::Waits, 150));
    queue.put(&list());
    let theirs = Arc::clone(&queue);
    let (tell, told) = std::sync::mpsc::channel();
    let putter = std::thread::spawn(move || {
        theirs.put(&list());
        tell.send(()).unwrap();
    });
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
    let first = take(&queue);
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
    queue.tell(Some(&first), stats(1), false);
    told.recv_timeout(Duration::from_secs(10)).unwrap();
    putter.join().unwrap();
    assert_eq!(queue.report().count("dropped"), 0);
}

#[test]
fn a_thread_that_ends_lets_go_of_who_waits_and_all_is_counted() {
    let queue = Arc::new(Queue::new(&Idle, Pressure::Waits, 150));
    queue.put(&list());
    let theirs = Arc::clone(&queue);
    let putter = std::thread::spawn(move || theirs.put(&list()));
    take(&queue);
    queue.left(true);
    putter.join().unwrap();
    queue.put(&list());
    let report = queue.report();
    assert_eq!((report.count("dropped"), report.count("panics")), (3, 1));
    assert!(queue.is_closed());
}

#[test]
fn what_is_held_at_the_end_is_counted_once_however_late_the_sink_wakes() {
    let queue = Queue::new(&Idle, Pressure::Drops, 250);
    queue.put(&list());
    queue.put(&list());
    let first = take(&queue);
    queue.tell(Some(&first), stats(0), false);
    assert_eq!(
        queue.report().count("dropped"),
        0,
        "it may still be written"
    );
    queue.end();
    queue.abandon(Duration::from_millis(1));
    assert_eq!(queue.report().count("dropped"), 2);
    queue.tell(None, stats(1), false);
    queue.left(false);
    assert_eq!(queue.report().count("dropped"), 2);
}

#[test]
fn an_end_comes_after_all_that_was_put_in_and_a_flush_when_it_is_due() {
    let queue = Queue::new(&Idle, Pressure::Drops, 250);
    assert!(matches!(queue.take(Some(Instant::now())), Next::Due));
    queue.put(&list());
    queue.end();
    take(&queue);
    assert!(matches!(queue.take(None), Next::End));
}
