//! Tests of whole connections: pairing, roles, ends, holes, joining late.

use proptest::prelude::*;

use super::*;
use crate::limits::{HELD_RESPONSE_WINDOW_NS, MAX_HELD_RESPONSE_BYTES, MAX_PIPELINED};
use crate::stream::{Direction, Piece};
use crate::testing::{
    ExchangeLog, Fed, Ledger, Times, assert_gap_safe, assert_split_invariant, fuzz,
};
use crate::time::MS;

mod ends;
mod h2c;
mod hazards;
mod holes;
mod http2;
mod late;
mod odd_starts;
mod pairing;
mod websocket;
mod websocket_h2;
mod wire;

/// One step of a conversation, from the target's point of view.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    In(&'a str),
    Out(&'a str),
    InGap(u64),
    OutGap(u64),
    InEof,
    OutEof,
    Close(CloseCause),
    /// This number of ms passes.
    Wait(u64),
}

use Step::{Close, In, InEof, InGap, Out, OutEof, OutGap, Wait};

/// A connection under test. Each step takes 1 ms.
struct Rig {
    conn: ConnParser,
    ledger: Ledger,
    now: u64,
}

impl Rig {
    fn new(late: bool, role: Option<Role>) -> Rig {
        let conn = ConnParser::new(ConnStart {
            late,
            role,
            ..ConnStart::default()
        });
        Rig {
            conn,
            ledger: Ledger::default(),
            now: 0,
        }
    }

    fn feed(&mut self, dir: Direction, bytes: &[u8]) {
        let piece = Piece::Data {
            ts: MonoNs(self.now * MS),
            bytes,
        };
        self.conn.handle(dir, piece, &mut self.ledger);
    }

    fn step(&mut self, step: Step<'_>) {
        self.now += 1;
        let ts = MonoNs(self.now * MS);
        let (dir, piece) = match step {
            In(text) => (
                Direction::Inbound,
                Piece::Data {
                    ts,
                    bytes: text.as_bytes(),
                },
            ),
            Out(text) => (
                Direction::Outbound,
                Piece::Data {
                    ts,
                    bytes: text.as_bytes(),
                },
            ),
            InGap(len) => (Direction::Inbound, Piece::Gap { ts, len }),
            OutGap(len) => (Direction::Outbound, Piece::Gap { ts, len }),
            InEof => (Direction::Inbound, Piece::Eof { ts }),
            OutEof => (Direction::Outbound, Piece::Eof { ts }),
            Close(cause) => return self.conn.handle_close(ts, cause, &mut self.ledger),
            Wait(ms) => {
                self.now += ms;
                let now = MonoNs(self.now * MS);
                return self.conn.handle_timeout(now, &mut self.ledger);
            }
        };
        self.conn.handle(dir, piece, &mut self.ledger);
    }

    fn steps(mut self, steps: &[Step<'_>]) -> Rig {
        for step in steps {
            self.step(*step);
        }
        self
    }

    fn logs(&self) -> Vec<ExchangeLog> {
        self.ledger.exchanges().into_iter().cloned().collect()
    }
}

/// A connection that the target accepted, closed by the target after the last step.
fn served(steps: &[Step<'_>]) -> Vec<ExchangeLog> {
    let mut rig = Rig::new(false, Some(Role::Server)).steps(steps);
    rig.step(Close(CloseCause::LocalClose));
    rig.ledger.finish()
}

fn status(log: &ExchangeLog) -> u16 {
    log.response.as_ref().map_or(0, |r| r.status)
}

fn path(log: &ExchangeLog) -> &str {
    log.request.as_ref().map_or("", |r| &r.path)
}

fn body(log: &ExchangeLog) -> String {
    String::from_utf8_lossy(&log.response_body).into_owned()
}

fn whole(log: &ExchangeLog) -> bool {
    log.end == Some(ExchangeEnd::default())
}

fn aborted_by(log: &ExchangeLog) -> Option<AbortedBy> {
    log.end.and_then(|end| end.aborted_by)
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const GET_B: &str = "GET /b HTTP/1.1\r\nHost: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NONE: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_operations_keep_the_rules(input in prop::collection::vec(any::<u8>(), 0..120)) {
        fuzz::connection(&input);
    }

    #[test]
    fn any_operations_on_what_switches_keep_the_rules(
        input in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        fuzz::switched(&input);
    }
}

/// Inputs that once broke a rule.
#[test]
fn what_the_fuzzer_found_stays_fixed() {
    let found: [&[u8]; 6] = [
        // A late 101 ended the connection in the middle of a piece.
        &[2, 131, 84, 0, 69, 76, 172, 41, 0, 0, 91, 0, 146],
        // A 101 behind a refused expectation.
        &[29, 32, 8, 80, 11, 40, 60, 0, 117, 53, 204, 245, 120],
        // A response begun before its request was seen.
        &[43, 85, 155, 8, 112, 0, 232, 8, 1, 99, 23, 30, 128],
        // A hole in a response that a request for something else had held.
        &[0, 117, 60, 113, 107, 192, 0, 112, 0, 104, 186, 118],
        // Kept behind a request for a WebSocket while the server's side ended, and then overtaken.
        &[0, 32, 199, 32, 0, 157, 18, 50, 120, 21, 0, 1],
        // A hole over a refused upgrade, and a body longer than its length.
        &[
            2, 16, 1, 17, 214, 17, 8, 24, 4, 1, 16, 7, 135, 17, 87, 9, 246, 9, 17, 11, 119, 17, 17,
            8, 24, 6, 1, 16, 7, 17, 7, 228, 87, 9, 246, 119, 17, 11,
        ],
    ];
    for input in found {
        fuzz::connection(input);
        fuzz::switched(input);
    }
}
