//! Conversations as real servers write them, cut everywhere.

use super::*;

/// Steps whose bytes are cut: all of one direction's step at once, each in its turn.
fn assert_any_cut(steps: &[(Direction, &str)], late: bool) -> Vec<ExchangeLog> {
    let run = |cut: usize, parts: &[Fed<'_>]| {
        let mut rig = Rig::new(late, None);
        for (i, (dir, text)) in steps.iter().enumerate() {
            rig.now += 1;
            if i != cut {
                rig.feed(*dir, text.as_bytes());
                continue;
            }
            for part in parts {
                if let Fed::Data(bytes) = part {
                    rig.feed(*dir, bytes);
                }
            }
        }
        rig.step(Close(CloseCause::LocalClose));
        rig.ledger.finish()
    };
    let mut result = Vec::new();
    for (i, (_, text)) in steps.iter().enumerate() {
        let got = assert_split_invariant(text.as_bytes(), |parts| run(i, parts));
        assert!(i == 0 || got == result);
        result = got;
    }
    // And all of it byte by byte.
    let mut rig = Rig::new(late, None);
    for (dir, text) in steps {
        rig.now += 1;
        for byte in text.as_bytes().chunks(1) {
            rig.feed(*dir, byte);
        }
    }
    rig.step(Close(CloseCause::LocalClose));
    assert_eq!(rig.ledger.finish(), result);
    result
}

const POST: &str = "POST /v1/chat/completions?key=secret HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\
    Content-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"model\":\"m\",\"stream\":true}";
const E1: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[test]
fn curl_to_uvicorn_one_write_for_the_head_and_one_for_each_chunk() {
    let (e1, done) = (chunk(E1), chunk("data: [DONE]\n\n"));
    let steps = [
        (Direction::Inbound, POST),
        (Direction::Outbound, STREAM),
        (Direction::Outbound, e1.as_str()),
        (Direction::Outbound, e1.as_str()),
        (Direction::Outbound, done.as_str()),
        (Direction::Outbound, "0\r\n\r\n"),
        (Direction::Inbound, GET),
        (Direction::Outbound, OK),
    ];
    let logs = assert_any_cut(&steps, false);
    assert_eq!(logs.len(), 2);
    assert!(logs.iter().all(whole));
    assert_eq!(path(&logs[0]), "/v1/chat/completions");
    assert!(logs[0].request.as_ref().is_some_and(|r| r.has_query));
    assert!(!format!("{logs:?}").contains("secret"));
    assert_eq!(logs[0].request_body.len(), 27);
    assert_eq!(body(&logs[0]), format!("{E1}{E1}data: [DONE]\n\n"));
    assert_eq!(logs[0].role, Some(Role::Server));
    assert_eq!(body(&logs[1]), "ok");
}

#[test]
fn node_and_go_put_the_first_chunk_behind_the_head_in_one_write() {
    let first = format!("{STREAM}{}", chunk(E1));
    let last = format!("{}0\r\n\r\n", chunk(E1));
    let steps = [
        (Direction::Inbound, POST),
        (Direction::Outbound, first.as_str()),
        (Direction::Outbound, last.as_str()),
    ];
    let logs = assert_any_cut(&steps, false);
    assert!(whole(&logs[0]));
    assert_eq!(body(&logs[0]), format!("{E1}{E1}"));
}

#[test]
fn flask_writes_size_line_end_and_data_apart() {
    let size = format!("{:x}", E1.len());
    let steps = [
        (Direction::Inbound, POST),
        (Direction::Outbound, STREAM),
        (Direction::Outbound, size.as_str()),
        (Direction::Outbound, "\r\n"),
        (Direction::Outbound, E1),
        (Direction::Outbound, "\r\n"),
        (Direction::Outbound, "0\r\n\r\n"),
    ];
    let logs = assert_any_cut(&steps, false);
    assert!(whole(&logs[0]));
    assert_eq!(body(&logs[0]), E1);
}

#[test]
fn http_1_0_ends_with_the_connection() {
    let steps = [
        (Direction::Inbound, "GET /a HTTP/1.0\r\n\r\n"),
        (
            Direction::Outbound,
            "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        ),
        (Direction::Outbound, E1),
    ];
    let logs = assert_any_cut(&steps, false);
    assert!(whole(&logs[0]), "{logs:?}");
    assert_eq!(body(&logs[0]), E1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let two = format!("{GET}HEAD /h HTTP/1.1\r\n\r\n{GET_B}");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n";
    let answers = format!("{OK}{head}{NONE}");
    let steps = [
        (Direction::Inbound, two.as_str()),
        (Direction::Outbound, answers.as_str()),
    ];
    let logs = assert_any_cut(&steps, false);
    assert_eq!(
        logs.iter().map(path).collect::<Vec<_>>(),
        ["/a", "/h", "/b"]
    );
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 200, 204]);
    assert!(logs.iter().all(whole));
}

#[test]
fn chunked_requests_trailers_and_interim_responses() {
    let post = "PUT /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    let answer = format!("{CHUNKED}2;x=y\r\nok\r\n0\r\nServer-Timing: t\r\n\r\n");
    let steps = [
        (Direction::Outbound, post),
        (Direction::Inbound, "HTTP/1.1 100 Continue\r\n\r\n"),
        (Direction::Outbound, "3\r\nabc\r\n0\r\n\r\n"),
        (Direction::Inbound, answer.as_str()),
        (Direction::Outbound, GET),
        (Direction::Inbound, OK),
    ];
    let logs = assert_any_cut(&steps, false);
    assert_eq!(logs.len(), 2);
    assert!(logs.iter().all(whole));
    assert_eq!(logs[0].role, Some(Role::Client));
    assert_eq!(logs[0].informational, [100]);
    assert_eq!(logs[0].request_body, b"abc");
    assert!(
        logs[0]
            .trailers
            .as_ref()
            .is_some_and(|t| t.get_str("server-timing") == Some("t"))
    );
}

#[test]
fn joined_at_a_boundary_nothing_is_missed() {
    let steps = [
        (Direction::Inbound, POST),
        (Direction::Outbound, OK),
        (Direction::Inbound, GET),
        (Direction::Outbound, NONE),
    ];
    let mut rig = Rig::new(true, None);
    for (dir, text) in steps {
        rig.now += 1;
        rig.feed(dir, text.as_bytes());
    }
    let logs = rig.logs();
    assert_eq!(logs.iter().map(status).collect::<Vec<_>>(), [200, 204]);
    assert!(logs.iter().all(whole));
}
