//! Calls of processes that were forked while a request was served.

use super::*;
use crate::record::{Head, Record, encode};

const CHILD: u32 = 900;

fn process(rig: &mut Rig, tgid: u32, tid: u32, body: Body<'_>) {
    rig.now += MS;
    let head = Head {
        ts: MonoNs(rig.now),
        tgid,
        tid,
        ..Head::default()
    };
    rig.engine.handle_record(&encode(&Record { head, body }));
}

fn forks(rig: &mut Rig, (tgid, tid): (u32, u32), child: u32) {
    let body = Body::Fork {
        child: child.into(),
    };
    process(rig, tgid, tid, body);
}

/// On a connection of its own.
fn child_calls(rig: &mut Rig, pid: u32) {
    let conn = ConnRecords::socket(u64::from(pid));
    let its = |record: &[u8]| {
        edited(record, |record| {
            (record.head.tid, record.head.tgid) = (pid, pid);
            if let Body::Open(info) = &mut record.body {
                info.role = role::CONNECTED;
            }
        })
    };
    let get = b"GET /called HTTP/1.1\r\nHost: x\r\n\r\n";
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    rig.now += MS;
    rig.engine.handle_record(&its(&conn.open(rig.now)));
    for (dir, bytes) in [(Direction::Outbound, &get[..]), (Direction::Inbound, ok)] {
        rig.now += MS;
        let record = conn.data(dir, 0, rig.now, bytes, bytes.len() as u64);
        rig.engine.handle_record(&its(&record));
    }
}

fn the_call(written: &[(Span, Vec<Mark>)]) -> &Span {
    let mut calls = written.iter().filter(|(s, _)| s.name == "http.client");
    let (call, _) = calls.next().unwrap();
    assert!(calls.next().is_none());
    call
}

fn request(written: &[(Span, Vec<Mark>)]) -> Id {
    let is_request = |(s, _): &&(Span, Vec<Mark>)| s.name == "request";
    written.iter().find(is_request).unwrap().0.id
}

#[test]
fn what_a_child_calls_that_is_gone_by_its_end_is_part_of_the_request() {
    let mut rig = Rig::new();
    rig.asked(WORKER);
    // A shell, and what it runs.
    forks(&mut rig, (TGID, WORKER), CHILD);
    process(&mut rig, CHILD, CHILD, Body::Exec);
    forks(&mut rig, (CHILD, CHILD), CHILD + 1);
    process(&mut rig, CHILD + 1, CHILD + 1, Body::Exec);
    child_calls(&mut rig, CHILD + 1);
    process(&mut rig, CHILD + 1, CHILD + 1, Body::Exit);
    process(&mut rig, CHILD, CHILD, Body::Exit);
    assert_eq!(rig.written().len(), 0);
    rig.answers(WORKER);
    let written = rig.written();
    let call = the_call(&written);
    assert_eq!(call.parent_id, Some(request(&written)));
    assert_eq!(call.attrs["cirron.parent.by"], AttrValue::from("fork"));
    assert_eq!(call.pid, CHILD + 1);
    rig.stop();
}

#[test]
fn what_a_child_calls_that_lives_on_is_part_of_no_request() {
    type Step = fn(&mut Rig);
    let cases: [(&str, Step); 5] = [
        ("child_outlives", |rig| {
            forks(rig, (TGID, WORKER), CHILD);
            child_calls(rig, CHILD);
            rig.answers(WORKER);
        }),
        ("child_outlives", |rig| {
            forks(rig, (TGID, WORKER), CHILD);
            child_calls(rig, CHILD);
            process(rig, CHILD, CHILD, Body::Release);
            rig.answers(WORKER);
        }),
        ("parent_ended", |rig| {
            forks(rig, (TGID, WORKER), CHILD);
            rig.answers(WORKER);
            child_calls(rig, CHILD);
        }),
        // Its thread worked for none, and handed the other's on.
        ("no_request_on_thread", |rig| {
            forks(rig, (TGID, WORKER + 1), CHILD);
            child_calls(rig, CHILD);
            process(rig, CHILD, CHILD, Body::Exit);
            rig.answers(WORKER);
        }),
        ("handed_over", |rig| {
            forks(rig, (TGID, WORKER), CHILD);
            child_calls(rig, CHILD);
            process(rig, CHILD, CHILD, Body::Exit);
            rig.answers(WORKER + 1);
        }),
    ];
    for (why, step) in cases {
        let mut rig = Rig::new();
        rig.asked(WORKER);
        step(&mut rig);
        let written = rig.stop();
        let call = the_call(&written);
        assert_eq!(reason(call), Some(&AttrValue::from(why)));
        assert_ne!(call.parent_id, Some(request(&written)));
    }
}

#[test]
fn one_whose_parent_serves_nobody_is_asked_for_no_parent() {
    let mut rig = Rig::new();
    forks(&mut rig, (TGID, WORKER), CHILD);
    child_calls(&mut rig, CHILD);
    assert_eq!(reason(the_call(&rig.stop())), None);
}
