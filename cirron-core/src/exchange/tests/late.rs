//! Joining in the middle.

use super::*;

fn joined(role: Option<Role>, steps: &[Step<'_>]) -> Vec<ExchangeLog> {
    Rig::new(true, role).steps(steps).logs()
}

#[test]
fn a_stream_under_way_is_counted_from_where_we_joined() {
    let steps = [
        Out("8\r\ndata: b\n\r\n"),
        Out("8\r\ndata: c\n\r\n"),
        Out("0\r\n\r\n"),
        In(GET),
        Out(OK),
    ];
    for role in [Some(Role::Server), None] {
        let logs = joined(role, &steps);
        assert_eq!(logs.len(), 2, "{role:?}");
        assert!(logs[0].late && logs[0].response.is_none() && logs[0].response_started);
        assert_eq!(logs[0].role, Some(Role::Server));
        assert_eq!(body(&logs[0]), "data: b\ndata: c\n");
        assert_eq!(logs[0].response_end, Some(MessageEnd::Complete));
        assert!(
            logs[0]
                .end
                .is_some_and(|e| e.partial && e.aborted_by.is_none())
        );
        assert!(whole(&logs[1]));
    }
}

#[test]
fn joined_inside_a_chunk_it_begins_with_the_next_one() {
    let steps = [
        Out("\"tent\":\"x\"}\n\n\r\n"),
        Out("8\r\ndata: c\n\r\n"),
        Out("8\r\ndata: d\n\r\n"),
        Out("0\r\n\r\n"),
    ];
    let logs = joined(Some(Role::Server), &steps);
    assert_eq!(logs.len(), 1);
    assert_eq!(body(&logs[0]), "data: c\ndata: d\n");
}

#[test]
fn each_part_in_a_write_of_its_own() {
    let steps = [
        Out("\r\n"),
        Out("8"),
        Out("\r\n"),
        Out("data: c\n"),
        Out("\r\n"),
        Out("8"),
        Out("\r\n"),
        Out("data: d\n"),
        Out("\r\n"),
        Out("0\r\n\r\n"),
        In(GET),
        Out(OK),
    ];
    for skip in 0..5 {
        let logs = joined(Some(Role::Server), &steps[skip..]);
        assert_eq!(logs.len(), 2, "{skip} {logs:#?}");
        assert!(body(&logs[0]).contains("data: d\n"), "{skip} {logs:#?}");
        assert!(whole(&logs[1]), "{skip}");
    }
}

#[test]
fn an_unframed_stream_is_counted_until_the_end() {
    let mut rig =
        Rig::new(true, Some(Role::Server)).steps(&[Out("data: a\n\n"), Out("data: b\n\n")]);
    rig.step(Close(CloseCause::LocalClose));
    let logs = rig.ledger.finish();
    assert_eq!(body(&logs[0]), "data: a\n\ndata: b\n\n");
    assert!(logs[0].late && logs[0].end.is_some_and(|e| e.partial));
}

#[test]
fn a_response_whose_request_was_before_us_is_late_with_its_head() {
    let rig = Rig::new(true, Some(Role::Server)).steps(&[
        Out(STREAM),
        Wait(30),
        Out("2\r\nab\r\n0\r\n\r\n"),
        In(GET),
        Out(OK),
    ]);
    let logs = rig.logs();
    assert!(logs[0].late);
    assert_eq!((status(&logs[0]), body(&logs[0])), (200, "ab".to_owned()));
    assert!(whole(&logs[1]));
}

#[test]
fn joined_inside_a_plain_body_it_begins_with_the_next_request() {
    let steps = [
        Out("rest of some html\r\n</html>"),
        In("rest of an upload"),
        In(GET),
        Out(OK),
        In(GET_B),
        Out(NONE),
    ];
    for role in [Some(Role::Server), Some(Role::Client), None] {
        let logs = joined(role, &steps);
        assert_eq!(logs.len(), 2, "{role:?}");
        assert!(logs.iter().all(whole));
    }
}

#[test]
fn joined_at_any_byte_later_exchanges_are_whole() {
    let answer = format!("{STREAM}8\r\ndata: a\n\r\n8\r\ndata: b\n\r\n0\r\n\r\n");
    for cut in 0..answer.len() {
        let steps = [
            Out(&answer[cut..]),
            Wait(30),
            In(GET),
            Out(OK),
            In(GET_B),
            Out(NONE),
        ];
        let logs = joined(Some(Role::Server), &steps);
        let fine: Vec<_> = logs.iter().filter(|l| whole(l)).map(path).collect();
        assert_eq!(fine, ["/a", "/b"], "{cut} {logs:#?}");
        assert!(logs.iter().all(|l| l.late || whole(l)));
    }
}

#[test]
fn a_chunked_upload_is_not_taken_for_a_response() {
    let logs = joined(
        Some(Role::Server),
        &[In("8\r\ndata: a\n\r\n"), In("0\r\n\r\n"), In(GET), Out(OK)],
    );
    assert_eq!(logs.len(), 1);
    assert!(whole(&logs[0]));
}

#[test]
fn what_never_makes_sense_becomes_opaque() {
    let mut rig = Rig::new(true, None);
    let noise = vec![0x80; 1 << 20];
    for _ in 0..=4 {
        assert_eq!(rig.conn.protocol(), Protocol::Unknown);
        rig.feed(Direction::Inbound, &noise);
    }
    assert_eq!(rig.conn.protocol(), Protocol::Opaque);
    let rig = Rig::new(true, None).steps(&[In("\u{17}\u{3}\u{3}\u{0}\u{10}abc")]);
    assert_eq!(rig.conn.protocol(), Protocol::Tls);
}

#[test]
fn a_stream_that_the_target_uploads_is_told_from_a_response_by_what_follows() {
    // Without a role, an upload that looks like an event stream is taken for a response at first.
    let logs = joined(None, &[In("data: a\n\n"), Out(OK), In(GET), Out(NONE)]);
    let told: Vec<_> = logs.iter().map(|l| (l.role, l.late, status(l))).collect();
    let (client, server) = (Some(Role::Client), Some(Role::Server));
    assert_eq!(
        told,
        [(client, true, 0), (server, true, 200), (server, false, 204)]
    );
    assert_eq!(logs[0].response_end, Some(MessageEnd::Lost));
}

#[test]
fn lines_and_arrays_under_way_are_joined_without_knowing_who_answers() {
    for (first, second) in [
        ("{\"a\":1}\n", "{\"b\":2}\n"),
        ("{\n \"a\":1\n}\n,\r\n", "{\n \"b\":2\n}\n]\n"),
        (",{\"a\":1}\n", ",{\"b\":2}\n"),
    ] {
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let (a, b) = (chunk(first), chunk(second));
        let steps = [Out(&a), Out(&b), Out("0\r\n\r\n"), In(GET), Out(OK)];
        for role in [Some(Role::Server), None] {
            let logs = joined(role, &steps);
            assert_eq!(logs.len(), 2, "{first:?} {role:?}");
            assert!(logs[0].late && logs[0].role == Some(Role::Server));
            assert_eq!(body(&logs[0]), format!("{first}{second}"));
            assert!(whole(&logs[1]));
        }
    }
}

#[test]
fn a_chunked_upload_of_one_document_is_not_taken_for_a_response() {
    for upload in ["a\r\n{\"a\": 123}\r\n", "b\r\n{\"a\": 12345\r\n"] {
        let logs = joined(
            None,
            &[Out(upload), Out("0\r\n\r\n"), In(OK), Out(GET), In(NONE)],
        );
        assert!(
            logs.iter().all(|l| l.role == Some(Role::Client)),
            "{logs:?}"
        );
    }
}
