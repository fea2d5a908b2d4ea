//! Who ended what.

use super::*;
use CloseCause::{
    AgentStop, LocalClose, LocalShutWrite, NetError, PeerFin, PeerReset, ProcessExit,
};

const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
const UNTIL_CLOSE: &str = "HTTP/1.0 200 OK\r\n\r\nall";

/// Ends an exchange by `ends`; the target is `role`.
fn ended(role: Role, response: &str, ends: &[Step<'_>]) -> ExchangeLog {
    let mut rig = Rig::new(false, None);
    let (request, response) = match role {
        Role::Server => (In(GET), Out(response)),
        Role::Client => (Out(GET), In(response)),
    };
    rig.step(request);
    rig.step(response);
    for end in ends {
        rig.step(*end);
    }
    let mut logs = rig.ledger.finish();
    assert_eq!(logs.len(), 1);
    logs.remove(0)
}

#[test]
fn an_unfinished_response_is_aborted_by_who_ended_first() {
    let (server, client, agent) = (
        Some(AbortedBy::Server),
        Some(AbortedBy::Client),
        Some(AbortedBy::Agent),
    );
    let cases: [(Role, &[Step<'_>], Option<AbortedBy>); 14] = [
        (Role::Server, &[Close(LocalClose)], server),
        (Role::Server, &[Close(ProcessExit)], server),
        (Role::Server, &[Close(LocalShutWrite)], server),
        (Role::Server, &[Close(PeerReset)], client),
        (Role::Server, &[InEof, Close(LocalClose)], client),
        (Role::Server, &[Close(PeerFin), Close(LocalClose)], client),
        (Role::Server, &[Close(NetError)], None),
        (Role::Server, &[Close(AgentStop)], agent),
        (Role::Client, &[Close(LocalClose)], client),
        (Role::Client, &[Close(ProcessExit)], client),
        (Role::Client, &[Close(PeerReset)], server),
        (Role::Client, &[InEof], server),
        (Role::Client, &[Close(PeerFin), Close(LocalClose)], server),
        (Role::Client, &[Close(AgentStop)], agent),
    ];
    for (role, ends, who) in cases {
        let log = ended(role, HALF, ends);
        assert_eq!(
            log.response_end,
            Some(MessageEnd::Aborted),
            "{role:?} {ends:?}"
        );
        assert_eq!(
            log.end.map(|e| (e.aborted_by, e.partial)),
            Some((who, true)),
            "{role:?} {ends:?}"
        );
    }
}

#[test]
fn a_close_delimited_response_is_complete_when_its_sender_closed() {
    let cases: [(Role, &[Step<'_>], bool); 12] = [
        (Role::Server, &[Close(LocalClose)], true),
        (Role::Server, &[Close(LocalShutWrite)], true),
        (Role::Server, &[OutEof], true),
        (Role::Server, &[InEof, Close(LocalClose)], false),
        (Role::Server, &[Close(PeerReset)], false),
        (Role::Server, &[Close(ProcessExit)], false),
        (Role::Server, &[Close(AgentStop)], false),
        (Role::Client, &[InEof], true),
        (Role::Client, &[Close(PeerFin), Close(LocalClose)], true),
        (Role::Client, &[Close(LocalClose)], false),
        (Role::Client, &[Close(PeerReset)], false),
        (Role::Client, &[Close(NetError)], false),
    ];
    for (role, ends, complete) in cases {
        let log = ended(role, UNTIL_CLOSE, ends);
        assert_eq!(whole(&log), complete, "{role:?} {ends:?} {log:?}");
    }
}

#[test]
fn a_client_that_shuts_its_side_behind_the_request_still_gets_its_answer() {
    let mut rig = Rig::new(false, None).steps(&[
        In("GET / HTTP/1.0\r\n\r\n"),
        InEof,
        Out(UNTIL_CLOSE),
        Close(LocalClose),
    ]);
    rig.step(Close(LocalClose));
    let logs = rig.ledger.finish();
    assert!(whole(&logs[0]), "{logs:?}");
}

#[test]
fn a_request_without_answer_is_aborted() {
    let logs = served(&[In(GET), Out(OK), In(GET_B), InEof]);
    assert!(whole(&logs[0]));
    assert_eq!(logs[1].response_end, None);
    assert_eq!(aborted_by(&logs[1]), Some(AbortedBy::Client));
    let logs = served(&[In(GET)]);
    assert_eq!(aborted_by(&logs[0]), Some(AbortedBy::Server));
    let logs = served(&[In("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"), InEof]);
    assert_eq!(logs[0].request_end, Some(MessageEnd::Aborted));
    assert_eq!(aborted_by(&logs[0]), Some(AbortedBy::Client));
}

#[test]
fn an_early_answer_to_an_unfinished_request_is_partial_and_nobody_aborted_it() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab";
    let logs = served(&[In(post), Out(OK)]);
    assert_eq!(logs[0].request_end, Some(MessageEnd::Aborted));
    assert_eq!(logs[0].response_end, Some(MessageEnd::Complete));
    assert_eq!(
        logs[0].end.map(|e| (e.aborted_by, e.partial)),
        Some((None, true))
    );
    let logs = served(&[In(post), Out(OK), In("cde"), In(GET_B), Out(NONE)]);
    assert!(logs.iter().all(whole), "answered early, then sent in full");
}

#[test]
fn a_half_head_at_the_end_is_an_aborted_response() {
    let log = ended(
        Role::Server,
        "HTTP/1.1 200 OK\r\nContent-",
        &[Close(ProcessExit)],
    );
    assert_eq!(log.response_end, Some(MessageEnd::Aborted));
    assert!(log.response_started && log.response.is_none());
    assert_eq!(aborted_by(&log), Some(AbortedBy::Server));
}

#[test]
fn an_idle_connection_ends_without_events() {
    for cause in [LocalClose, PeerReset, NetError, ProcessExit, AgentStop] {
        let rig = Rig::new(false, None).steps(&[In(GET), Out(OK), InEof, Close(cause)]);
        assert!(!rig.conn.has_open_exchanges());
        assert!(rig.ledger.finish().iter().all(whole));
    }
}
