//! The core's clock follows what was read.

use super::*;

/// A byte of a connection at a position.
fn piece(conn: u64, pos: u64) -> Vec<u8> {
    let byte = Data {
        pos,
        len: 1,
        direction: Direction::Inbound,
        flags: 0,
        told: 0,
        slack_us: 0,
        bytes: b"x",
    };
    edited(
        &process_record(Body::Data(byte), 7, clock::now()),
        |record| {
            record.head.conn = 70 + conn;
            record.head.source = source::SOCKET;
        },
    )
}

#[test]
fn time_never_runs_ahead_of_what_was_read() {
    const CONNECTIONS: u64 = 100;
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    // Each connection has a hole, which is waited for: a timer for each.
    for conn in 0..CONNECTIONS {
        world.put(piece(conn, 0));
        world.put(piece(conn, 1_000));
        std::thread::sleep(Duration::from_micros(500));
    }
    let timers = || {
        let inputs = tape.inputs();
        let is_timer = |input: &&Input| matches!(input, Input::Timeout(_));
        inputs.iter().filter(is_timer).count()
    };
    wait_until("the timers", || {
        running.commands().statistics().unwrap().engine.holes == CONNECTIONS
    });
    world.put(exit(7));
    running.join();
    assert!(
        timers() > 2,
        "the first is the attach's, the last the end's"
    );
    let mut time = MonoNs(0);
    for input in tape.inputs() {
        match input {
            Input::Timeout(now) => time = time.max(now),
            Input::Record(record) => assert!(Record::decode(&record).unwrap().head.ts >= time),
            _ => {}
        }
    }
}
