//! Many connections over virtual time, with everything that is lost on the way: records that find the ring full,
//! records that overtake each other, connections that the kernel side forgets, objects that are freed unseen,
//! processes that end and start again. Seeded: a failure names the seed, and the seed gives it again.
//!
//! ```text
//!  world: clients and servers -> kernel: map, ring -> shell: engine, looks at what is open -> expected: the same
//!         (what is done)         (what is seen)       (what the agent does)                   sums, kept by hand
//! ```
//! `CIRRON_SIMULATION=100000` chooses another number of connections, `CIRRON_SEED=7` another seed.
#![expect(clippy::unwrap_used, reason = "tests")]

mod asked;
mod expected;
mod kernel;
mod random;
mod shell;
mod world;

use asked::number;
use world::{Report, Shape, simulate};

/// Connections of one run where nobody asks for another number: some seconds without optimisation.
const CONNECTIONS: u64 = 20_000;

fn run(shape: Shape) -> Report {
    let seed = number("CIRRON_SEED", 1);
    let report = simulate(seed, shape);
    println!("seed {seed}: {report:#?}");
    report
}

#[test]
fn at_the_end_nothing_is_open_that_should_not_be_and_every_loss_is_counted() {
    let report = run(Shape {
        connections: number("CIRRON_SIMULATION", CONNECTIONS),
        at_a_time: 2_000,
        kernel_room: 1_700,
        max_memory_bytes: 64 << 20,
    });
    report.assert_exact();
    report.assert_happened();
    let stats = report.stats;
    assert_eq!((stats.given_up_bodies, stats.given_up_connections), (0, 0));
}

#[test]
fn with_nothing_lost_nothing_is_counted_lost() {
    let report = run(Shape {
        connections: number("CIRRON_SIMULATION", CONNECTIONS) / 10,
        at_a_time: 500,
        kernel_room: usize::MAX,
        max_memory_bytes: 64 << 20,
    });
    report.assert_exact();
    let stats = report.stats;
    assert_eq!(
        (stats.lost_bytes, stats.ends_lost, stats.evicted_connections),
        (0, 0, 0)
    );
    assert_eq!((stats.partial, stats.holes, stats.stale_bytes), (0, 0, 0));
    assert_eq!(report.whole, report.asked);
}

#[test]
fn with_too_little_memory_the_core_stays_within_it_and_nothing_stays_open() {
    let report = run(Shape {
        connections: number("CIRRON_SIMULATION", CONNECTIONS),
        at_a_time: 20_000,
        kernel_room: 15_000,
        max_memory_bytes: 16 << 20,
    });
    let stats = report.stats;
    assert!(
        stats.given_up_connections + stats.forgotten_connections > 100,
        "{stats:?}"
    );
    report.assert_bounded();
}
