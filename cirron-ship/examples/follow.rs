//! What it takes to follow a large spool: `cargo run --release -p cirron-ship --example follow [BATCHES...]`.
//!
//! A spool of that number of names (of empty files, since a follower opens none) is followed from its beginning to its end, as a
//! courier does it whose destination takes everything at once. Said are the time of the first name and of all of them, and
//! what memory grew by.
#![expect(clippy::unwrap_used, reason = "a program for whoever measures")]

use std::fs::File;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cirron_ship::follow::Follower;
use cirron_ship::ledger::Ledger;
use cirron_ship::place::Place;

fn main() {
    let asked: Vec<u64> = std::env::args()
        .skip(1)
        .map(|n| n.parse().unwrap())
        .collect();
    let sizes = if asked.is_empty() {
        vec![5_000, 50_000, 500_000]
    } else {
        asked
    };
    println!("| batches | first, ms | all, s | each, µs | memory grew by, KiB |");
    println!("| --- | --- | --- | --- | --- |");
    for size in sizes {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("spool");
        std::fs::create_dir(&spool).unwrap();
        for n in 0..size {
            File::create(spool.join(format!("{n:020}-{n:032x}.json"))).unwrap();
        }
        let place = Arc::new(Place::open(dir.path()).unwrap());
        let mut ledger = Ledger::open(Arc::clone(&place), "follow").unwrap();
        let (before, began) = (peak_kib(), Instant::now());
        let mut follower = Follower::new(place, dir.path());
        let (mut done, mut first) = (0, None);
        while let Some(name) = follower.next(&mut ledger, now_ns()).unwrap() {
            first.get_or_insert_with(|| began.elapsed());
            assert_eq!(name.created_ns(), done, "in order");
            ledger.settle(&name, Some(now_ns()));
            follower.done(&name);
            done += 1;
        }
        assert_eq!(done, size, "each once");
        let (all, first) = (began.elapsed().as_secs_f64(), first.unwrap_or_default());
        let each = all * 1e6 / size as f64;
        let grew = peak_kib().saturating_sub(before);
        println!(
            "| {size} | {:.1} | {all:.2} | {each:.1} | {grew} |",
            first.as_secs_f64() * 1e3
        );
    }
}

fn now_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i128::try_from(since.as_nanos()).unwrap()
}

/// The most that this process had.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
