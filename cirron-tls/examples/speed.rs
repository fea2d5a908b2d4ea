//! What reading costs: a connection of TLS 1.3, records of 200 bytes and of 16 KiB, in order and behind holes.
//!
//! `cargo run --release -p cirron-tls --example speed`
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "an example")]

use cirron_tls::{Connection, Dir, Learned, Pool, Sink, Verdict};

#[path = "../tests/conversations/seal.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod seal;

use seal::{Ends, Suite};

/// CPU time of this thread so far, in ns: others may have the machine meanwhile. The kernel counts it by the tick.
fn now() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Counts bytes.
#[derive(Default)]
struct Counted(u64);

impl Sink<u64> for Counted {
    fn plaintext(&mut self, _: Dir, _: u64, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
    fn gap(&mut self, _: Dir, _: u64, _: Option<u64>) {}
    fn close_notify(&mut self, _: Dir, _: u64) {}
    fn verdict(&mut self, verdict: Verdict) {
        panic!("{verdict:?}");
    }
}

/// A connection behind its handshake, and how far its directions have come.
fn begun(ends: &Ends) -> (Connection<u64>, Pool, Counted, [u64; 2]) {
    let (mut connection, mut pool, mut out) = (Connection::new(), Pool::new(), Counted(0));
    for (label, secret) in &ends.secrets {
        let (label, client_random) = (*label, None);
        pool.learn(Learned {
            object: 1,
            label,
            client_random,
            secret,
        });
    }
    let mut at = [0, 0];
    for (dir, bytes) in &ends.handshake {
        let at = &mut at[usize::from(*dir == Dir::Received)];
        connection.data(*dir, *at, bytes, 0, &mut pool, &mut out);
        *at += bytes.len() as u64;
    }
    (connection, pool, out, at)
}

/// The best of five, in ns of CPU a record; each `lost_of`th record is a hole.
fn measure(suite: Suite, size: usize, records: usize, lost_of: usize) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let mut ends = Ends::new(suite);
        let sealed: Vec<_> = (0..records)
            .map(|_| ends.client.data(&vec![b'x'; size]))
            .collect();
        let (mut connection, mut pool, mut out, at) = begun(&ends);
        let [_, mut at] = at;
        let begin = now();
        let mut lost = 0;
        for (i, record) in sealed.iter().enumerate() {
            if lost_of > 0 && i % lost_of == lost_of - 1 {
                connection.gap(
                    Dir::Received,
                    at,
                    record.len() as u64,
                    0,
                    &mut pool,
                    &mut out,
                );
                lost += 1;
            } else {
                connection.data(Dir::Received, at, record, 0, &mut pool, &mut out);
            }
            at += record.len() as u64;
        }
        let ns = (now() - begin) as f64 / records as f64;
        assert_eq!(out.0, ((records - lost) * size) as u64);
        best = best.min(ns);
    }
    best
}

/// The best of five, in ns: hellos, the trial, both directions' keys.
fn handshake(suite: Suite) -> f64 {
    let ends = Ends::new(suite);
    let mut best = f64::MAX;
    for _ in 0..5 {
        let begin = now();
        for _ in 0..5_000 {
            let (connection, ..) = begun(&ends);
            assert!(connection.facts().is_bound);
        }
        best = best.min((now() - begin) as f64 / 5_000.0);
    }
    best
}

fn main() {
    for suite in [Suite::Gcm, Suite::ChaCha20] {
        let large = measure(suite, 16_384, 4_000, 0);
        println!(
            "{suite:?}: {:.0} ns a record of 200 B, {:.0} MB/s at 16 KiB; \
             each tenth lost: {:.0} ns; handshake {:.0} ns",
            measure(suite, 200, 200_000, 0),
            16_384.0 * 1_000.0 / large,
            measure(suite, 200, 200_000, 10),
            handshake(suite),
        );
    }
}
