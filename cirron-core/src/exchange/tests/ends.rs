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

const EVENT: &str = "9\r\ndata: a\n\n\r\n";
const LAST: &str = "0\r\n\r\n";

/// A stream whose client's FIN comes behind its head; `rest` follows.
fn behind_a_fin(rest: &[Step<'_>]) -> Rig {
    let start = [In(GET), Out(STREAM), Out(EVENT), Close(PeerFin), Wait(10)];
    Rig::new(false, None).steps(&start).steps(rest)
}

/// The exchange of a connection that has ended: who aborted it, and whether its client had left.
fn of_it(rig: Rig) -> (Option<AbortedBy>, bool) {
    let logs = rig.ledger.finish();
    assert_eq!(logs.len(), 1);
    (aborted_by(&logs[0]), logs[0].leaving)
}

#[test]
fn a_fin_whose_answer_is_answered_by_a_reset_was_the_client_leaving() {
    let left = (Some(AbortedBy::Client), true);
    let rests: [&[Step<'_>]; 4] = [
        &[Out(EVENT), Close(PeerReset)],
        &[Out(EVENT), Out(EVENT), Wait(300), Close(PeerReset)],
        // All of it was written before the reset came.
        &[Out(EVENT), Out(LAST), Wait(300), Close(PeerReset)],
        // The server gives up by itself.
        &[Out(EVENT), Close(LocalClose)],
    ];
    for rest in rests {
        assert_eq!(of_it(behind_a_fin(rest)), left, "{rest:?}");
    }
}

#[test]
fn a_client_that_has_shut_its_sending_side_has_not_left() {
    let rests: [&[Step<'_>]; 4] = [
        &[Out(EVENT), Out(LAST), Close(LocalClose)],
        &[Out(EVENT), Out(LAST), Close(LocalShutWrite)],
        // No reset came in all that time.
        &[Out(EVENT), Out(LAST), Wait(2_000), Close(PeerReset)],
        &[Out(EVENT), Wait(2_000), Out(EVENT), Out(LAST)],
    ];
    for rest in rests {
        let mut rig = behind_a_fin(rest);
        rig.step(Close(LocalClose));
        let log = rig.ledger.finish().remove(0);
        assert!(whole(&log) && !log.leaving, "{rest:?} {log:?}");
    }
}

#[test]
fn who_reads_on_behind_its_fin_did_not_end_what_ends_later() {
    let reads_on = [Out(EVENT), Wait(2_000), Out(EVENT)];
    for (end, who) in [
        (LocalClose, AbortedBy::Server),
        (ProcessExit, AbortedBy::Server),
        (PeerReset, AbortedBy::Client),
        (AgentStop, AbortedBy::Agent),
    ] {
        // That a read returns 0 is no news.
        let mut rig = behind_a_fin(&reads_on).steps(&[InEof]);
        rig.step(Close(end));
        assert_eq!(of_it(rig), (Some(who), false), "{end:?}");
    }
}

#[test]
fn an_exchange_is_over_when_no_reset_can_come_any_more_and_ends_when_it_did() {
    let rig = behind_a_fin(&[Out(EVENT), Out(LAST)]);
    assert!(rig.conn.has_open_exchanges());
    let at = rig.conn.poll_timeout().map(|at| at.0 / MS);
    let ended = rig.now;
    assert_eq!(at, Some(ended - 1 + 1_000));
    let rig = rig.steps(&[Wait(999)]);
    assert!(!rig.conn.has_open_exchanges());
    assert_eq!(rig.ledger.times()[0].end, MonoNs(ended * MS));
}

#[test]
fn what_is_stamped_right_behind_the_fin_was_begun_before_it() {
    let steps = [In(GET), Out(STREAM), Close(PeerFin), Out(EVENT), Out(LAST)];
    let mut rig = Rig::new(false, None).steps(&steps);
    assert!(!rig.conn.has_open_exchanges());
    rig.step(Close(PeerReset));
    let log = rig.ledger.finish().remove(0);
    assert!(whole(&log), "{log:?}");
}
