//! What goes wrong with naive pairing.

use super::*;

fn client(steps: &[Step<'_>]) -> Rig {
    Rig::new(false, Some(Role::Client)).steps(steps)
}

#[test]
fn a_response_seen_before_its_request_waits_for_it() {
    // The write returned late: its record is behind that of the answer.
    let rig = client(&[In(OK), Out(GET), Out(GET_B), In(NONE)]);
    let logs = rig.logs();
    assert!(logs.iter().all(whole), "{logs:?}");
    assert_eq!((path(&logs[0]), status(&logs[0])), ("/a", 200));
    assert_eq!((path(&logs[1]), status(&logs[1])), ("/b", 204));
    assert_eq!(
        rig.ledger.times()[0].start,
        MonoNs(MS),
        "not behind its answer"
    );
    // On a warm connection too, and with the response in pieces.
    let rig = client(&[
        Out(GET),
        In(OK),
        In("HTTP/1.1 204"),
        In(" No\r\n\r\n"),
        Out(GET_B),
    ]);
    assert_eq!(rig.logs().len(), 2);
    assert!(rig.logs().iter().all(whole));
    assert_eq!(rig.conn.poll_timeout(), None);
}

#[test]
fn two_answers_in_one_piece_before_the_second_request() {
    let both = format!("{OK}{NONE}");
    let rig = client(&[Out(GET), In(&both), Out(GET_B)]);
    let logs = rig.logs();
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 204]);
    assert!(logs.iter().all(whole));
}

#[test]
fn a_response_whose_request_never_shows_up_is_an_exchange_of_its_own() {
    let mut rig = client(&[Out(GET), In(OK), In(NONE)]);
    assert_eq!(rig.logs().len(), 1);
    assert_eq!(
        rig.conn.poll_timeout(),
        Some(MonoNs(3 * MS + HELD_RESPONSE_WINDOW_NS))
    );
    rig.step(Wait(20));
    let logs = rig.logs();
    assert_eq!(logs.len(), 2);
    assert!(logs[1].late && logs[1].end.is_some_and(|e| e.partial));
    assert_eq!(status(&logs[1]), 204);
    assert_eq!(
        rig.ledger.times()[1].start,
        MonoNs(3 * MS),
        "its own time, not that of giving up"
    );
    assert_eq!(rig.conn.poll_timeout(), None);
    // Pairing goes on.
    let rig = rig.steps(&[Out(GET_B), In(OK)]);
    assert!(whole(&rig.logs()[2]));
}

#[test]
fn what_waits_is_bounded() {
    let mut rig = client(&[Out(GET), In(OK)]);
    rig.feed(
        Direction::Inbound,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    );
    let piece = vec![b'x'; 50_000];
    for _ in 0..=(MAX_HELD_RESPONSE_BYTES / piece.len()) {
        rig.feed(Direction::Inbound, &piece);
    }
    assert_eq!(rig.logs().len(), 2);
    assert!(rig.logs()[1].response_body.len() > MAX_HELD_RESPONSE_BYTES / 2);
    assert_eq!(rig.conn.poll_timeout(), None);
}

#[test]
fn a_timeout_answer_nobody_asked_for_is_no_exchange() {
    let rejected = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 2\r\n\r\nno";
    let logs = served(&[In(GET), Out(OK), Out(rejected), Wait(30)]);
    assert_eq!(logs.len(), 1);
    assert!(whole(&logs[0]));
}

#[test]
fn the_next_request_may_come_before_the_end_of_the_response() {
    let logs = served(&[
        In(GET),
        Out(CHUNKED),
        In(GET_B),
        Out("2\r\nok\r\n"),
        Out("0\r\n\r\n"),
        Out(NONE),
    ]);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 204]);
    assert!(logs.iter().all(whole));
}

#[test]
fn a_refused_expectation_needs_no_body() {
    let put = "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let refused = "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n";
    let logs = served(&[In(put), Out(refused), In(GET_B), Out(OK)]);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [417, 200]);
    assert_eq!(logs[0].request_end, Some(MessageEnd::Aborted));
    assert!(whole(&logs[1]));
    // The client may send it all the same.
    let logs = served(&[In(put), Out(refused), In("abc"), In(GET_B), Out(OK)]);
    assert!(logs.iter().all(whole));
    assert_eq!(logs[0].request_body, b"abc");
}

#[test]
fn an_upgrade_turns_the_connection_opaque() {
    let ws = "GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: mine/1\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: mine/1\r\n\r\n\u{1}\u{2}";
    let rig = Rig::new(false, None).steps(&[In(ws), Out(switch), In("\u{3}"), Out(OK), In(GET)]);
    assert_eq!(rig.conn.protocol(), Protocol::Opaque);
    let logs = rig.ledger.finish();
    assert_eq!(logs.len(), 1);
    assert_eq!(
        logs[0].end,
        Some(ExchangeEnd {
            upgraded: true,
            ..ExchangeEnd::default()
        })
    );
    // Refused: HTTP goes on.
    let logs = served(&[In(ws), Out(OK), In(GET), Out(NONE)]);
    assert!(logs.len() == 2 && logs.iter().all(whole));
}

#[test]
fn connect_makes_a_tunnel_only_when_it_is_accepted() {
    let connect = "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n";
    let accepted = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\u{16}\u{3}\u{1}";
    let rig = client(&[Out(connect), In(accepted), Out("\u{16}\u{3}")]);
    assert_eq!(rig.conn.protocol(), Protocol::Opaque);
    let logs = rig.ledger.finish();
    assert_eq!(
        (path(&logs[0]), logs[0].end.is_some_and(|e| e.upgraded)),
        ("h:443", true)
    );
    let refused = "HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno";
    let rig = client(&[Out(connect), In(refused), Out(GET), In(OK)]);
    assert_eq!(
        rig.logs().iter().map(status).collect::<Vec<_>>(),
        [407, 200]
    );
    assert!(rig.logs().iter().all(whole));
}

#[test]
fn requests_without_responses_are_bounded() {
    let mut rig = Rig::new(false, None);
    for _ in 0..MAX_PIPELINED + 2 {
        rig.feed(Direction::Inbound, GET.as_bytes());
    }
    rig.feed(Direction::Inbound, GET_B.as_bytes());
    assert_eq!(rig.logs().iter().filter(|l| l.end.is_some()).count(), 3);
    // The answers of those given up are not taken for others'.
    for _ in 0..MAX_PIPELINED + 2 {
        rig.feed(Direction::Outbound, OK.as_bytes());
    }
    rig.feed(Direction::Outbound, NONE.as_bytes());
    let logs = rig.logs();
    assert!(logs[3..].iter().all(whole));
    assert_eq!(logs.last().map(|l| (path(l), status(l))), Some(("/b", 204)));
    assert!(!rig.conn.has_open_exchanges());
}

#[test]
fn the_direction_of_requests_decides_the_role() {
    let rig = Rig::new(false, Some(Role::Client)).steps(&[In(GET), Out(OK)]);
    assert_eq!(rig.conn.role(), Some(Role::Server));
    assert_eq!(rig.logs()[0].role, Some(Role::Server));
    let rig = Rig::new(true, None).steps(&[In(OK), Out(GET)]);
    assert_eq!(rig.conn.role(), Some(Role::Client));
}

#[test]
fn other_protocols_are_opaque_and_silent() {
    for (text, protocol) in [
        ("\u{16}\u{3}\u{1}\u{2}\u{0}abc", Protocol::Tls),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Protocol::Http2),
    ] {
        for cut in 1..text.len() {
            let (a, b) = text.split_at(cut);
            let rig = Rig::new(false, None).steps(&[In(a), In(b), Out(OK), In(GET)]);
            assert_eq!(rig.conn.protocol(), protocol);
            assert!(rig.logs().is_empty());
        }
    }
}

#[test]
fn what_neither_side_begins_is_opaque_at_once() {
    let text = "SSH-2.0-x\r\n";
    for cut in 1..text.len() {
        let (a, b) = text.split_at(cut);
        let rig = Rig::new(false, None).steps(&[In(a), In(b), Out(text), Out(OK), In(GET)]);
        assert_eq!(rig.conn.protocol(), Protocol::Opaque);
        assert!(rig.logs().is_empty());
    }
}

#[test]
fn times_are_those_of_the_bytes() {
    let rig = Rig::new(false, None).steps(&[
        In("GET /a HT"),           // 1: the first byte
        In("TP/1.1\r\n\r\n"),      // 2: the head
        Out("HTTP/1.1 100 C\r\n"), // 3
        Out("\r\nHTTP/"),          // 4: the final response begins
        Out("1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        Out("o"),
        Out("k"), // 7: the end
    ]);
    let ms = |n: u64| MonoNs(n * MS);
    let want = Times {
        start: ms(1),
        request: ms(2),
        response_start: Some(ms(4)),
        response: ms(7),
        end: ms(7),
    };
    assert_eq!(rig.ledger.times(), [want]);
}

#[test]
fn bytes_that_no_response_announced_do_not_spoil_the_next() {
    let too_long = format!("{OK}and more");
    let logs = served(&[
        In(GET),
        Out(&too_long),
        In(GET_B),
        Out(NONE),
        In(GET),
        Out(OK),
    ]);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 204, 200]);
    assert!(logs.iter().all(whole), "{logs:#?}");
    // A body behind 304, while the next request already waits.
    let odd = "HTTP/1.1 304 Not Modified\r\n\r\n<html>\r\n";
    let logs = served(&[In(GET), In(GET_B), Out(odd), Out(OK)]);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [304, 200]);
    assert!(logs.iter().all(whole));
}
