//! What is told and called in contexts of Python's, of which many have their turns on one thread.

use cirron_common::hit::role as told;

use super::told::{begins, ends, follow, listen, marks, reaches, record, tree};
use super::*;
use crate::limits::MAX_PRESUMED;

const LOOP: u64 = 64;
const READER: u64 = 128;
const TASK: u64 = 192;
const CHILD: u64 = 256;

impl Rig {
    /// What comes next is done in this context, which the thread has just entered.
    fn enters(&mut self, context: u64) {
        self.context = context;
        self.version += 1;
    }

    fn makes(&mut self, context: u64, number: u64) {
        record(self, MAIN, Body::ContextMade { context, number });
    }

    fn frees(&mut self, context: u64, number: u64) {
        record(self, MAIN, Body::ContextEnded { context, number });
    }

    /// A request was read, and its task runs.
    fn serves() -> Rig {
        let mut rig = Rig::new();
        rig.enters(LOOP);
        listen(&mut rig);
        rig.makes(READER, 0);
        rig.enters(READER);
        rig.asked(MAIN);
        rig.makes(TASK, 1);
        rig.enters(TASK);
        rig
    }

    fn opens(&mut self, id: u64, parent: u64, name: &str) {
        begins(self, told::SCOPE_OPEN, id, parent, name);
    }

    /// Whoever runs makes a call, which is answered.
    fn fetches(&mut self) {
        self.calls(MAIN);
        self.is_answered(MAIN);
    }

    /// What the task makes does so.
    fn child_fetches(&mut self) {
        self.makes(CHILD, 2);
        self.enters(CHILD);
        self.fetches();
    }

    /// The task answers, and it and what it made end.
    fn is_over(&mut self) -> Vec<(Span, Vec<Mark>)> {
        self.enters(TASK);
        self.answers(MAIN);
        self.written()
    }
}

fn by<'a>(written: &'a [(Span, Vec<Mark>)], name: &str) -> Option<&'a AttrValue> {
    let its = written.iter().find(|(span, _)| span.name == *name);
    its.and_then(|(span, _)| span.attrs.get("cirron.parent.by"))
}

#[test]
fn scopes_and_calls_of_a_task_are_within_its_request() {
    let mut rig = Rig::serves();
    rig.opens(1, 0, "outer");
    rig.opens(2, 1, "inner");
    rig.fetches();
    ends(&mut rig, 2, 0);
    ends(&mut rig, 1, 0);
    rig.opens(3, 0, "next");
    ends(&mut rig, 3, 0);
    rig.fetches();
    let written = rig.is_over();
    let all = [
        ("request", ""),
        ("outer", "request"),
        ("inner", "outer"),
        ("http.client", "inner"),
        ("next", "request"),
        ("http.client", "request"),
    ];
    assert_eq!(tree(&written), all);
    for name in ["outer", "next", "http.client"] {
        assert_eq!(by(&written, name), Some(&"context".into()), "{name}");
    }
    assert_eq!(by(&written, "inner"), Some(&"id".into()));
    assert_eq!(rig.stop().len(), 0);
}

#[test]
fn what_a_task_makes_is_within_the_scope_that_was_open_then() {
    let mut rig = Rig::serves();
    rig.opens(1, 0, "outer");
    rig.makes(CHILD, 2);
    ends(&mut rig, 1, 0);
    rig.opens(2, 0, "later");
    rig.enters(CHILD);
    rig.fetches();
    rig.enters(LOOP);
    rig.frees(CHILD, 3);
    rig.enters(TASK);
    ends(&mut rig, 2, 0);
    let written = rig.is_over();
    // It was made in the one that is over, and is within none of the other.
    let all = [
        ("request", ""),
        ("outer", "request"),
        ("http.client", "request"),
        ("later", "request"),
    ];
    assert_eq!(tree(&written), all);
    let descends = Some(AttrValue::from("context_descent"));
    assert_eq!(by(&written, "http.client"), descends.as_ref());

    let mut rig = Rig::serves();
    rig.opens(1, 0, "outer");
    rig.child_fetches();
    rig.frees(CHILD, 3);
    rig.enters(TASK);
    ends(&mut rig, 1, 0);
    let written = rig.is_over();
    let all = [
        ("request", ""),
        ("outer", "request"),
        ("http.client", "outer"),
    ];
    assert_eq!(tree(&written), all);
    assert_eq!(by(&written, "http.client"), descends.as_ref());
}

#[test]
fn a_call_of_a_task_that_outlives_the_request_leaves_the_scope_alone() {
    let mut rig = Rig::serves();
    rig.opens(1, 0, "outer");
    rig.child_fetches();
    rig.enters(TASK);
    ends(&mut rig, 1, 0);
    assert_eq!(rig.is_over().len(), 0, "it waits for the context to end");
    rig.engine.handle_timeout(MonoNs(rig.now + 1_000 * MS));
    let written = rig.written();
    let all = [("http.client", ""), ("outer", "request"), ("request", "")];
    let mut found = tree(&written);
    found.sort_unstable();
    assert_eq!(found, all);
    let call = written.iter().find(|(s, _)| s.name == "http.client");
    let (call, _) = call.unwrap();
    assert_eq!(reason(call), Some(&"context_outlives".into()));
    // All of it was the request's own time.
    let (request, marks) = written.iter().find(|(s, _)| s.name == "request").unwrap();
    assert!(
        marks.iter().all(|mark| mark.name != "overhead_ms"),
        "{request:?}"
    );
}

#[test]
fn a_request_that_is_told_in_a_handler_is_the_one_on_the_wire() {
    let mut rig = Rig::serves();
    begins(&mut rig, told::REQUEST_OPEN, 1, 0, "id-7");
    rig.opens(2, 1, "model");
    rig.fetches();
    ends(&mut rig, 2, 0);
    marks(&mut rig, 1, "score", 4);
    ends(&mut rig, 1, 0);
    // It is over, and the task goes on.
    rig.fetches();
    let written = rig.is_over();
    let all = [
        ("request", ""),
        ("model", "request"),
        ("http.client", "model"),
        ("http.client", "request"),
    ];
    assert_eq!(tree(&written), all);
    let (request, marks) = &written[0];
    assert_eq!(request.attrs["request_id"], AttrValue::from("id-7"));
    assert_eq!(request.attrs["cirron.told.by"], AttrValue::from("context"));
    assert!(marks.iter().any(|mark| mark.name == "score"));
}

#[test]
fn a_scope_that_rests_is_around_nothing_of_its_task() {
    let mut rig = Rig::serves();
    rig.opens(1, 0, "stream");
    begins(&mut rig, told::SCOPE_EXIT, 1, 0, "");
    rig.fetches();
    ends(&mut rig, 1, 0);
    let all = [
        ("request", ""),
        ("http.client", "request"),
        ("stream", "request"),
    ];
    assert_eq!(tree(&rig.is_over()), all);
}

#[test]
fn a_mark_of_no_scope_is_the_request_s() {
    let mut rig = Rig::serves();
    marks(&mut rig, 0, "score", 4);
    // Of one that nothing is known of, and of a task that is known to serve the connection.
    rig.enters(LOOP);
    marks(&mut rig, 0, "none", 4);
    let written = rig.is_over();
    let (request, marks) = &written[0];
    let names: Vec<&str> = marks.iter().map(|m| m.name.as_str()).collect();
    assert!(names.contains(&"score") && !names.contains(&"none"));
    assert_eq!(request.name, "request");
    assert_eq!(rig.engine.stats().marks_unplaced, 1);
}

#[test]
fn a_mark_whose_task_outlives_the_request_is_none_of_it() {
    let mut rig = Rig::serves();
    rig.makes(CHILD, 2);
    rig.enters(CHILD);
    marks(&mut rig, 0, "score", 4);
    rig.is_over();
    rig.engine.handle_timeout(MonoNs(rig.now + 1_000 * MS));
    let written = rig.written();
    assert!(written[0].1.iter().all(|mark| mark.name != "score"));
    assert_eq!(rig.engine.stats().marks_unplaced, 1);
    assert_eq!(rig.stop().len(), 0);
}

#[test]
fn behind_the_answer_a_scope_is_below_no_request() {
    let mut rig = Rig::serves();
    rig.opens(1, 0, "before");
    ends(&mut rig, 1, 0);
    rig.is_over();
    rig.opens(2, 0, "behind");
    // What is around it is over, and around that is a request which is.
    rig.opens(3, 1, "inside");
    ends(&mut rig, 3, 0);
    ends(&mut rig, 2, 0);
    let written = rig.written();
    let unknown: Vec<_> = written
        .iter()
        .map(|(s, _)| (s.parent_id, reason(s).is_some()))
        .collect();
    assert_eq!(tree(&written), [("inside", ""), ("behind", "")]);
    assert!(
        unknown.iter().all(|(_, is_unknown)| *is_unknown),
        "{unknown:?}"
    );
}

#[test]
fn a_scope_whose_end_was_lost_is_surely_around_nothing() {
    let mut rig = Rig::serves();
    rig.opens(1, 0, "outer");
    rig.fetches();
    rig.is_over();
    let written = rig.stop();
    let (call, _) = written
        .iter()
        .find(|(s, _)| s.name == "http.client")
        .unwrap();
    assert_eq!(reason(call), Some(&"end_not_seen".into()));
}

#[test]
fn past_the_most_marks_and_scopes_of_a_request_are_not_known() {
    let mut rig = Rig::serves();
    for n in 0..=MAX_PRESUMED as u64 {
        marks(&mut rig, 0, "score", n);
    }
    rig.opens(1, 0, "outer");
    ends(&mut rig, 1, 0);
    let mut written = rig.is_over();
    written.extend(rig.written());
    let (outer, _) = written.iter().find(|(s, _)| s.name == "outer").unwrap();
    assert_eq!(reason(outer), Some(&"too_many".into()));
}

#[test]
fn functions_that_a_task_calls_are_its_request_s() {
    let mut rig = Rig::serves();
    follow(&mut rig, "decode");
    rig.opens(1, 0, "outer");
    reaches(&mut rig, told::ENTER, 1_000);
    reaches(&mut rig, told::ENTER, 900);
    reaches(&mut rig, told::EXIT, 900);
    reaches(&mut rig, told::EXIT, 1_000);
    ends(&mut rig, 1, 0);
    // One that nothing is known of.
    rig.enters(LOOP);
    reaches(&mut rig, told::ENTER, 1_000);
    reaches(&mut rig, told::EXIT, 1_000);
    let written = rig.is_over();
    let mut found = tree(&written);
    found.sort_unstable();
    let all = [
        ("decode", ""),
        ("decode", "decode"),
        ("decode", "outer"),
        ("outer", "request"),
        ("request", ""),
    ];
    assert_eq!(found, all);
    let mut reasons = written.iter().filter_map(|(span, _)| reason(span));
    assert_eq!(reasons.next(), Some(&"no_request_on_thread".into()));
    assert_eq!(reasons.next(), None);
    assert_eq!(rig.stop().len(), 0);
}

#[test]
fn a_function_of_a_task_that_outlives_the_request_is_below_none() {
    let mut rig = Rig::serves();
    follow(&mut rig, "decode");
    rig.makes(CHILD, 2);
    rig.enters(CHILD);
    reaches(&mut rig, told::ENTER, 1_000);
    reaches(&mut rig, told::EXIT, 1_000);
    assert_eq!(rig.is_over().len(), 0, "it waits for the context to end");
    rig.engine.handle_timeout(MonoNs(rig.now + 1_000 * MS));
    let written = rig.written();
    let (decode, _) = written.iter().find(|(s, _)| s.name == "decode").unwrap();
    assert_eq!(reason(decode), Some(&"context_outlives".into()));
}

/// Pairs of probes of two tasks that have their turns on one thread.
#[test]
fn what_tasks_begin_by_turns_is_ended_and_nested_by_each() {
    let mut rig = Rig::serves();
    follow(&mut rig, "step");
    rig.makes(CHILD, 2);
    let mut times = Vec::new();
    for (context, role) in [
        (TASK, told::BEGIN),
        (CHILD, told::BEGIN),
        (TASK, told::BEGIN),
        (TASK, told::END),
        (TASK, told::END),
        (CHILD, told::END),
    ] {
        rig.enters(context);
        reaches(&mut rig, role, 0);
        times.push(rig.now);
    }
    // Another one's is open on the thread, and around nothing of this one.
    rig.enters(CHILD);
    reaches(&mut rig, told::BEGIN, 0);
    rig.enters(TASK);
    rig.fetches();
    rig.enters(CHILD);
    reaches(&mut rig, told::END, 0);
    rig.frees(CHILD, 3);
    let written = rig.is_over();
    let mut spans: Vec<_> = written
        .iter()
        .filter(|(span, _)| span.name == "step")
        .map(|(span, _)| (span.start.0, span.end.unwrap().0))
        .collect();
    spans.sort_unstable();
    let pair = |begin: usize, end: usize| (times[begin], times[end]);
    assert_eq!(spans[..3], [pair(0, 4), pair(1, 5), pair(2, 3)]);
    let mut found = tree(&written);
    found.sort_unstable();
    let all = [
        ("http.client", "request"),
        ("request", ""),
        ("step", "request"),
        ("step", "request"),
        ("step", "request"),
        ("step", "request"),
    ];
    assert_eq!(found, all);
    assert_eq!(rig.stop().len(), 0);
}
