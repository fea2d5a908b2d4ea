//! WebSockets: from the handshake to the end, refused, early, cut anywhere, with holes.

use super::*;

const ASK: &str = "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: WebSocket\r\n\r\n";

/// A frame of text, or a Close, as a server sends it; masked with zeros, as a client does.
pub(super) fn frame(opcode: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap_or(0);
    assert!(len < 126);
    let mask: &[u8] = if masked { &[0; 4] } else { &[] };
    [&[0x80 | opcode, len | u8::from(masked) << 7], mask, payload].concat()
}

pub(super) fn text(masked: bool, payload: &str) -> Vec<u8> {
    frame(1, masked, payload.as_bytes())
}

pub(super) fn close(masked: bool) -> Vec<u8> {
    frame(8, masked, &1000_u16.to_be_bytes())
}

enum Part {
    Client(Vec<u8>),
    Server(Vec<u8>),
    ClientGap(u64),
    ServerGap(u64),
    Close(CloseCause),
}

use Part::{Client, ClientGap, Server, ServerGap};

/// What the target, on either end, sees.
fn run(role: Role, parts: &[Part]) -> (Protocol, Vec<ExchangeLog>) {
    let (client, server) = match role {
        Role::Server => (Direction::Inbound, Direction::Outbound),
        Role::Client => (Direction::Outbound, Direction::Inbound),
    };
    let mut rig = Rig::new(false, Some(role));
    for part in parts {
        rig.now += 1;
        let ts = MonoNs(rig.now * MS);
        let mut gap = |dir, len| {
            let piece = Piece::Gap { ts, len };
            rig.conn.handle(dir, piece, &mut rig.ledger);
        };
        match part {
            ClientGap(len) => gap(client, *len),
            ServerGap(len) => gap(server, *len),
            Client(bytes) => rig.feed(client, bytes),
            Server(bytes) => rig.feed(server, bytes),
            Part::Close(cause) => rig.conn.handle_close(ts, *cause, &mut rig.ledger),
        }
    }
    let protocol = rig.conn.protocol();
    (protocol, rig.ledger.finish())
}

fn both(parts: &[Part]) -> ExchangeLog {
    let [mut server, client] = [Role::Server, Role::Client].map(|role| {
        let (_, logs) = run(role, parts);
        assert_eq!(logs.len(), 1);
        logs.into_iter().next().unwrap_or_default()
    });
    server.role = client.role;
    assert_eq!(server, client);
    client
}

pub(super) fn whole(text: &str) -> (Vec<u8>, bool) {
    (text.as_bytes().to_vec(), true)
}

#[test]
fn messages_follow_the_handshake_until_both_say_close() {
    let log = both(&[
        Client(ASK.into()),
        Server(SWITCH.into()),
        Client(text(true, "ask")),
        Server([text(false, "one"), text(false, "two")].concat()),
        Client(close(true)),
        Server(close(false)),
    ]);
    assert_eq!(log.messages[0], [whole("ask")]);
    assert_eq!(log.messages[1], [whole("one"), whole("two")]);
    assert_eq!(log.closed, [Some(Some(1000)); 2]);
    assert_eq!(log.response_end, Some(MessageEnd::Complete));
    let end = ExchangeEnd {
        upgraded: true,
        ..ExchangeEnd::default()
    };
    assert_eq!(log.end, Some(end));
}

#[test]
fn the_first_message_may_come_with_the_handshake_and_the_answer_before_it() {
    // With it.
    let log = both(&[
        Client(ASK.into()),
        Server([SWITCH.as_bytes(), &text(false, "hello")].concat()),
        Part::Close(CloseCause::AgentStop),
    ]);
    assert_eq!(log.messages[1], [whole("hello")]);
    // A write is stamped when it returns: what the peer says to it may be seen before.
    let log = both(&[
        Client(ASK.into()),
        Client(text(true, "early")),
        Server(SWITCH.into()),
        Client(close(true)),
        Part::Close(CloseCause::AgentStop),
    ]);
    assert_eq!(log.messages[0], [whole("early")]);
    assert_eq!(log.response_end, Some(MessageEnd::Complete));
    // Even the handshake.
    let log = both(&[
        Server([SWITCH.as_bytes(), &text(false, "hello")].concat()),
        Client(ASK.into()),
        Client(text(true, "early")),
        Part::Close(CloseCause::AgentStop),
    ]);
    assert_eq!(log.messages, [vec![whole("early")], vec![whole("hello")]]);
}

#[test]
fn the_message_that_comes_when_nobody_waits_for_the_request_any_more_is_kept() {
    for by_client in [true, false] {
        let mut rig = Rig::new(false, Some(Role::Server));
        for step in [InGap(1), In(&ASK[1..]), Out(SWITCH)] {
            rig.step(step);
        }
        rig.now += crate::limits::HELD_RESPONSE_WINDOW_NS / MS + 1;
        let dir = match by_client {
            true => Direction::Inbound,
            false => Direction::Outbound,
        };
        for said in ["one", "two"] {
            rig.feed(dir, &text(by_client, said));
        }
        rig.step(Close(CloseCause::LocalClose));
        let logs = rig.ledger.finish();
        let said: Vec<_> = logs
            .iter()
            .flat_map(|l| &l.messages[usize::from(!by_client)])
            .collect();
        assert_eq!(said, [&whole("one"), &whole("two")], "{by_client}");
    }
}

#[test]
fn refused_it_stays_http() {
    let parts = [
        Client(ASK.into()),
        Client(GET.into()),
        Server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".into()),
        Server(OK.into()),
        Part::Close(CloseCause::LocalClose),
    ];
    let (protocol, logs) = run(Role::Server, &parts);
    assert_eq!(protocol, Protocol::Http1);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [400, 200]);
    assert!(logs.iter().all(super::whole));
}

#[test]
fn who_drops_it_without_a_word_ended_it() {
    for (cause, role, by) in [
        (CloseCause::LocalClose, Role::Server, AbortedBy::Server),
        (CloseCause::PeerReset, Role::Server, AbortedBy::Client),
        (CloseCause::LocalClose, Role::Client, AbortedBy::Client),
        (CloseCause::AgentStop, Role::Client, AbortedBy::Agent),
    ] {
        let (_, logs) = run(
            role,
            &[
                Client(ASK.into()),
                Server(SWITCH.into()),
                Server(text(false, "on")),
                Part::Close(cause),
            ],
        );
        assert_eq!(aborted_by(&logs[0]), Some(by));
        assert!(logs[0].end.is_some_and(|end| end.partial));
        // One Close is enough for an end in order.
        let (_, logs) = run(
            role,
            &[
                Client(ASK.into()),
                Server(SWITCH.into()),
                Server(close(false)),
                Part::Close(cause),
            ],
        );
        assert_eq!(aborted_by(&logs[0]), None);
        assert!(logs[0].end.is_some_and(|end| !end.partial));
    }
}

#[test]
fn a_hole_costs_the_messages_it_lies_on_and_the_rest_goes_on() {
    let log = both(&[
        Client(ASK.into()),
        Server(SWITCH.into()),
        Server(text(false, "one")[..3].to_vec()),
        ServerGap(2),
        Server(text(false, "two")),
        Client(text(true, "ask")),
        ClientGap(20),
        Client([text(true, "some more"), text(true, "most")].concat()),
        Client(close(true)),
        Server(close(false)),
    ]);
    assert_eq!(log.messages[1], [(b"o".to_vec(), false), whole("two")]);
    assert_eq!(
        log.messages[0],
        [whole("ask"), whole("some more"), whole("most")]
    );
    assert!(log.end.is_some_and(|end| end.partial));
}

#[test]
fn what_is_no_frame_makes_the_connection_opaque() {
    let (protocol, logs) = run(
        Role::Server,
        &[
            Client(ASK.into()),
            Server(SWITCH.into()),
            Server(OK.into()),
            Client(GET.into()),
        ],
    );
    assert_eq!(protocol, Protocol::Opaque);
    assert_eq!(logs[0].response_end, Some(MessageEnd::Lost));
}

#[test]
fn a_websocket_cut_anywhere_gives_the_same_messages() {
    let sent = [
        SWITCH.as_bytes(),
        &text(false, "one"),
        &frame(9, false, b""),
        &text(false, "two"),
        &close(false),
    ]
    .concat();
    assert_split_invariant(&sent, |parts| {
        let mut rig = Rig::new(false, Some(Role::Server));
        rig.step(In(ASK));
        for part in parts {
            rig.now += 1;
            let ts = MonoNs(rig.now * MS);
            let piece = match *part {
                Fed::Data(bytes) => Piece::Data { ts, bytes },
                Fed::Gap(len) => Piece::Gap { ts, len },
            };
            rig.conn.handle(Direction::Outbound, piece, &mut rig.ledger);
        }
        rig.step(Close(CloseCause::LocalClose));
        let logs = rig.ledger.finish();
        assert_eq!(logs[0].messages[1], [whole("one"), whole("two")]);
        logs
    });
}
