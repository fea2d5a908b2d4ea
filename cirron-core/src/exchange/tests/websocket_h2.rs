//! WebSockets on streams of HTTP/2: as on a connection of their own, and beside other streams.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::http2::{OK_200, frame as h2, preface, request};
use super::websocket::{close, frame as ws, text, whole as message};
use super::*;
use crate::limits::LOST_STREAM_LINGER_NS;

/// `:method: CONNECT`, `:protocol: websocket`, `:path: /`, `:scheme: http`, all as literals that no
/// table keeps.
const ASK: &[u8] = b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x84\x86";

fn ask(stream: u32) -> Vec<u8> {
    h2(1, 0x4, stream, ASK)
}

fn grant(stream: u32) -> Vec<u8> {
    h2(1, 0x4, stream, OK_200)
}

fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    h2(0, 0, stream, bytes)
}

fn end(stream: u32) -> Vec<u8> {
    h2(0, 1, stream, &[])
}

fn settings() -> Vec<u8> {
    h2(4, 0, 0, &[])
}

enum Part {
    Client(Vec<u8>),
    Server(Vec<u8>),
    ClientGap(u64),
    ServerGap(u64),
    Wait(u64),
}

use Part::{Client, ClientGap, Server, ServerGap};

/// A connection behind its prefaces; the target, on either end, closes it at last.
fn run(role: Role, parts: &[Part]) -> Vec<ExchangeLog> {
    let (client, server) = match role {
        Role::Server => (Direction::Inbound, Direction::Outbound),
        Role::Client => (Direction::Outbound, Direction::Inbound),
    };
    let mut rig = Rig::new(false, Some(role));
    rig.feed(client, &preface());
    rig.feed(server, &settings());
    for part in parts {
        rig.now += 1;
        let ts = MonoNs(rig.now * MS);
        let (dir, piece) = match part {
            Client(bytes) => (client, Piece::Data { ts, bytes }),
            Server(bytes) => (server, Piece::Data { ts, bytes }),
            ClientGap(len) => (client, Piece::Gap { ts, len: *len }),
            ServerGap(len) => (server, Piece::Gap { ts, len: *len }),
            Part::Wait(ms) => {
                rig.step(Wait(*ms));
                continue;
            }
        };
        rig.conn.handle(dir, piece, &mut rig.ledger);
    }
    rig.step(Close(CloseCause::LocalClose));
    assert!(!rig.conn.has_open_exchanges());
    assert_eq!(rig.conn.poll_timeout(), None);
    rig.ledger.finish()
}

const UPGRADED: ExchangeEnd = ExchangeEnd {
    aborted_by: None,
    upgraded: true,
    partial: false,
    cut: false,
    unread: false,
};

#[test]
fn messages_follow_the_answer_until_both_say_close_and_other_streams_go_on() {
    for role in [Role::Server, Role::Client] {
        let logs = run(
            role,
            &[
                Client(ask(1)),
                Server(grant(1)),
                Client([data(1, &text(true, "ask")), request(3)].concat()),
                Server([grant(3), data(1, &text(false, "one"))].concat()),
                // A message in two frames of HTTP/2, and two in one.
                Server(data(1, &text(false, "two")[..2])),
                Server(h2(0, 1, 3, b"ok")),
                Server(data(
                    1,
                    &[&text(false, "two")[2..], &text(false, "three")].concat(),
                )),
                Client([data(1, &close(true)), end(1)].concat()),
                Server(
                    [
                        data(1, &text(false, "last")),
                        data(1, &close(false)),
                        end(1),
                    ]
                    .concat(),
                ),
                Client(request(5)),
                Server([grant(5), h2(0, 1, 5, b"ok")].concat()),
            ],
        );
        assert_eq!(logs.len(), 3);
        let [socket, other, later] = &logs[..] else {
            panic!("{logs:?}")
        };
        let head = socket.request.as_ref().unwrap();
        assert_eq!((head.method.as_str(), status(socket)), ("CONNECT", 200));
        assert_eq!(socket.messages[0], [message("ask")]);
        let said = ["one", "two", "three", "last"].map(message);
        assert_eq!(socket.messages[1], said);
        assert_eq!(socket.closed, [Some(Some(1000)); 2]);
        assert_eq!(socket.end, Some(UPGRADED));
        assert!(socket.request_body.is_empty() && socket.response_body.is_empty());
        assert!([other, later].iter().all(|l| whole(l) && body(l) == "ok"));
    }
}

#[test]
fn what_the_client_said_may_be_seen_before_the_answer() {
    let logs = run(
        Role::Server,
        &[
            Client(ask(1)),
            Client(data(1, &text(true, "early"))),
            Server([grant(1), data(1, &text(false, "one"))].concat()),
            Client(data(1, &close(true))),
        ],
    );
    assert_eq!(logs[0].messages, [[message("early")], [message("one")]]);
    assert_eq!(logs[0].end, Some(UPGRADED), "one Close is enough");
}

#[test]
fn refused_its_bytes_are_bodies() {
    // `:status: 404`.
    let no = [h2(1, 0x4, 1, &[0x8d]), h2(0, 1, 1, b"no")].concat();
    let logs = run(
        Role::Server,
        &[
            Client(ask(1)),
            Client(data(1, b"early")),
            Server(no),
            Client(end(1)),
        ],
    );
    assert_eq!((status(&logs[0]), body(&logs[0]).as_str()), (404, "no"));
    assert_eq!(logs[0].request_body, b"early");
    assert!(whole(&logs[0]), "{:?}", logs[0]);
}

#[test]
fn who_ends_the_stream_without_a_word_ended_it() {
    let reset = |by_client: bool| {
        let reset = h2(3, 0, 1, &[0, 0, 0, 8]);
        if by_client {
            Client(reset)
        } else {
            Server(reset)
        }
    };
    let half = |by_client: bool| {
        if by_client {
            Client(end(1))
        } else {
            Server(end(1))
        }
    };
    let ways: [&dyn Fn(bool) -> Part; 2] = [&reset, &half];
    for way in ways {
        for (by_client, by) in [(true, AbortedBy::Client), (false, AbortedBy::Server)] {
            let logs = run(
                Role::Server,
                &[
                    Client(ask(1)),
                    Server([grant(1), data(1, &text(false, "on"))].concat()),
                    way(by_client),
                    Server(data(1, &text(false, "too late"))),
                ],
            );
            assert_eq!(logs.len(), 1);
            assert_eq!(aborted_by(&logs[0]), Some(by));
            assert_eq!(logs[0].messages[1], [message("on")]);
            assert!(logs[0].end.unwrap().partial);
        }
    }
}

#[test]
fn a_hole_inside_a_frame_costs_its_message_alone() {
    let cut = data(1, &text(false, "message"));
    let logs = run(
        Role::Server,
        &[
            Client(ask(1)),
            Server([grant(1), data(1, &text(false, "one"))].concat()),
            Server(cut[..12].to_vec()),
            ServerGap(3),
            Server(cut[15..].to_vec()),
            Server(data(1, &text(false, "two"))),
            Client(data(1, &close(true))),
            Server(data(1, &close(false))),
        ],
    );
    let said = &logs[0].messages[1];
    assert_eq!(said.len(), 3);
    assert!(said[0] == message("one") && said[2] == message("two") && !said[1].1);
    assert!(logs[0].end.unwrap().partial);
}

#[test]
fn a_hole_over_frames_desyncs_the_messages_and_the_next_ones_are_read() {
    let parts = [
        Client(ask(1)),
        Server([grant(1), data(1, &text(false, "one"))].concat()),
        ServerGap(40),
        // However long it is silent: it is open until its end is seen.
        Part::Wait(2 * LOST_STREAM_LINGER_NS / MS),
        Server(data(1, &text(false, r#"{"type":"two"}"#))),
        Client(data(1, &text(true, "ask"))),
        Client(data(1, &close(true))),
        Server(data(1, &close(false))),
    ];
    let logs = run(Role::Server, &parts);
    let (client, server) = (&logs[0].messages[0], &logs[0].messages[1]);
    assert_eq!(server[..], [message("one"), message(r#"{"type":"two"}"#)]);
    assert_eq!(client[..], [message("ask")]);
    assert_eq!(logs[0].closed, [Some(Some(1000)); 2]);
    let end = logs[0].end.unwrap();
    assert!(end.partial && end.upgraded);
}

#[test]
fn a_hole_before_the_answer_is_remembered() {
    for granted in [true, false] {
        let head = if granted {
            grant(1)
        } else {
            h2(1, 0x5, 1, &[0x8d])
        };
        let logs = run(
            Role::Server,
            &[
                Client(ask(1)),
                Client(data(1, &text(true, r#"{"a":"first"}"#))),
                ClientGap(30),
                Client(data(1, &text(true, r#"{"a":"later"}"#))),
                Server(head),
                Client(end(1)),
            ],
        );
        assert_eq!(logs.len(), 1, "{logs:?}");
        assert!(logs[0].holes && logs[0].end.unwrap().partial);
        if granted {
            let last = logs[0].messages[0].last().unwrap();
            assert_eq!(*last, message(r#"{"a":"later"}"#));
        }
    }
}

#[test]
fn what_is_kept_for_an_answer_is_bounded() {
    let much = vec![b'x'; 16_000];
    let frames = MAX_HELD_RESPONSE_BYTES / much.len() + 2;
    let mut parts = vec![Client(ask(1))];
    parts.extend((0..frames).map(|_| Client(data(1, &much))));
    parts.extend([
        Server([grant(1), h2(0, 1, 1, b"ok")].concat()),
        Client(end(1)),
    ]);
    let logs = run(Role::Server, &parts);
    assert_eq!(logs[0].request_body.len(), frames * much.len());
    assert!(
        whole(&logs[0]) && body(&logs[0]) == "ok",
        "a body after all"
    );
}

/// The two directions of a connection with a WebSocket and another stream.
fn both_ways() -> (Vec<u8>, Vec<u8>) {
    let client = [
        preface(),
        ask(1),
        data(1, &text(true, "ask")),
        request(3),
        data(1, &ws(9, true, b"")),
        data(1, &close(true)),
        end(1),
    ]
    .concat();
    let server = [
        settings(),
        grant(1),
        data(1, &text(false, "one")[..3]),
        grant(3),
        h2(0, 1, 3, b"ok"),
        data(1, &[&text(false, "one")[3..], &text(false, "two")].concat()),
        data(1, &close(false)),
        end(1),
    ]
    .concat();
    (client, server)
}

/// One direction in parts, the other at once: the client first.
fn cut(dir: Direction, parts: &[Fed<'_>], other: &[u8]) -> Vec<ExchangeLog> {
    let mut rig = Rig::new(false, Some(Role::Server));
    if dir == Direction::Outbound {
        rig.feed(Direction::Inbound, other);
    }
    for part in parts {
        rig.now += 1;
        let ts = MonoNs(rig.now * MS);
        let piece = match *part {
            Fed::Data(bytes) => Piece::Data { ts, bytes },
            Fed::Gap(len) => Piece::Gap { ts, len },
        };
        rig.conn.handle(dir, piece, &mut rig.ledger);
    }
    if dir == Direction::Inbound {
        rig.feed(Direction::Outbound, other);
    }
    rig.step(Wait(100));
    rig.step(Close(CloseCause::LocalClose));
    assert!(!rig.conn.has_open_exchanges());
    assert_eq!(rig.conn.poll_timeout(), None);
    rig.ledger.finish()
}

#[test]
fn every_split_gives_the_same_messages() {
    let (client, server) = both_ways();
    for (dir, input, other) in [
        (Direction::Inbound, &client, &server),
        (Direction::Outbound, &server, &client),
    ] {
        let logs = assert_split_invariant(input, |parts| cut(dir, parts, other));
        assert_eq!(logs[0].messages[0], [message("ask")]);
        assert_eq!(logs[0].messages[1], ["one", "two"].map(message));
        assert!(logs[0].end == Some(UPGRADED) && whole(&logs[1]), "{logs:?}");
    }
}

#[test]
fn any_hole_keeps_the_rules() {
    let (client, server) = both_ways();
    for (dir, input, other) in [
        (Direction::Inbound, &client, &server),
        (Direction::Outbound, &server, &client),
    ] {
        assert_gap_safe(
            input,
            |parts| cut(dir, parts, other),
            |logs: &Vec<ExchangeLog>, hole| {
                assert!(logs.len() <= 2, "{hole:?}: {logs:?}");
                for log in logs.iter().filter(|l| l.end == Some(UPGRADED)) {
                    assert_eq!(log.messages[0], [message("ask")], "{hole:?}");
                    assert_eq!(log.messages[1], ["one", "two"].map(message), "{hole:?}");
                }
            },
        );
    }
}
