//! HTTP/2 connections: streams paired, roles, ends, holes, joining late.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::proto::h2::tests::conversation;
pub(super) use crate::testing::h2::frame;

/// `:method: POST`, `:path: /`, `:scheme: http`.
const POST: &[u8] = &[0x83, 0x84, 0x86];
/// `:status: 200`.
pub(super) const OK_200: &[u8] = &[0x88];

pub(super) fn request(stream: u32) -> Vec<u8> {
    [frame(1, 0x4, stream, POST), frame(0, 1, stream, b"ask")].concat()
}

pub(super) fn preface() -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &frame(4, 0, 0, &[])[..],
    ]
    .concat()
}

/// What the target sees, in order: `true` are bytes that it reads.
fn rig(late: bool, role: Option<Role>, parts: &[(bool, Vec<u8>)]) -> Rig {
    let mut rig = Rig::new(late, role);
    for (inbound, bytes) in parts {
        rig.now += 1;
        let dir = if *inbound {
            Direction::Inbound
        } else {
            Direction::Outbound
        };
        rig.feed(dir, bytes);
    }
    rig
}

#[test]
fn a_hundred_streams_at_once_each_keep_their_own() {
    let (client, server) = conversation(100, 40);
    for (served, role) in [(true, Role::Server), (false, Role::Client)] {
        let parts = [
            (served, client.bytes.clone()),
            (!served, server.bytes.clone()),
        ];
        let mut rig = rig(false, None, &parts);
        rig.step(Close(CloseCause::PeerFin));
        let logs = rig.ledger.finish();
        assert_eq!(logs.len(), 100);
        for (n, log) in logs.iter().enumerate() {
            assert_eq!(log.role, Some(role));
            assert_eq!(path(log), format!("/v1/call/{n}"));
            let said = String::from_utf8(log.request_body.clone()).unwrap();
            assert!(said.starts_with(&format!("{{\"n\":{n}}}")), "{said}");
            assert!(body(log).starts_with(&format!("data: {}\n", 2 * n + 1)));
            let echo = log.response.as_ref().unwrap().headers.get_str("x-echo");
            assert_eq!(echo, Some(n.to_string().as_str()));
            assert_eq!(
                log.trailers.as_ref().unwrap().get_str("grpc-status"),
                Some("0")
            );
            assert!(whole(log), "{log:?}");
        }
    }
}

#[test]
fn every_split_gives_the_same_exchanges() {
    let (client, server) = conversation(3, 20);
    let logs = assert_split_invariant(&client.bytes, |parts| {
        let mut rig = Rig::new(false, Some(Role::Server));
        for part in parts {
            let Fed::Data(bytes) = part else { continue };
            rig.feed(Direction::Inbound, bytes);
        }
        rig.feed(Direction::Outbound, &server.bytes);
        rig.step(Close(CloseCause::LocalClose));
        rig.ledger.finish()
    });
    assert!(logs.len() == 3 && logs.iter().all(whole));
}

#[test]
fn a_response_seen_before_its_request_waits_for_it() {
    let answer = [frame(1, 0x4, 1, OK_200), frame(0, 1, 1, b"ok")].concat();
    let mut rig = rig(
        false,
        Some(Role::Client),
        &[
            (false, preface()),
            (true, frame(4, 0, 0, &[])),
            (true, answer),
            (false, request(1)),
        ],
    );
    rig.step(Close(CloseCause::LocalClose));
    let times = rig.ledger.times();
    let logs = rig.ledger.finish();
    assert!(logs.len() == 1 && whole(&logs[0]) && body(&logs[0]) == "ok");
    assert_eq!(
        times[0].start,
        MonoNs(3 * MS),
        "it was sent before its answer was read"
    );
}

#[test]
fn a_response_whose_request_never_comes_is_one_without_its_beginning() {
    let parts = [
        (false, preface()),
        (true, frame(4, 0, 0, &[])),
        (
            true,
            [frame(1, 0x4, 1, OK_200), frame(0, 1, 1, b"ok")].concat(),
        ),
    ];
    let mut rig = rig(false, Some(Role::Client), &parts);
    rig.step(Wait(HELD_RESPONSE_WINDOW_NS / MS + 1));
    let logs = rig.ledger.finish();
    assert!(logs.len() == 1 && logs[0].late && body(&logs[0]) == "ok");
}

#[test]
fn a_reset_says_who_gave_up_and_touches_no_other_stream() {
    let reset = frame(3, 0, 1, &[0, 0, 0, 8]);
    for by_client in [true, false] {
        let parts = [
            (true, preface()),
            (true, request(1)),
            (true, request(3)),
            (false, frame(1, 0x4, 1, OK_200)),
            (false, frame(0, 0, 1, b"par")),
            (by_client, reset.clone()),
            // What crossed it on its way makes nothing new.
            (false, frame(0, 1, 1, b"t")),
            (
                false,
                [frame(1, 0x4, 3, OK_200), frame(0, 1, 3, b"ok")].concat(),
            ),
        ];
        let mut rig = rig(false, None, &parts);
        rig.step(Close(CloseCause::PeerFin));
        let logs = rig.ledger.finish();
        // To a client that gave up a server writes on, until it knows.
        let (by, said) = if by_client {
            (AbortedBy::Client, "part")
        } else {
            (AbortedBy::Server, "par")
        };
        assert_eq!(logs.len(), 2);
        assert_eq!(
            (aborted_by(&logs[0]), body(&logs[0]).as_str()),
            (Some(by), said)
        );
        assert!(whole(&logs[1]));
    }
}

#[test]
fn a_server_that_goes_away_refuses_what_it_has_not_begun() {
    let parts = [
        (true, preface()),
        (true, request(1)),
        (true, request(3)),
        (false, frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
        (false, frame(1, 0x5, 1, OK_200)),
    ];
    let logs = rig(false, None, &parts).logs();
    assert!(whole(&logs[0]));
    assert_eq!(aborted_by(&logs[1]), Some(AbortedBy::Server));
}

#[test]
fn a_connection_that_ends_says_who_ended_its_streams() {
    let parts = [
        (true, preface()),
        (true, request(1)),
        (true, request(3)),
        (false, frame(1, 0x4, 3, OK_200)),
    ];
    let mut rig = rig(false, None, &parts);
    rig.step(Close(CloseCause::PeerReset));
    let logs = rig.ledger.finish();
    assert!(
        logs.iter()
            .all(|l| aborted_by(l) == Some(AbortedBy::Client))
    );
    assert_eq!(logs.len(), 2);
}

#[test]
fn joined_late_the_streams_under_way_are_read_and_new_ones_are_whole() {
    let parts = [
        (false, frame(0, 0, 7, b"data: x\n\n")),
        (false, frame(0, 1, 7, b"data: y\n\n")),
        (true, request(9)),
        (
            false,
            [frame(1, 0x4, 9, OK_200), frame(0, 1, 9, b"ok")].concat(),
        ),
        // An older one that was silent until now.
        (false, frame(0, 1, 5, b"data: z\n\n")),
        // One that has ended makes no other.
        (true, frame(3, 0, 7, &[0, 0, 0, 8])),
        (false, frame(0, 1, 7, b"data: y\n\n")),
    ];
    let logs = rig(true, Some(Role::Server), &parts).ledger.finish();
    let seen: Vec<_> = logs.iter().map(|l| (l.late, body(l))).collect();
    let want = [
        (true, "data: x\n\ndata: y\n\n".to_owned()),
        (false, "ok".to_owned()),
        (true, "data: z\n\n".to_owned()),
    ];
    assert_eq!(seen, want);
}

#[test]
fn joined_late_without_a_role_the_first_head_tells_it() {
    let parts = [
        (
            false,
            [frame(6, 0, 0, &[0; 8]), frame(8, 0, 0, &[0, 0, 1, 0])].concat(),
        ),
        (false, request(9)),
        (
            true,
            [frame(1, 0x4, 9, OK_200), frame(0, 1, 9, b"ok")].concat(),
        ),
    ];
    let rig = rig(true, None, &parts);
    assert_eq!(rig.conn.protocol(), Protocol::Http2);
    let logs = rig.ledger.finish();
    assert!(logs.len() == 1 && logs[0].role == Some(Role::Client) && whole(&logs[0]));
}

#[test]
fn joined_late_trailers_of_grpc_tell_the_role() {
    // `grpc-status: 0`, and a field that is none of gRPC.
    let status = b"\0\x0bgrpc-status\x010";
    for (block, told) in [(&status[..], Some(Role::Server)), (b"\0\x01a\x01b", None)] {
        let parts = [
            (
                false,
                [frame(0, 0, 7, b"x"), frame(8, 0, 0, &[0, 0, 1, 0])].concat(),
            ),
            (false, frame(1, 5, 7, block)),
        ];
        let mut rig = rig(true, None, &parts);
        rig.step(Close(CloseCause::LocalClose));
        let logs = rig.ledger.finish();
        let roles: Vec<_> = logs.iter().map(|log| log.role).collect();
        assert_eq!(roles, told.map(Some).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn trailers_that_cannot_be_read_are_a_hole() {
    for by_client in [true, false] {
        // No field of HPACK.
        let bad = frame(1, 5, 1, &[0x40, 0x7f]);
        let client = [frame(1, 4, 1, POST), frame(0, 0, 1, b"ask")].concat();
        let server = [frame(1, 4, 1, OK_200), frame(0, 0, 1, b"ok")].concat();
        let ends = |bad_one: bool, dir: bool| match bad_one {
            true => (dir, bad.clone()),
            false => (dir, frame(0, 1, 1, &[])),
        };
        let parts = [
            (true, preface()),
            (true, client),
            ends(by_client, true),
            (false, server),
            ends(!by_client, false),
        ];
        let logs = rig(false, None, &parts).ledger.finish();
        let [log] = logs.as_slice() else {
            panic!("{logs:?}")
        };
        assert!(log.holes && log.end.unwrap().partial, "{by_client}");
        assert_eq!((log.request_lost, log.response_lost), (0, 0));
        assert_eq!(log.response_end, Some(MessageEnd::Complete));
    }
}

#[test]
fn a_hole_touches_the_streams_that_it_may_have_held() {
    let mut rig = rig(
        false,
        None,
        &[
            (true, preface()),
            (true, request(1)),
            (true, request(3)),
            (
                false,
                [frame(1, 0x4, 1, OK_200), frame(0, 1, 1, b"ok")].concat(),
            ),
            (false, frame(1, 0x4, 3, OK_200)),
        ],
    );
    rig.step(OutGap(40));
    rig.now += 1;
    rig.feed(Direction::Outbound, &frame(0, 1, 3, b"end"));
    let logs = rig.ledger.finish();
    assert!(whole(&logs[0]));
    assert_eq!(
        (logs[1].response_lost, body(&logs[1]).as_str()),
        (40, "end")
    );
    assert!(logs[1].end.unwrap().partial);
}

#[test]
fn nobody_aborted_what_may_have_ended_in_a_hole_unless_it_went_on() {
    for goes_on in [false, true] {
        let mut rig = two_open(true);
        rig.step(OutGap(40));
        if goes_on {
            rig = rig.more(1, Direction::Outbound, &event(3));
        }
        rig.step(Close(CloseCause::LocalClose));
        let logs = rig.ledger.finish();
        let by = |log: &ExchangeLog| (log.response_end, aborted_by(log));
        let lost = (Some(MessageEnd::Lost), None);
        let cut_off = (Some(MessageEnd::Aborted), Some(AbortedBy::Server));
        assert_eq!(by(&logs[0]), lost);
        assert_eq!(by(&logs[1]), if goes_on { cut_off } else { lost });
    }
}

#[test]
fn a_stream_whose_end_a_hole_took_is_lost_after_a_while() {
    let parts = [
        (true, preface()),
        (true, request(1)),
        (false, frame(1, 0x4, 1, OK_200)),
    ];
    let mut rig = rig(false, None, &parts);
    rig.step(OutGap(40));
    rig.step(Wait(30_000));
    assert!(rig.conn.has_open_exchanges());
    rig.step(Wait(31_000));
    assert!(!rig.conn.has_open_exchanges());
    let logs = rig.ledger.finish();
    assert_eq!(logs[0].response_end, Some(MessageEnd::Lost));
}

#[test]
fn any_hole_keeps_the_rules_of_all_streams() {
    let (client, server) = conversation(3, 20);
    for hole_in_requests in [true, false] {
        let (cut, other) = if hole_in_requests {
            (&client.bytes, &server.bytes)
        } else {
            (&server.bytes, &client.bytes)
        };
        let dir = |inbound| {
            if inbound {
                Direction::Inbound
            } else {
                Direction::Outbound
            }
        };
        assert_gap_safe(
            cut,
            |parts| {
                let mut rig = Rig::new(false, Some(Role::Server));
                if !hole_in_requests {
                    rig.feed(Direction::Inbound, other);
                }
                for part in parts {
                    rig.now += 1;
                    let ts = MonoNs(rig.now * MS);
                    let piece = match *part {
                        Fed::Data(bytes) => Piece::Data { ts, bytes },
                        Fed::Gap(len) => Piece::Gap { ts, len },
                    };
                    rig.conn
                        .handle(dir(hole_in_requests), piece, &mut rig.ledger);
                }
                if hole_in_requests {
                    rig.feed(Direction::Outbound, other);
                }
                rig.step(Wait(100));
                rig.step(Close(CloseCause::LocalClose));
                rig.ledger.finish()
            },
            |logs: &Vec<ExchangeLog>, hole| {
                assert!(logs.len() <= 3, "{hole:?}: {logs:?}");
            },
        );
    }
}

/// A bit of a conversation, by numbers.
fn bit(kind: u8, stream: u32, flags: u8) -> Vec<u8> {
    let stream = 1 + 2 * (stream % 4);
    match kind % 10 {
        0 => preface(),
        1 => frame(1, flags & 5, stream, POST),
        2 => frame(1, flags & 5, stream, OK_200),
        3 => frame(0, flags & 9, stream, &[1, b'x', 0]),
        4 => frame(9, flags & 4, stream, &[0x00, 1, b'a', 1, b'b']),
        5 => frame(3, 0, stream, &[0, 0, 0, 8]),
        6 => frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]),
        // Table updates, references, inserts.
        7 => frame(1, 4, stream, &[0x88, 0x40, 1, b'k', 1, b'v', 0xbe]),
        8 => frame(flags, flags, stream, &[flags; 3]),
        _ => vec![flags; 5],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn any_frames_cuts_and_holes_keep_the_rules(
        late in any::<bool>(),
        role in prop_oneof![Just(None), Just(Some(Role::Server)), Just(Some(Role::Client))],
        ops in prop::collection::vec((0_u8..14, any::<(u8, u32, u8, bool)>()), 0..40),
    ) {
        let mut rig = Rig::new(late, role);
        rig.feed(Direction::Inbound, &preface());
        for (op, (kind, stream, flags, inbound)) in ops {
            rig.now += 1;
            let dir = if inbound { Direction::Inbound } else { Direction::Outbound };
            let bytes = bit(kind, stream, flags);
            match op {
                0 => rig.step(if inbound { InGap(7) } else { OutGap(30) }),
                1 => rig.step(Wait(u64::from(flags) * 300)),
                2 => rig.feed(dir, &bytes[..bytes.len() / 2]),
                3 => rig.step(if inbound { InEof } else { OutEof }),
                _ => rig.feed(dir, &bytes),
            }
        }
        rig.step(Close(CloseCause::PeerReset));
        rig.ledger.finish();
    }
}

fn rst(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, 8])
}

fn event(stream: u32) -> Vec<u8> {
    frame(0, 0, stream, b"data: a\n\n")
}

/// Two streams that were asked for and whose answers have begun.
fn two_open(served: bool) -> Rig {
    let parts = [
        (served, [preface(), request(1), request(3)].concat()),
        (!served, frame(4, 0, 0, &[])),
        (!served, [frame(1, 0x4, 1, OK_200), event(1)].concat()),
        (!served, [frame(1, 0x4, 3, OK_200), event(3)].concat()),
    ];
    rig(false, None, &parts)
}

impl Rig {
    fn more(mut self, wait: u64, dir: Direction, bytes: &[u8]) -> Rig {
        self.now += wait;
        self.feed(dir, bytes);
        self
    }
}

#[test]
fn a_cancelled_stream_ends_with_the_last_that_is_still_written_to_it() {
    for (served, [client, server]) in [
        (true, [Direction::Inbound, Direction::Outbound]),
        (false, [Direction::Outbound, Direction::Inbound]),
    ] {
        let finals: [(&str, Vec<u8>, u64); 4] = [
            ("end of stream", frame(0, 1, 1, b"data: z\n\n"), 1),
            ("the server's reset", rst(1), 0),
            ("silence", Vec::new(), 0),
            ("trailers", frame(1, 0x5, 1, &[]), 0),
        ];
        for (what, last, more) in finals {
            let mut rig = two_open(served)
                .more(1, client, &rst(1))
                .more(10, server, &event(1))
                .more(10, server, &event(1));
            let written = rig.now;
            if !last.is_empty() {
                rig = rig.more(0, server, &last);
            }
            let mut rig = rig.steps(&[Wait(1_001)]);
            rig.step(Close(CloseCause::LocalClose));
            assert_eq!(rig.ledger.times()[0].end, MonoNs(written * MS), "{what}");
            let logs = rig.ledger.finish();
            assert_eq!(aborted_by(&logs[0]), Some(AbortedBy::Client), "{what}");
            assert_eq!(logs[0].response_end, Some(MessageEnd::Aborted), "{what}");
            assert!(logs[0].leaving && !logs[1].leaving, "{what}");
            let events = body(&logs[0]).matches("data:").count() as u64;
            assert_eq!(events, 3 + more, "{what}");
        }
    }
}

#[test]
fn who_resets_a_stream_has_ended_it() {
    for (by_client, who) in [(true, AbortedBy::Client), (false, AbortedBy::Server)] {
        for served in [true, false] {
            let dir = if served == by_client {
                Direction::Inbound
            } else {
                Direction::Outbound
            };
            let mut rig = two_open(served).more(1, dir, &rst(3));
            rig.step(Close(CloseCause::NetError));
            let logs = rig.ledger.finish();
            assert_eq!(aborted_by(&logs[0]), None);
            assert_eq!(aborted_by(&logs[1]), Some(who));
        }
    }
}

#[test]
fn each_way_a_connection_ends_says_who_ended_its_streams() {
    use CloseCause::*;
    let (client, server) = (Some(AbortedBy::Client), Some(AbortedBy::Server));
    let cases: [(bool, &[CloseCause], Option<AbortedBy>); 10] = [
        (true, &[PeerReset], client),
        (true, &[PeerFin, LocalClose], client),
        (true, &[LocalClose], server),
        (true, &[LocalShutWrite, PeerFin], server),
        (true, &[ProcessExit], server),
        (false, &[PeerReset], server),
        (false, &[PeerFin, LocalClose], server),
        (false, &[LocalClose], client),
        (true, &[AgentStop], Some(AbortedBy::Agent)),
        (true, &[NetError], None),
    ];
    for (served, ends, who) in cases {
        let mut rig = two_open(served);
        for end in ends {
            rig.step(Close(*end));
        }
        for log in rig.ledger.finish() {
            assert_eq!(aborted_by(&log), who, "{served} {ends:?}");
        }
    }
}

#[test]
fn a_connection_whose_client_left_is_known_by_the_reset_behind_its_fin() {
    let last = frame(0, 1, 1, b"data: z\n\n");
    for (wait, end, left) in [
        (1, CloseCause::PeerReset, true),
        (1, CloseCause::LocalClose, false),
        (1_001, CloseCause::PeerReset, false),
    ] {
        let mut rig = two_open(true);
        rig.step(Close(CloseCause::PeerFin));
        let mut rig = rig
            .more(10, Direction::Outbound, &last)
            .steps(&[Wait(wait)]);
        rig.step(Close(end));
        let logs = rig.ledger.finish();
        assert_eq!(logs[0].leaving, left, "{end:?}");
        assert_eq!(aborted_by(&logs[0]), left.then_some(AbortedBy::Client));
        assert_eq!(logs[0].response_end, Some(MessageEnd::Complete));
    }
}

#[test]
fn streams_that_nobody_waits_for_make_room_for_others() {
    let mut rig = two_open(true).more(1, Direction::Inbound, &rst(3));
    for n in 2..=crate::limits::MAX_OPEN_STREAMS {
        let stream = u32::try_from(2 * n + 1).unwrap();
        rig.feed(Direction::Inbound, &request(stream));
    }
    let logs = rig.logs();
    assert!(logs[0].end.is_none());
    assert_eq!(aborted_by(&logs[1]), Some(AbortedBy::Client));
}

#[test]
fn a_header_list_behind_the_end_that_cannot_be_read_takes_nothing_from_the_message() {
    // An index that no table has.
    let unreadable = |stream| frame(1, 0x4, stream, &[0xff, 0x7f]);
    let answer = frame(1, 0x5, 1, &[0x88]);
    let request = [preface(), frame(1, 0x5, 1, POST), unreadable(1)].concat();
    let logs = rig(false, None, &[(true, request), (false, answer.clone())])
        .ledger
        .finish();
    assert_eq!(logs[0].end.as_ref().map(|end| end.partial), Some(false));
    // Before the end it is a hole.
    let request = [
        preface(),
        frame(1, 0x4, 1, POST),
        unreadable(1),
        frame(0, 1, 1, b""),
    ]
    .concat();
    let logs = rig(false, None, &[(true, request), (false, answer)])
        .ledger
        .finish();
    assert_eq!(logs[0].end.as_ref().map(|end| end.partial), Some(true));
}
