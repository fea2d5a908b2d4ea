//! What a site costs: untraced, and traced by the kernel at either of its two nops.
//!
//! `cargo xtask bench probe`, or `cargo bench -p cirron-probe`. The traced part needs root.

#![allow(
    clippy::incompatible_msrv,
    reason = "a benchmark is run by today's compiler"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Instant;

use cirron_probe::{mark, open_scope, scope};
use support::tracer::{Place, Tracer};

const ROUNDS: usize = 7;

fn main() {
    println!(
        "untraced, ns a time: median of {ROUNDS} rounds (lowest to highest), the loop taken off"
    );
    untraced("scope! and its end", || {
        drop(black_box(scope!("preprocess")))
    });
    untraced("scope! with two attributes", || {
        drop(black_box(scope!(
            "preprocess",
            rows = black_box(3),
            model = "tiny"
        )));
    });
    untraced("mark!", || mark!("tokens", black_box(17)));
    untraced("open_scope! and its end", || {
        drop(black_box(open_scope!("fetch")))
    });
    let path = std::env::current_exe().unwrap_or_else(|error| panic!("where this is: {error}"));
    for (place, what) in [
        (Place::First, "the nop"),
        (Place::Second, "the nop of 5 bytes"),
    ] {
        let Some(tracer) = Tracer::at("bench", &path, place, false) else {
            return;
        };
        tracer.listen();
        println!("traced at {what}, ns a time: the kernel's record of each hit included");
        traced("scope! and its end", || drop(scope!("preprocess")));
        traced("scope! with two attributes", || {
            drop(scope!("preprocess", rows = 3, model = "tiny"));
        });
        traced("mark!", || mark!("tokens", 17));
        tracer.stop();
    }
}

fn time(times: u32, mut site: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..times {
        site();
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}

fn untraced(name: &str, mut site: impl FnMut()) {
    const TIMES: u32 = 20_000_000;
    let rounds = (0..ROUNDS).map(|_| {
        let empty = time(TIMES, || {
            black_box(());
        });
        time(TIMES, &mut site) - empty
    });
    print(name, rounds.collect(), 2);
}

fn traced(name: &str, mut site: impl FnMut()) {
    const TIMES: u32 = 100_000;
    print(
        name,
        (0..ROUNDS).map(|_| time(TIMES, &mut site)).collect(),
        0,
    );
}

fn print(name: &str, mut rounds: Vec<f64>, decimals: usize) {
    rounds.sort_by(f64::total_cmp);
    let (low, median, high) = (
        rounds[0],
        rounds[rounds.len() / 2],
        rounds[rounds.len() - 1],
    );
    println!("  {name:<28} {median:.decimals$} ({low:.decimals$} to {high:.decimals$})");
}
