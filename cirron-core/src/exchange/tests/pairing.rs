//! Which answer is whose when records are lost, with the order of records as an assembler gives it.

use super::*;
use crate::limits::REORDER_WINDOW_NS;
use crate::stream::Assembler;

/// One record: when its call returned, which way it went, and its text.
#[derive(Clone, Debug)]
struct Sent {
    at_ms: u64,
    dir: Direction,
    text: String,
}

/// A connection behind its two assemblers.
struct Wire {
    conn: ConnParser,
    ledger: Ledger,
    ways: [Assembler; 2],
    sent: [u64; 2],
}

impl Wire {
    fn new() -> Wire {
        Wire {
            conn: ConnParser::new(ConnStart {
                role: Some(Role::Server),
                ..ConnStart::default()
            }),
            ledger: Ledger::default(),
            ways: [Assembler::new(Some(0)), Assembler::new(Some(0))],
            sent: [0; 2],
        }
    }

    fn time(&mut self, now: MonoNs) {
        let Wire {
            conn, ledger, ways, ..
        } = self;
        for (dir, way) in [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .zip(ways)
        {
            way.handle_timeout(now, &mut |piece| conn.handle(dir, piece, ledger));
        }
        conn.handle_timeout(now, ledger);
    }

    fn record(&mut self, sent: &Sent, is_lost: bool) {
        let ts = MonoNs(sent.at_ms * MS);
        self.time(ts);
        let way = usize::from(sent.dir == Direction::Outbound);
        let len = sent.text.len() as u64;
        let pos = self.sent[way];
        self.sent[way] += len;
        if !is_lost {
            let Wire {
                conn, ledger, ways, ..
            } = self;
            ways[way].handle_record(pos, ts, sent.text.as_bytes(), len, &mut |piece| {
                conn.handle(sent.dir, piece, ledger);
            });
        }
    }

    /// The target closes, with or without a record that tells how much had passed.
    fn finish(mut self, ts: MonoNs, is_told: bool) -> Vec<ExchangeLog> {
        self.time(ts.plus(REORDER_WINDOW_NS));
        let Wire {
            mut conn,
            mut ledger,
            ways,
            sent,
        } = self;
        let both = [Direction::Inbound, Direction::Outbound].into_iter();
        for ((dir, mut way), end) in both.zip(ways).zip(sent) {
            let sink = &mut |piece: Piece<'_>| conn.handle(dir, piece, &mut ledger);
            way.flush(sink);
            if is_told {
                way.close_holes_before(end, ts, sink);
            }
        }
        conn.handle_close(ts, CloseCause::LocalClose, &mut ledger);
        ledger.finish()
    }
}

/// Runs the records that are not among `lost`, a bit for each.
fn run(records: &[Sent], lost: u32, is_told: bool) -> Vec<ExchangeLog> {
    let mut wire = Wire::new();
    let mut end = 0;
    for (i, record) in records.iter().enumerate() {
        wire.record(record, lost >> i & 1 == 1);
        end = record.at_ms + 30;
    }
    wire.finish(MonoNs(end * MS), is_told)
}

fn ask(n: usize) -> String {
    format!("POST /{n} HTTP/1.1\r\nContent-Length: 4\r\n\r\nask{n}")
}

/// The number that an answer names.
fn named(log: &ExchangeLog) -> Option<String> {
    let text = body(log);
    text.split("answer").nth(1)?.get(..1).map(str::to_owned)
}

/// What is said of whose an answer is must be true. `unseen`: no record of its request came, and the answer before
/// it was lost as well: at that time nothing tells it from the one before.
fn assert_true(logs: &[ExchangeLog], unseen: impl Fn(&str) -> bool, context: &str) {
    for log in logs {
        let (Some(asked), Some(answered)) = (path(log).get(1..), named(log)) else {
            continue;
        };
        let is_known = !unseen(&answered);
        assert!(
            asked == answered || !is_known,
            "{asked} {answered} {context} {logs:#?}"
        );
    }
    for n in 0..9 {
        let of = |l: &&ExchangeLog| path(l) == format!("/{n}");
        assert!(logs.iter().filter(of).count() < 2, "{context} {logs:#?}");
    }
}

/// A conversation of a client that waits: `gap_ms` between an answer and the next request; with the records of each exchange.
fn waits(gap_ms: u64) -> (Vec<Sent>, Vec<u32>) {
    let mut records = Vec::new();
    let mut own = Vec::new();
    let mut at_ms = 1;
    for n in 0..4 {
        let text = ask(n);
        let mut parts = Vec::new();
        if n == 1 {
            // In two reads, the first of which has a part of the head.
            parts.push((Direction::Inbound, text[..20].to_owned()));
            parts.push((Direction::Inbound, text[20..].to_owned()));
        } else {
            parts.push((Direction::Inbound, text));
        }
        if n % 2 == 0 {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nanswer{n}");
            parts.push((Direction::Outbound, text));
        } else {
            parts.push((Direction::Outbound, STREAM.to_owned()));
            let event = format!("data: answer{n}\n\n");
            parts.push((
                Direction::Outbound,
                format!("{:x}\r\n{event}\r\n", event.len()),
            ));
            parts.push((Direction::Outbound, "0\r\n\r\n".to_owned()));
        }
        let mut mine = 0;
        for (dir, text) in parts {
            mine |= 1 << records.len();
            records.push(Sent { at_ms, dir, text });
            at_ms += 1;
        }
        own.push(mine);
        at_ms += gap_ms;
    }
    (records, own)
}

#[test]
fn whatever_is_lost_no_answer_is_another_s_and_what_is_whole_is_paired() {
    // Sooner than a hole is final; than an answer waits; later.
    for gap_ms in [0, 2, 8, 40] {
        let (records, own) = waits(gap_ms);
        for lost in 0..1_u32 << records.len() {
            for is_told in [true, false] {
                let logs = run(&records, lost, is_told);
                let context = format!("{gap_ms} ms, {lost:#b} {is_told}");
                let all = |bits: u32| lost & bits == bits;
                let unseen = |n: &str| match n {
                    // The head of the answer before, and all of this request.
                    "1" => all(0b1110),
                    "2" => all(0b1001_0000) || all(0b1010_0000) || all(0b1100_0000),
                    "3" => all(0b11_0000_0000),
                    _ => false,
                };
                assert_true(&logs, unseen, &context);
                // Behind holes of both directions an answer may be one of a request that nobody saw.
                let is_of = |i: usize, dir| lost >> i & 1 == 1 && records[i].dir == dir;
                let in_both = [Direction::Inbound, Direction::Outbound]
                    .iter()
                    .all(|dir| (0..records.len()).any(|i| is_of(i, *dir)));
                if in_both {
                    continue;
                }
                for (n, mine) in own.iter().enumerate().filter(|(_, m)| **m & lost == 0) {
                    let log = logs.iter().find(|l| path(l) == format!("/{n}"));
                    let log = log.unwrap_or_else(|| panic!("{n} is missing: {context} {logs:#?}"));
                    assert!(whole(log), "{n} {mine:#b} {context} {logs:#?}");
                    assert_eq!(named(log), Some(n.to_string()), "{context}");
                }
            }
        }
    }
}

#[test]
fn an_answer_that_came_before_the_hole_was_known_shifts_nothing() {
    // The second request is lost; its answer is there before the third request tells.
    for wait in [1, 30] {
        let steps = [
            In(GET),
            Out(OK),
            Out(NONE),
            Wait(wait),
            InGap(80),
            In(GET_B),
            Out(OK),
            In(GET),
            Out(NONE),
        ];
        let logs = served(&steps);
        let asked: Vec<_> = logs.iter().map(path).collect();
        let got: Vec<_> = logs.iter().map(status).collect();
        assert_eq!(asked, ["/a", "", "/b", "/a"], "{wait}");
        assert_eq!(got, [200, 204, 200, 204], "{wait}");
        assert!([0, 2, 3].iter().all(|n| whole(&logs[*n])), "{logs:#?}");
        assert!(logs[1].end.is_some_and(|e| e.partial));
    }
}

#[test]
fn two_answers_that_one_hole_took_shift_nothing() {
    let logs = served(&[In(GET), In(GET_B), OutGap(90), In(GET), Out(OK)]);
    let got: Vec<_> = logs.iter().map(|l| (path(l), status(l))).collect();
    assert_eq!(got, [("/a", 0), ("/b", 0), ("/a", 200)]);
    assert!(logs[..2].iter().all(|l| l.end.is_some_and(|e| e.partial)));
    assert!(logs.iter().all(|l| aborted_by(l).is_none()), "{logs:#?}");
    assert!(whole(&logs[2]));
}

#[test]
fn who_closes_behind_a_hole_in_the_answers_aborted_none_of_them() {
    let logs = served(&[In(GET), In(GET_B), OutGap(90)]);
    let got: Vec<_> = logs.iter().map(|l| (path(l), status(l))).collect();
    assert_eq!(got, [("/a", 0), ("/b", 0)]);
    assert!(logs.iter().all(|l| aborted_by(l).is_none()), "{logs:#?}");
    // What was asked behind the hole was.
    let logs = served(&[In(GET), OutGap(90), In(GET_B)]);
    assert_eq!(aborted_by(&logs[0]), None);
    assert_eq!(aborted_by(&logs[1]), Some(AbortedBy::Server));
}

#[test]
fn a_stream_that_is_found_again_is_the_last_that_was_asked_for() {
    let logs = served(&[
        In(GET),
        Out(STREAM),
        Out("8\r\ndata: a\n\r\n"),
        // The rest of it, and the head and first event of the next.
        In(GET_B),
        OutGap(200),
        Out("8\r\ndata: c\n\r\n"),
        Out("0\r\n\r\n"),
    ]);
    let got: Vec<_> = logs.iter().map(|l| (path(l), body(l))).collect();
    let want = [("/a", "data: a\n"), ("/b", "data: c\n")];
    assert_eq!(got, want.map(|(p, b)| (p, b.to_owned())));
    assert_eq!(logs[0].response_end, Some(MessageEnd::Lost));
    assert!(logs[1].end.is_some_and(|e| e.partial));
}

#[test]
fn who_does_not_wait_has_no_answer_behind_a_hole() {
    // It asked twice before it was answered.
    let twice = format!("{GET}{GET_B}");
    let begin = [In(&twice), Out(OK), Out(NONE)];
    let rest = [InGap(80), In(GET), In(GET_B), Out(OK), Out(NONE), Out(OK)];
    let logs = served(&[&begin[..], &rest].concat());
    assert!(whole(&logs[0]) && whole(&logs[1]));
    for log in &logs[2..] {
        assert!(path(log).is_empty() || status(log) == 0, "{logs:#?}");
        assert!(log.end.is_some_and(|e| e.partial && e.aborted_by.is_none()));
    }
    let answers = logs.iter().filter(|l| l.response.is_some()).count();
    assert_eq!(answers, 5, "each is told, by itself");
    // What was asked before the hole is answered in its order.
    let logs = served(&[In(&twice), InGap(80), In(GET), Out(OK), Out(NONE), Out(OK)]);
    let got: Vec<_> = logs.iter().map(|l| (path(l), status(l))).collect();
    assert_eq!(got[..2], [("/a", 200), ("/b", 204)]);
    assert!(whole(&logs[0]) && whole(&logs[1]));
    assert!(
        logs[2..]
            .iter()
            .all(|l| path(l).is_empty() || status(l) == 0)
    );
    // A hole in the answers: none of them is known.
    let logs = served(&[In(&twice), Out(OK), In(GET), OutGap(60), Out(OK)]);
    let got: Vec<_> = logs.iter().map(|l| (path(l), status(l))).collect();
    assert_eq!(got, [("/a", 200), ("/b", 0), ("/a", 0), ("", 200)]);
}

#[test]
fn asking_in_two_writes_before_the_answer_is_not_waiting() {
    let logs = served(&[
        In(GET),
        In(GET_B),
        Out(OK),
        Out(NONE),
        InGap(80),
        In(GET),
        Out(OK),
    ]);
    assert!(whole(&logs[0]) && whole(&logs[1]));
    let behind = &logs[2..];
    assert!(behind.iter().all(|l| path(l).is_empty() || status(l) == 0));
}

#[test]
fn joined_late_an_answer_that_was_lost_shifts_nothing() {
    // Where the answers began is not known, so that no hole is told.
    let mut rig = Rig::new(true, None).steps(&[In(GET), In(GET_B), Out(OK), In(GET), Out(NONE)]);
    rig.step(Close(CloseCause::LocalClose));
    let logs = rig.ledger.finish();
    let got: Vec<_> = logs.iter().map(|l| (path(l), status(l))).collect();
    assert_eq!(got, [("/a", 0), ("/b", 200), ("/a", 204)]);
    assert!(logs[0].end.is_some_and(|e| e.partial));
    assert!(whole(&logs[1]) && whole(&logs[2]));
}

#[test]
fn an_answer_before_the_first_request_that_came_shifts_nothing() {
    for (late, role) in [(false, Some(Role::Server)), (false, None), (true, None)] {
        for wait in [1, 900] {
            let rig = Rig::new(late, role).steps(&[
                Out(OK),
                Wait(wait),
                InGap(80),
                In(GET_B),
                Out(NONE),
                In(GET),
                Out(OK),
                Close(CloseCause::LocalClose),
            ]);
            let logs = rig.ledger.finish();
            let mut got: Vec<_> = logs.iter().map(|l| (path(l), status(l))).collect();
            got.retain(|(path, _)| !path.is_empty());
            assert_eq!(got, [("/b", 204), ("/a", 200)], "{late} {role:?} {wait}");
        }
    }
}

#[test]
fn an_answer_that_overtakes_its_request_behind_a_lost_opening_is_that_of_the_request() {
    for unopened in [true, false] {
        let mut rig = Rig::new(true, None);
        rig.conn = ConnParser::new(ConnStart {
            late: true,
            unopened,
            role: None,
        });
        rig.now = 5;
        rig.step(Out("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        rig.now = 4;
        rig.step(In("GET /a HTTP/1.1\r\n\r\n"));
        rig.step(Close(CloseCause::LocalClose));
        let log = rig.ledger.finish();
        assert_eq!(log.len(), if unopened { 1 } else { 2 }, "{log:?}");
    }
}
