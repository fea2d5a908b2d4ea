//! Holes in either direction.

use super::*;

#[test]
fn a_lost_request_keeps_its_place() {
    // The whole record of the request was dropped.
    let logs = served(&[In(GET), Out(OK), InGap(80), Out(OK), In(GET_B), Out(NONE)]);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 200, 204]);
    assert_eq!(logs[1].request_end, Some(MessageEnd::Lost));
    assert_eq!((logs[1].request_lost, logs[1].late), (80, false));
    assert!(whole(&logs[0]) && whole(&logs[2]));
    // Twice in a row.
    let logs = served(&[
        In(GET),
        Out(OK),
        InGap(9),
        Out(OK),
        InGap(9),
        Out(NONE),
        In(GET_B),
        Out(OK),
    ]);
    assert_eq!(
        logs.iter().map(status).collect::<Vec<_>>(),
        [200, 200, 204, 200]
    );
    assert_eq!(path(&logs[3]), "/b");
    // The first of a connection.
    let logs = served(&[InGap(80), Out(OK), In(GET_B), Out(NONE)]);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 204]);
    assert_eq!(logs[0].request_lost, 80);
    assert!(whole(&logs[1]));
}

#[test]
fn a_head_with_a_hole_is_lost_with_its_body() {
    let logs = served(&[
        In("POST /x HTTP/1.1\r\nCont"),
        InGap(20),
        In("5\r\n\r\nhello"),
        Out(OK),
        In(GET_B),
        Out(NONE),
    ]);
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 204]);
    assert_eq!((path(&logs[0]), path(&logs[1])), ("", "/b"));
    assert!(whole(&logs[1]));
}

#[test]
fn a_lost_response_ends_with_the_next_request() {
    let rig = Rig::new(false, None).steps(&[In(GET), OutGap(120), In(GET_B)]);
    let logs = rig.logs();
    assert_eq!(logs[0].response_end, Some(MessageEnd::Lost));
    assert_eq!(
        (logs[0].response_lost, logs[0].response_started),
        (120, false)
    );
    assert_eq!(
        logs[0].end.map(|e| (e.partial, e.aborted_by)),
        Some((true, None))
    );
    let rig = rig.steps(&[Out(OK)]);
    assert!(whole(&rig.logs()[1]));
}

#[test]
fn the_stream_behind_a_lost_response_head_still_counts() {
    let steps = [
        In(GET),
        OutGap(200),
        Out("8\r\ndata: a\n\r\n"),
        Out("8\r\ndata: b\n\r\n"),
        Out("0\r\n\r\n"),
        In(GET_B),
        Out(OK),
    ];
    let logs = served(&steps);
    assert_eq!(body(&logs[0]), "data: a\ndata: b\n");
    assert_eq!(logs[0].response_end, Some(MessageEnd::Complete));
    assert!(logs[0].end.is_some_and(|e| e.partial));
    assert!(whole(&logs[1]));
}

#[test]
fn a_lost_chunk_of_a_stream_costs_only_itself() {
    let steps = [
        In(GET),
        Out(STREAM),
        Out("8\r\ndata: a\n\r\n"),
        OutGap(13),
        Out("8\r\ndata: c\n\r\n"),
        Out("0\r\n\r\n"),
        In(GET_B),
        Out(OK),
    ];
    let logs = served(&steps);
    assert_eq!(body(&logs[0]), "data: a\ndata: c\n");
    assert_eq!(
        (logs[0].response_lost, logs[0].response_end),
        (13, Some(MessageEnd::Complete))
    );
    assert!(whole(&logs[1]));
}

#[test]
fn a_lost_end_of_a_stream_is_told_by_the_next_request() {
    let logs = served(&[
        In(GET),
        Out(STREAM),
        Out("2\r\nab\r\n"),
        OutGap(5),
        In(GET_B),
        Out(OK),
    ]);
    assert_eq!(logs[0].response_end, Some(MessageEnd::Lost));
    assert!(whole(&logs[1]));
}

#[test]
fn a_bridged_body_ends_by_its_length() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n";
    let logs = served(&[
        In(post),
        InGap(99_999),
        In("}"),
        Out(OK),
        In(GET_B),
        Out(NONE),
    ]);
    assert_eq!(logs[0].request_end, Some(MessageEnd::Complete));
    assert_eq!(logs[0].request_lost, 99_999);
    assert!(logs[0].end.is_some_and(|e| e.partial));
    assert!(whole(&logs[1]));
}

#[test]
fn one_hole_anywhere_spoils_no_later_exchange() {
    let chunked = format!("{CHUNKED}5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n");
    let post = "POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789";
    let conversation = [
        (post, chunked.as_str()),
        (GET, OK),
        (post, OK),
        (GET_B, chunked.as_str()),
    ];
    for (which, response) in (0..conversation.len()).flat_map(|i| [(i, false), (i, true)]) {
        let text = match response {
            true => conversation[which].1,
            false => conversation[which].0,
        };
        let run = |parts: &[Fed<'_>]| {
            let mut rig = Rig::new(false, None);
            for (i, (ask, answer)) in conversation.iter().enumerate() {
                for (dir, text, is_response) in [
                    (Direction::Inbound, ask, false),
                    (Direction::Outbound, answer, true),
                ] {
                    rig.now += 1;
                    if (i, is_response) != (which, response) {
                        rig.feed(dir, text.as_bytes());
                        continue;
                    }
                    for part in parts {
                        let ts = MonoNs(rig.now * MS);
                        let piece = match *part {
                            Fed::Data(bytes) => Piece::Data { ts, bytes },
                            Fed::Gap(len) => Piece::Gap { ts, len },
                        };
                        rig.conn.handle(dir, piece, &mut rig.ledger);
                    }
                }
            }
            rig.step(Close(CloseCause::LocalClose));
            rig.ledger.finish()
        };
        assert_gap_safe(text.as_bytes(), run, |logs, hole| {
            // A hole in a hole-free place may cost its own exchange, never another.
            assert!(
                logs.len() >= conversation.len() - 1,
                "{which} {response} {hole:?} {logs:#?}"
            );
            let fine = logs.iter().filter(|l| whole(l)).count();
            assert!(
                fine >= conversation.len() - 1,
                "{which} {response} {hole:?} {logs:#?}"
            );
            assert!(
                logs.len() == conversation.len(),
                "{which} {response} {hole:?} {logs:#?}"
            );
        });
    }
}

#[test]
fn the_cut_tail_of_a_large_chunk_is_counted_exactly() {
    let steps = [
        In(GET),
        Out(CHUNKED),
        Out("10000\r\nabc"),
        OutGap(65_533 + 2),
        Out("2\r\nok\r\n0\r\n\r\n"),
    ];
    let logs = served(&steps);
    assert_eq!(
        (body(&logs[0]), logs[0].response_lost),
        ("abcok".to_owned(), 65_533)
    );
    assert_eq!(logs[0].response_end, Some(MessageEnd::Complete));
}
