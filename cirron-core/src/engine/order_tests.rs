//! What putting records in order costs, in the engine's counts.

use cirron_common::record::source;

use super::{Engine, EngineConfig, EngineStats};
use crate::id::SequentialIds;
use crate::stream::Direction;
use crate::testing::records::ConnRecords;
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::SOCKET,
};

/// Counts after these inbound records of ten bytes each, at these positions, a millisecond apart.
fn counts(positions: &[u64]) -> EngineStats {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_record(&CONN.open(100));
    for (ms, pos) in (1..).zip(positions) {
        let record = CONN.data(Direction::Inbound, *pos, ms * MS, b"GET /a HTT", 10);
        engine.handle_record(&record);
    }
    engine.handle_timeout(MonoNs(1_000 * MS));
    engine.stats()
}

fn of_order(stats: EngineStats) -> [u64; 4] {
    [
        stats.holes,
        stats.lost_bytes,
        stats.reordered_records,
        stats.stale_bytes,
    ]
}

#[test]
fn holes_waiting_records_and_bytes_that_come_twice_are_counted() {
    assert_eq!(of_order(counts(&[0, 10, 20])), [0, 0, 0, 0]);
    assert_eq!(of_order(counts(&[0, 20, 10])), [0, 0, 1, 0]);
    assert_eq!(of_order(counts(&[0, 10, 10, 14])), [0, 0, 0, 16]);
    assert_eq!(of_order(counts(&[0, 30])), [1, 20, 1, 0]);
    // The window of the hole is over before what would fill it comes.
    let late = [0, 30, 40, 50, 60, 70, 80, 10];
    assert_eq!(of_order(counts(&late)), [1, 20, 6, 10]);
}

/// Two threads use a new socket at once, on two processors.
#[test]
fn an_opening_behind_the_first_bytes_is_no_second_connection_and_loses_nothing_of_them() {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    let ask = b"GET /a HTTP/1.1\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let len = |bytes: &[u8]| bytes.len() as u64;
    engine.handle_record(&CONN.data(Direction::Inbound, 0, MS, ask, len(ask)));
    engine.handle_record(&CONN.open(MS));
    engine.handle_record(&CONN.data(Direction::Outbound, 0, 2 * MS, answer, len(answer)));
    assert_eq!(engine.stats().connections, 1);
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let scopes = outputs.filter_map(|output| Some(output.into_scope()?.0));
    let scopes: Vec<_> = scopes.collect();
    assert_eq!(scopes.len(), 1);
    assert_eq!(scopes[0].attrs["url.path"], "/a".into());
    assert_eq!(scopes[0].attrs["server.port"], 8000_i64.into());
}
