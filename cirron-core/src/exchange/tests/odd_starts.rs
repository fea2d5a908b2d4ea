//! Connections whose first bytes are no request of the usual kind.

use super::*;
use crate::limits::MAX_DOUBTFUL_BYTES;

const BAD: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

#[test]
fn any_method_makes_a_request() {
    for method in ["get", "Get", "M_ETHOD", "x-y.z"] {
        let first = format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n");
        for cut in 0..first.len() {
            let (a, b) = first.split_at(cut);
            let logs = served(&[In(a), In(b), Out(OK), In(GET_B), Out(NONE)]);
            assert!(logs.len() == 2 && logs.iter().all(whole), "{method} {cut}");
            let head = logs[0].request.as_ref();
            assert_eq!(head.map(|h| h.method.as_str()), Some(method));
        }
    }
}

#[test]
fn what_cannot_be_read_and_is_answered_was_a_request_and_the_next_ones_are_read() {
    for line in [
        "GET\r\n\r\n",
        "\u{1}\u{2} / HTTP/1.1\r\n\r\n",
        "{\"a\":1}\r\n\r\n",
    ] {
        let logs = served(&[In(line), Out(BAD), In(GET), Out(OK), In(GET_B), Out(NONE)]);
        assert_eq!(logs.len(), 3, "{line:?} {logs:#?}");
        assert!(logs[0].request.is_none() && logs[0].end.is_some_and(|e| e.partial));
        assert_eq!(status(&logs[0]), 400);
        assert!(logs[1..].iter().all(whole), "{line:?}");
    }
}

/// Exchanges of these steps, and what was passed over before them.
fn passed_over(steps: &[Step<'_>]) -> (Vec<ExchangeLog>, u64) {
    let rig = Rig::new(false, None).steps(steps);
    let passed = rig.conn.passed_over();
    (rig.logs(), passed)
}

#[test]
fn a_proxys_header_before_the_first_request_is_passed_over() {
    let v1 = "PROXY TCP4 10.0.0.1 10.0.0.2 40000 80\r\n";
    let v2 = "\r\n\r\n\0\r\nQUIT\n!\u{11}\0\u{c}0123456789ab";
    for header in [v1, v2, "PROXY UNKNOWN\r\n"] {
        let all = format!("{header}{GET}");
        for cut in 0..all.len() {
            let (a, b) = all.split_at(cut);
            let (logs, passed) = passed_over(&[In(a), In(b), Out(OK), In(GET_B), Out(NONE)]);
            assert!(logs.len() == 2 && logs.iter().all(whole), "{cut} {logs:#?}");
            assert_eq!(passed, header.len() as u64, "{cut}");
        }
    }
}

#[test]
fn junk_before_the_first_request_is_passed_over() {
    let junk = "\0junk\r\n";
    let together = format!("{junk}{GET}");
    for steps in [&[In(junk), In(GET), Out(OK)][..], &[In(&together), Out(OK)]] {
        let (logs, passed) = passed_over(steps);
        assert!(logs.len() == 1 && whole(&logs[0]), "{logs:#?}");
        assert_eq!(passed, junk.len() as u64);
    }
}

#[test]
fn past_the_limit_one_side_alone_is_opaque() {
    let rig = |len: usize| {
        let junk = "\0".repeat(len);
        Rig::new(false, None).steps(&[In(&junk)]).conn.protocol()
    };
    assert_eq!(rig(MAX_DOUBTFUL_BYTES), Protocol::Unknown);
    assert_eq!(rig(MAX_DOUBTFUL_BYTES + 1), Protocol::Opaque);
}
