//! The provider `cirron`, by the rules of `docs/probes.md`.

use super::*;
use crate::scope::MarkValue;

#[test]
fn scopes_are_children_of_what_their_program_names() {
    let mut rig = Rig::new();
    rig.begin(1, 0, "outer");
    rig.begin(2, 1, "inner");
    rig.mark(2, "rows", 3);
    rig.end(2);
    rig.mark(1, "after", -1);
    rig.end(1);
    let written = rig.written();
    assert_eq!(written.parent("outer"), "session");
    assert_eq!(written.parent("inner"), "outer");
    assert!(written.is_said("inner", "cirron.parent.by", "id"));
    assert_eq!(written.attr("outer", "cirron.parent.by"), None);
    assert_eq!(written.attr("outer", "cirron.parent.unknown"), None);
    assert_eq!(
        written.marks("inner"),
        [("rows".to_owned(), MarkValue::Int(3))]
    );
    assert_eq!(written.marks("outer").len(), 1);
    let span = written.span("inner");
    assert_eq!((span.pid, span.thread_id), (PID, 1));
    assert_eq!(span.end.unwrap().0 - span.start.0, 2 * MS);
    assert_eq!(written.span("inner").mark_ids.len(), 1);
    assert_eq!(rig.engine.stats().probes_unread, 0);
}

#[test]
fn a_parent_that_has_ended_is_replaced_by_its_nearest_ancestor_that_has_not() {
    let mut rig = Rig::new();
    for id in 1..=3 {
        rig.begin(id, id - 1, &format!("s{id}"));
    }
    rig.end(3);
    rig.end(2);
    rig.begin(4, 3, "late");
    rig.end(1);
    rig.begin(5, 3, "alone");
    rig.begin(6, 99, "unseen");
    let written = rig.stop();
    assert_eq!(written.parent("late"), "s1");
    assert!(written.is_said("late", "cirron.parent.by", "id"));
    assert_eq!(written.parent("alone"), "session");
    assert!(written.is_said("alone", "cirron.parent.unknown", "parent_ended"));
    assert_eq!(written.parent("unseen"), "session");
    assert!(written.is_said("unseen", "cirron.parent.unknown", "parent_not_seen"));
}

#[test]
fn a_scope_of_another_file_is_within_what_the_thread_works_for() {
    let mut rig = Rig::new();
    rig.begin(1, 0, "handler");
    // An extension in Rust, on the same thread and on another.
    rig.hit(OTHER + 1, 0, &[1, 0, 1, 6, 0, 0], &[b"tokens"]);
    rig.hit(OTHER + 7, 0, &[1, 0], &[]);
    rig.tid = 2;
    rig.hit(OTHER + 1, 0, &[2, 0, 1, 4, 0, 0], &[b"away"]);
    rig.hit(OTHER + 7, 0, &[2, 0], &[]);
    rig.tid = 1;
    // One without a parent in its own file is not within that file's.
    rig.begin(3, 0, "root");
    let written = rig.stop();
    assert_eq!(written.parent("tokens"), "handler");
    assert!(written.is_said("tokens", "cirron.parent.by", "thread"));
    assert_eq!(written.parent("away"), "session");
    assert_eq!(written.parent("root"), "session");
}

#[test]
fn who_enters_works_for_it_until_its_exit_or_the_scope_s_end() {
    let mut rig = Rig::new();
    rig.told(role::SCOPE_OPEN, 1, 0, "task");
    let other = |rig: &mut Rig, id: u64, name: &str| {
        let len = name.len() as u64;
        rig.hit(OTHER + 1, 0, &[id, 0, 1, len, 0, 0], &[name.as_bytes()]);
        rig.hit(OTHER + 7, 0, &[id, 0], &[]);
    };
    other(&mut rig, 1, "before");
    rig.tid = 2;
    rig.hit(role::SCOPE_ENTER.into(), 0, &[1], &[]);
    other(&mut rig, 2, "inside");
    rig.hit(role::SCOPE_EXIT.into(), 0, &[1], &[]);
    other(&mut rig, 3, "outside");
    rig.hit(role::SCOPE_ENTER.into(), 0, &[1], &[]);
    rig.tid = 3;
    rig.end(1);
    rig.tid = 2;
    other(&mut rig, 4, "behind");
    let written = rig.written();
    let parents = ["before", "inside", "outside", "behind"].map(|name| written.parent(name));
    assert_eq!(parents, ["session", "task", "session", "session"]);
}

#[test]
fn a_request_is_a_root_with_its_own_id_or_ours() {
    let mut rig = Rig::new();
    rig.begin(1, 0, "around");
    rig.hit(
        role::REQUEST_BEGIN.into(),
        0,
        &[2, 0, 1, 4, 0, 0],
        &[b"id-7"],
    );
    rig.begin(3, 2, "in it");
    rig.end(3);
    rig.end(2);
    let written = rig.written();
    let request = written.span("request");
    assert_eq!(request.attrs["request_id"], AttrValue::from("id-7"));
    assert_eq!(written.parent("request"), "session");
    assert_eq!(written.parent("in it"), "request");
    rig.hit(role::REQUEST_OPEN.into(), 0, &[4, 0, 0, 0, 0, 0], &[b""]);
    rig.end(4);
    let ours = rig.written().span("request").attrs["request_id"].clone();
    let AttrValue::Str(ours) = ours else { panic!() };
    assert_eq!(ours.len(), 32);
}

#[test]
fn attributes_index_and_outcome_are_written() {
    let mut rig = Rig::new();
    let mut packed = vec![6, 0, 8, 0];
    packed.extend(2_i64.to_ne_bytes());
    packed.extend([3, 1, 1, 0, b'k', 1]);
    let len = packed.len() as u64;
    rig.hit(1, 0, &[1, 0, 1, 1, 1, len], &[b"a", &packed]);
    rig.begin(2, 1, "b");
    rig.hit(role::SCOPE_END.into(), 0, &[2, 1], &[]);
    rig.hit(role::SCOPE_END.into(), 0, &[1, 2], &[]);
    let written = rig.written();
    assert_eq!(written.span("a").index, Some(2));
    assert_eq!(written.attr("a", "k"), Some(&AttrValue::Bool(true)));
    assert!(written.is_said("a", "cirron.scope.end", "cancelled"));
    assert_eq!(written.attr("b", "error"), Some(&AttrValue::Bool(true)));
    assert_eq!(written.attr("b", "cirron.scope.end"), None);
}

#[test]
fn processor_time_is_that_of_one_thread() {
    let mut rig = Rig::new();
    rig.cpu = 100;
    rig.begin(1, 0, "here");
    rig.begin(2, 1, "moved");
    rig.told(role::SCOPE_OPEN, 4, 1, "task");
    rig.begin(5, 1, "left for a while");
    rig.hit(role::SCOPE_EXIT.into(), 0, &[5], &[]);
    rig.hit(role::SCOPE_ENTER.into(), 0, &[5], &[]);
    rig.now += 1_000 * MS;
    rig.begin(6, 1, "short");
    rig.cpu = 350;
    for id in [1, 4, 5, 6] {
        rig.end(id);
    }
    rig.tid = 2;
    rig.end(2);
    rig.cpu = 0;
    rig.begin(3, 0, "unknown");
    rig.now += 1_000 * MS;
    rig.end(3);
    (rig.cpu, rig.goroutine) = (1, 7);
    rig.begin(7, 0, "goroutine");
    rig.now += 1_000 * MS;
    rig.end(7);
    let written = rig.written();
    assert_eq!(written.span("here").cpu_ns, Some(250));
    for none in [
        "moved",
        "task",
        "left for a while",
        "short",
        "unknown",
        "goroutine",
    ] {
        assert_eq!(written.span(none).cpu_ns, None, "{none}");
    }
}

#[test]
fn what_is_open_when_a_process_ends_ends_there_and_a_child_has_none_of_it() {
    for body in [Body::Exit, Body::Exec, Body::Release] {
        let mut rig = Rig::new();
        rig.begin(1, 0, "left");
        rig.record(Body::Fork { child: 43 });
        rig.pid = 43;
        rig.end(1);
        assert_eq!(rig.engine.stats().probes_unseen, 1);
        rig.pid = PID;
        assert_eq!(rig.written().spans.len(), 0);
        rig.record(body);
        let written = rig.written();
        assert!(written.is_said("left", "cirron.scope.end", "left_open"));
        assert_eq!(written.attr("left", "cirron.partial"), Some(&true.into()));
        assert_eq!(written.span("left").end, Some(MonoNs(rig.now)));
        rig.end(1);
        assert_eq!(rig.engine.stats().probes_unseen, 2);
    }
}

#[test]
fn a_mark_without_a_scope_or_behind_its_end_is_counted() {
    let mut rig = Rig::new();
    rig.mark(0, "nobody's", 1);
    rig.mark(7, "unseen", 1);
    rig.begin(1, 0, "a");
    rig.end(1);
    rig.mark(1, "late", 1);
    let stats = rig.engine.stats();
    assert_eq!(
        (
            stats.marks_unplaced,
            stats.probes_unseen,
            stats.marks_left_out
        ),
        (1, 1, 1)
    );
}

#[test]
fn what_the_library_left_out_is_counted_once() {
    let mut rig = Rig::new();
    for total in [5, 6, 9] {
        rig.hit(role::DROPPED.into(), 0, &[1, total], &[]);
    }
    rig.hit(OTHER + 9, 0, &[1, 3], &[]);
    assert_eq!(rig.engine.stats().probes_told_left_out, 1 + 1 + 3 + 1);
}
