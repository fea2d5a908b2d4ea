//! Whose request a call is, judged by ids in the paths: servers of every kind with many requests at once, each of which
//! calls out, while records are lost, threads' numbers are given again, and work is handed to others. Seeded.
//!
//! A call whose parent is another request than its own is wrong, and there may be none; one whose parent is unknown is
//! counted, and its share printed. `CIRRON_CALLS=100000` chooses another number of calls, `CIRRON_SEED=7` another seed.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../simulation/asked.rs"]
mod asked;
#[path = "../simulation/feed.rs"]
mod feed;
#[path = "../simulation/random.rs"]
mod random;
mod server;
#[path = "../simulation/statement.rs"]
mod statement;
mod wire;

use asked::number;
use server::{Kind, Report, Shape, simulate};

/// Calls of one run where nobody asks for another number.
const CALLS: u64 = 10_000;

/// Over some seeds; in half of them records are lost.
fn run(kind: Kind, at_once: usize) -> Report {
    run_with(kind, at_once, false)
}

/// The same; `net`: it calls a database, each request with a statement of its own length.
fn run_with(kind: Kind, at_once: usize, net: bool) -> Report {
    let first = number("CIRRON_SEED", 1);
    let calls = number("CIRRON_CALLS", CALLS) / 4;
    let mut sum = Report::default();
    for seed in first..first + 4 {
        let lost_ppm = if seed % 2 == 0 { 20_000 } else { 0 };
        let report = simulate(
            seed,
            Shape {
                kind,
                at_once,
                calls,
                lost_ppm,
                net,
            },
        );
        assert_eq!(report.wrong, 0, "{kind:?}, seed {seed}: {report:?}");
        if lost_ppm == 0 {
            sum.right_unlost += report.right;
            sum.unknown_unlost += report.unknown;
        }
        sum.right += report.right;
        sum.unknown += report.unknown;
    }
    println!("{kind:?}, {at_once} at once, net {net}: {sum:?}");
    sum
}

#[test]
fn a_thread_for_each_connection() {
    let report = run(Kind::ThreadPerConnection, 32);
    // A tenth is called by a background thread, as much is asked for together with another one.
    assert!(report.unlost_known() > 0.75, "{report:?}");
    assert!(run(Kind::ThreadPerConnection, 1).unlost_known() > 0.75);
}

#[test]
fn a_pool_of_threads() {
    let report = run(Kind::Pool, 32);
    assert!(report.unlost_known() > 0.75, "{report:?}");
    assert!(run(Kind::Pool, 1).unlost_known() > 0.75);
}

#[test]
fn one_event_loop() {
    assert_eq!(run(Kind::Loop, 32).right, 0);
    assert_eq!(run(Kind::Loop, 1).right, 0);
}

#[test]
fn several_event_loops() {
    for at_once in [2, 3, 8, 32] {
        run(Kind::Loops, at_once);
    }
}

#[test]
fn one_thread_one_request() {
    assert_eq!(
        run(Kind::OneThread, 1).right,
        0,
        "it is no different from a loop"
    );
}

#[test]
fn one_thread_that_waits_for_one_at_a_time() {
    let report = run(Kind::OneWaiting, 1);
    assert!(report.unlost_known() > 0.75, "{report:?}");
}

#[test]
fn one_event_loop_on_sockets_that_wait() {
    for at_once in [1, 2, 32] {
        assert_eq!(run(Kind::WaitingLoop, at_once).right, 0);
    }
}

#[test]
fn threads_that_hand_on_what_they_read_by_sockets_that_wait() {
    for at_once in [2, 3, 8, 32] {
        run(Kind::Stages, at_once);
    }
}

#[test]
fn a_goroutine_for_each_connection() {
    for at_once in [1, 32] {
        let report = run(Kind::Goroutines, at_once);
        assert!(report.unlost_known() > 0.75, "{report:?}");
    }
}

#[test]
fn one_goroutine_that_waits_for_all() {
    for at_once in [1, 2, 32] {
        assert_eq!(run(Kind::GoLoop, at_once).right, 0);
    }
}

#[test]
fn statements_of_a_database_are_below_the_request_that_asked() {
    for kind in [Kind::ThreadPerConnection, Kind::Pool, Kind::Goroutines] {
        let report = run_with(kind, 32, true);
        assert!(report.unlost_known() > 0.75, "{report:?}");
    }
    for kind in [Kind::Loop, Kind::Loops, Kind::WaitingLoop, Kind::Stages] {
        run_with(kind, 8, true);
    }
}
