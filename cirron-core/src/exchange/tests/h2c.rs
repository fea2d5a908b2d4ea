//! HTTP/2 by an upgrade from HTTP/1: granted, refused, early, cut anywhere, with holes.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::http2::{OK_200, frame, preface, request};
use super::*;

const ASK: &str = "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
const ASK_WITH_BODY: &str = "POST /v1/chat/completions HTTP/1.1\r\nConnection: Upgrade, \
                             HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\
                             Content-Length: 3\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

#[derive(Clone)]
enum Part {
    Client(Vec<u8>),
    Server(Vec<u8>),
    ServerGap(u64),
    ClientGap(u64),
    Eof,
}

use Part::{Client, ClientGap, Server, ServerGap};

/// What the target, on either end, sees; then it closes.
fn run(role: Role, parts: &[Part]) -> (Protocol, Vec<Times>, Vec<ExchangeLog>) {
    let (client, server) = match role {
        Role::Server => (Direction::Inbound, Direction::Outbound),
        Role::Client => (Direction::Outbound, Direction::Inbound),
    };
    let mut rig = Rig::new(false, Some(role));
    for part in parts {
        rig.now += 1;
        let ts = MonoNs(rig.now * MS);
        let (dir, piece) = match part {
            Client(bytes) => (client, Piece::Data { ts, bytes }),
            Server(bytes) => (server, Piece::Data { ts, bytes }),
            ClientGap(len) => (client, Piece::Gap { ts, len: *len }),
            ServerGap(len) => (server, Piece::Gap { ts, len: *len }),
            Part::Eof => (Direction::Inbound, Piece::Eof { ts }),
        };
        rig.conn.handle(dir, piece, &mut rig.ledger);
    }
    let protocol = rig.conn.protocol();
    rig.step(Close(CloseCause::LocalClose));
    assert_eq!(rig.conn.poll_timeout(), None);
    let times = rig.ledger.times();
    (protocol, times, rig.ledger.finish())
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn answer(stream: u32, text: &str) -> Vec<u8> {
    [
        frame(1, 0x4, stream, OK_200),
        frame(0, 1, stream, text.as_bytes()),
    ]
    .concat()
}

fn versions(log: &ExchangeLog) -> (&str, &str) {
    let request = log.request.as_ref().unwrap().version.as_str();
    (request, log.response.as_ref().unwrap().version.as_str())
}

#[test]
fn the_exchange_goes_on_as_stream_1_and_further_ones_follow() {
    for role in [Role::Server, Role::Client] {
        let parts = [
            Client(ASK.into()),
            Server(SWITCH.into()),
            Server([settings(), answer(1, "one")].concat()),
            Client(preface()),
            Client(request(3)),
            Server(answer(3, "three")),
        ];
        let (protocol, times, logs) = run(role, &parts);
        assert_eq!((protocol, logs.len()), (Protocol::Http2, 2));
        assert_eq!(
            (path(&logs[0]), body(&logs[0]).as_str()),
            ("/v1/models", "one")
        );
        assert_eq!(versions(&logs[0]), ("1.1", "2"));
        assert_eq!(logs[0].informational, [101]);
        assert_eq!(versions(&logs[1]), ("2", "2"));
        assert_eq!(body(&logs[1]), "three");
        assert!(
            logs.iter().all(|l| whole(l) && l.role == Some(role)),
            "{logs:?}"
        );
        let response = times[0].response_start;
        assert_eq!(response, Some(MonoNs(3 * MS)), "not that of the 101");
    }
}

#[test]
fn everything_may_come_in_one_piece() {
    let parts = [
        Client(ASK.into()),
        Server([SWITCH.as_bytes(), &settings(), &answer(1, "one")].concat()),
        Client([preface(), request(3)].concat()),
        Server(answer(3, "three")),
    ];
    let (_, _, logs) = run(Role::Server, &parts);
    assert!(logs.len() == 2 && logs.iter().all(whole), "{logs:?}");
}

#[test]
fn what_the_client_sends_may_be_seen_before_the_answer_that_led_to_it() {
    let orders = [
        // The preface first: the write of the 101 returned late.
        vec![
            Client(ASK.into()),
            Client([preface(), request(3)].concat()),
            Server([SWITCH.as_bytes(), &settings(), &answer(1, "one")].concat()),
        ],
        // Everything of the server first.
        vec![
            Server([SWITCH.as_bytes(), &settings(), &answer(1, "one")].concat()),
            Client(ASK.into()),
            Client([preface(), request(3)].concat()),
        ],
    ];
    for mut parts in orders {
        parts.push(Server(answer(3, "three")));
        let (_, _, logs) = run(Role::Server, &parts);
        assert_eq!(logs.len(), 2);
        assert_eq!(
            (body(&logs[0]), body(&logs[1])),
            ("one".into(), "three".into())
        );
        assert!(logs.iter().all(whole), "{logs:?}");
    }
}

#[test]
fn the_body_of_the_request_is_ended_on_http_1_whenever_the_answer_is_seen() {
    let whole_body = [
        Client([ASK_WITH_BODY, "ask"].concat().into()),
        Server([SWITCH.as_bytes(), &settings()].concat()),
        Client(preface()),
    ];
    let answered_early = [
        Client(ASK_WITH_BODY.into()),
        Server([SWITCH.as_bytes(), &settings()].concat()),
        Client([b"as".to_vec()].concat()),
        Client([&b"k"[..], &preface()].concat()),
    ];
    for parts in [&whole_body[..], &answered_early] {
        let (_, _, logs) = run(
            Role::Server,
            &[
                parts,
                &[
                    Server(answer(1, "one")),
                    Client(request(3)),
                    Server(answer(3, "three")),
                ],
            ]
            .concat(),
        );
        assert_eq!(logs[0].request_body, b"ask");
        assert!(logs.len() == 2 && logs.iter().all(whole), "{logs:?}");
    }
}

#[test]
fn what_waits_for_the_end_of_the_request_is_bounded() {
    let much = vec![b'x'; 16_000];
    let frames = MAX_HELD_RESPONSE_BYTES / much.len() + 2;
    let mut parts = vec![
        Client(ASK_WITH_BODY.into()),
        Server([SWITCH.as_bytes(), &settings(), &frame(1, 0x4, 1, OK_200)].concat()),
    ];
    parts.extend((0..frames).map(|_| Server(frame(0, 0, 1, &much))));
    parts.push(Server(frame(0, 1, 1, b"end")));
    let (protocol, _, logs) = run(Role::Server, &parts);
    assert_eq!((protocol, logs.len()), (Protocol::Http2, 1));
    assert_eq!(logs[0].request_end, Some(MessageEnd::Lost));
    assert_eq!(logs[0].response_body.len(), frames * much.len() + 3);
    assert_eq!(logs[0].response_end, Some(MessageEnd::Complete));
}

#[test]
fn refused_it_stays_http_1() {
    // Java's client asks so on each new connection; most servers do not care.
    let parts = [
        Client(ASK.into()),
        Client(GET_B.into()),
        Server(OK.into()),
        Server(OK.into()),
        Client(ASK.into()),
        Server(OK.into()),
    ];
    let (protocol, _, logs) = run(Role::Server, &parts);
    assert_eq!((protocol, logs.len()), (Protocol::Http1, 3));
    assert!(logs.iter().all(whole), "{logs:?}");
    // The second that asks stands behind the first, which is refused.
    let twice = [
        Client([ASK, ASK].concat().into()),
        Server(OK.into()),
        Server([SWITCH.as_bytes(), &settings(), &answer(1, "two")].concat()),
        Client(preface()),
    ];
    let (protocol, _, logs) = run(Role::Server, &twice);
    assert_eq!((protocol, logs.len()), (Protocol::Http2, 2));
    assert_eq!(
        (body(&logs[0]), body(&logs[1])),
        ("ok".into(), "two".into())
    );
}

#[test]
fn a_hole_over_the_answer_costs_no_further_stream() {
    let parts = [
        Client(ASK.into()),
        ServerGap(SWITCH.len() as u64),
        Client([preface(), request(3)].concat()),
        Server(settings()),
        Server(answer(1, "one")),
        Server(answer(3, "three")),
    ];
    let (protocol, times, logs) = run(Role::Server, &parts);
    assert_eq!((protocol, logs.len()), (Protocol::Http2, 2));
    assert_eq!(
        (path(&logs[0]), body(&logs[0]).as_str()),
        ("/v1/models", "one")
    );
    assert!(logs[0].end.unwrap().partial, "{:?}", logs[0]);
    assert_eq!(times[0].response_start, Some(MonoNs(5 * MS)));
    assert!(whole(&logs[1]));
}

#[test]
fn a_hole_in_the_clients_preface_costs_no_response() {
    let parts = [
        Client(ASK.into()),
        Server([SWITCH.as_bytes(), &settings()].concat()),
        ClientGap(preface().len() as u64),
        Server(answer(1, "one")),
        Client(request(3)),
        Server(answer(3, "three")),
    ];
    let (_, _, logs) = run(Role::Client, &parts);
    assert_eq!(body(&logs[0]), "one");
    assert!(whole(&logs[0]) && whole(&logs[1]), "{logs:?}");
}

#[test]
fn an_end_between_the_answer_and_its_stream_leaves_nothing_open() {
    for parts in [
        vec![Client(ASK.into()), Server(SWITCH.into())],
        vec![Client(ASK_WITH_BODY.into()), Server(SWITCH.into())],
        vec![
            Client(ASK_WITH_BODY.into()),
            Server([SWITCH.as_bytes(), &settings()].concat()),
            Part::Eof,
        ],
        vec![Client(ASK.into()), Client(preface()), Part::Eof],
    ] {
        let (_, _, logs) = run(Role::Server, &parts);
        assert_eq!(logs.len(), 1);
        assert!(logs[0].end.unwrap().partial, "{logs:?}");
        assert_eq!(logs[0].response, None);
    }
}

#[test]
fn joined_late_in_front_of_an_answer_it_is_followed() {
    let mut rig = Rig::new(true, Some(Role::Server));
    for (dir, bytes) in [
        (
            Direction::Outbound,
            [SWITCH.as_bytes(), &settings()].concat(),
        ),
        (Direction::Inbound, [preface(), request(3)].concat()),
        (
            Direction::Outbound,
            [answer(1, "one"), answer(3, "three")].concat(),
        ),
    ] {
        rig.now += 1;
        rig.feed(dir, &bytes);
    }
    rig.step(Close(CloseCause::LocalClose));
    let logs = rig.ledger.finish();
    assert_eq!(logs.len(), 2);
    assert!(logs[0].late && body(&logs[0]) == "one" && whole(&logs[1]));
}

/// The two directions of a connection with one exchange on HTTP/1 and one on HTTP/2.
fn both_ways() -> (Vec<u8>, Vec<u8>) {
    let client = [ASK_WITH_BODY.as_bytes(), b"ask", &preface(), &request(3)].concat();
    let server = [
        SWITCH.as_bytes(),
        &settings(),
        &answer(1, "one"),
        &answer(3, "three"),
    ]
    .concat();
    (client, server)
}

fn fed(rig: &mut Rig, dir: Direction, parts: &[Fed<'_>]) {
    for part in parts {
        rig.now += 1;
        let ts = MonoNs(rig.now * MS);
        let piece = match *part {
            Fed::Data(bytes) => Piece::Data { ts, bytes },
            Fed::Gap(len) => Piece::Gap { ts, len },
        };
        rig.conn.handle(dir, piece, &mut rig.ledger);
    }
}

#[test]
fn every_split_of_either_direction_gives_the_same_exchanges() {
    let (client, server) = both_ways();
    for (cut, other, dir) in [
        (&client, &server, Direction::Inbound),
        (&server, &client, Direction::Outbound),
    ] {
        let logs = assert_split_invariant(cut, |parts| {
            let mut rig = Rig::new(false, Some(Role::Server));
            if dir == Direction::Outbound {
                rig.feed(Direction::Inbound, other);
            }
            fed(&mut rig, dir, parts);
            if dir == Direction::Inbound {
                rig.feed(Direction::Outbound, other);
            }
            rig.step(Close(CloseCause::LocalClose));
            rig.ledger.finish()
        });
        assert!(logs.len() == 2 && logs.iter().all(whole), "{logs:?}");
    }
}

#[test]
fn any_hole_keeps_the_rules() {
    let (client, server) = both_ways();
    for (cut, other, dir) in [
        (&client, &server, Direction::Inbound),
        (&server, &client, Direction::Outbound),
    ] {
        assert_gap_safe(
            cut,
            |parts| {
                let mut rig = Rig::new(false, Some(Role::Server));
                if dir == Direction::Outbound {
                    rig.feed(Direction::Inbound, other);
                }
                fed(&mut rig, dir, parts);
                if dir == Direction::Inbound {
                    rig.feed(Direction::Outbound, other);
                }
                rig.step(Wait(100));
                rig.step(Close(CloseCause::LocalClose));
                assert!(!rig.conn.has_open_exchanges());
                rig.ledger.finish()
            },
            |logs: &Vec<ExchangeLog>, hole| {
                assert!(logs.len() <= 2, "{hole:?}: {logs:?}");
                for log in logs.iter().filter(|l| whole(l)) {
                    let want = if path(log) == "/" { "three" } else { "one" };
                    assert_eq!(
                        (&log.request_body[..], body(log).as_str()),
                        (&b"ask"[..], want)
                    );
                }
            },
        );
    }
}
