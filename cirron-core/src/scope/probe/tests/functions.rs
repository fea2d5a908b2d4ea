//! Functions that are entered and left.

use super::*;
use crate::record::Body;

const F: (u32, u32) = (20, 30);
const G: (u32, u32) = (21, 31);
const H: (u32, u32) = (22, 32);

fn rig() -> Rig {
    let mut rig = Rig::new();
    for ((enter, exit), name) in [(F, "f"), (G, "g"), (H, "h")] {
        rig.spec(enter, FILE, role::ENTER, name, &[(form::INT, "n")]);
        rig.spec(exit, FILE, role::EXIT, name, &[]);
    }
    rig
}

fn enter(rig: &mut Rig, function: (u32, u32), stack: u64) {
    rig.hit(function.0, stack, &[1], &[]);
}

fn leave(rig: &mut Rig, function: (u32, u32), stack: u64) {
    rig.hit(function.1, stack, &[], &[]);
}

#[test]
fn calls_are_nested_and_recursion_is_told_apart() {
    let mut rig = rig();
    enter(&mut rig, F, 900);
    enter(&mut rig, F, 800);
    enter(&mut rig, G, 700);
    leave(&mut rig, G, 700);
    leave(&mut rig, F, 800);
    leave(&mut rig, F, 900);
    let written = rig.written();
    let all: Vec<_> = written.spans.iter().map(|(span, _)| span).collect();
    assert_eq!(all.len(), 3);
    let [g, inner, outer] = &all[..] else {
        panic!()
    };
    assert_eq!(g.parent_id, Some(inner.id));
    assert_eq!(inner.parent_id, Some(outer.id));
    assert!(
        all.iter()
            .all(|s| !s.attrs.contains_key("cirron.scope.end"))
    );
    assert_eq!(g.attrs["n"], AttrValue::Int(1));
    assert_eq!(rig.engine.stats().probes_unseen, 0);
}

#[test]
fn a_frame_that_was_unwound_ends_with_what_is_around_it() {
    let mut rig = rig();
    enter(&mut rig, F, 900);
    enter(&mut rig, G, 800);
    enter(&mut rig, H, 700);
    // A panic goes through g and h, and f returns.
    leave(&mut rig, F, 900);
    let written = rig.written();
    for name in ["g", "h"] {
        assert!(
            written.is_said(name, "cirron.scope.end", "unwound"),
            "{name}"
        );
        assert_eq!(written.span(name).end, written.span("f").end);
    }
    assert_eq!(written.attr("f", "cirron.scope.end"), None);
}

#[test]
fn a_call_where_a_frame_stood_or_above_it_ends_that_frame() {
    for stack in [800, 850] {
        let mut rig = rig();
        enter(&mut rig, F, 900);
        enter(&mut rig, G, 800);
        enter(&mut rig, H, stack);
        leave(&mut rig, H, stack);
        leave(&mut rig, F, 900);
        let written = rig.written();
        assert!(written.is_said("g", "cirron.scope.end", "unwound"));
        assert_eq!(written.parent("h"), "f");
        assert_eq!(written.attr("h", "cirron.scope.end"), None);
    }
    // The exit of a caller that is not watched: frames below it are over.
    let mut rig = rig();
    enter(&mut rig, G, 800);
    leave(&mut rig, F, 900);
    let written = rig.written();
    assert!(written.is_said("g", "cirron.scope.end", "unwound"));
    assert_eq!(rig.engine.stats().probes_unseen, 1);
}

#[test]
fn a_function_that_ends_in_another_is_left_with_it() {
    let mut rig = rig();
    enter(&mut rig, F, 900);
    // `f` jumps to one that is not watched, whose return is told.
    leave(&mut rig, G, 900);
    let written = rig.written();
    assert_eq!(written.attr("f", "cirron.scope.end"), None);
}

#[test]
fn threads_have_frames_of_their_own() {
    let mut rig = rig();
    enter(&mut rig, F, 900);
    rig.tid = 2;
    enter(&mut rig, G, 800);
    leave(&mut rig, G, 800);
    rig.tid = 1;
    leave(&mut rig, F, 900);
    let written = rig.written();
    assert_eq!(written.parent("g"), "session");
    assert_eq!(written.attr("f", "cirron.scope.end"), None);
}

/// A call that is deeper in the stack than a frame which an exception has left is not within that one.
#[test]
fn frames_below_a_landing_are_over() {
    const LANDED: u32 = 40;
    let mut rig = rig();
    rig.spec(LANDED, FILE, role::LANDED, "", &[]);
    enter(&mut rig, F, 900);
    enter(&mut rig, G, 800);
    rig.hit(LANDED, 860, &[], &[]);
    let landed = rig.now;
    enter(&mut rig, H, 700);
    leave(&mut rig, H, 700);
    leave(&mut rig, F, 900);
    let written = rig.written();
    assert!(written.is_said("g", "cirron.scope.end", "unwound"));
    assert_eq!(written.span("g").end, Some(MonoNs(landed)));
    assert_eq!(written.parent("h"), "f");
    assert_eq!(written.attr("f", "cirron.scope.end"), None);
}

#[test]
fn what_a_thread_has_open_ends_with_it() {
    let mut rig = rig();
    rig.tid = 2;
    rig.begin(7, 0, "told");
    enter(&mut rig, F, 900);
    enter(&mut rig, G, 800);
    rig.record(Body::ThreadExit);
    let exited = rig.now;
    // The thread's number is given to a new thread. That one works for no scope yet; a scope that was told with an id
    // may still be ended by any thread.
    enter(&mut rig, H, 700);
    leave(&mut rig, H, 700);
    rig.tid = 1;
    rig.end(7);
    let written = rig.written();
    for name in ["f", "g"] {
        assert!(written.is_said(name, "cirron.scope.end", "unwound"));
        assert_eq!(written.attr(name, "cirron.partial"), None);
        assert_eq!(written.span(name).end, Some(MonoNs(exited)));
    }
    assert_eq!(written.parent("h"), "session");
    assert_eq!(written.attr("told", "cirron.scope.end"), None);
    assert_eq!(rig.stop().spans.len(), 0);
}

#[test]
fn a_goroutine_s_frames_survive_the_move_of_its_stack() {
    let mut rig = rig();
    rig.goroutine = 0xc000;
    enter(&mut rig, F, 900);
    // Its stack has moved: higher up, and another thread runs it.
    rig.tid = 2;
    enter(&mut rig, G, 5_000);
    leave(&mut rig, G, 5_000);
    enter(&mut rig, G, 5_000);
    leave(&mut rig, F, 5_100);
    let written = rig.written();
    let (first, _) = &written.spans[0];
    assert_eq!(
        first.attrs["cirron.parent.by"],
        AttrValue::from("goroutine")
    );
    let f = written.span("f");
    assert_eq!(first.parent_id, Some(f.id));
    assert_eq!(f.attrs.get("cirron.scope.end"), None);
    let (second, _) = &written.spans[1];
    assert_eq!(second.attrs["cirron.scope.end"], AttrValue::from("unwound"));
}

/// Of a goroutine with a number the frames are told from the end of its stack: they keep their places when it moves.
#[test]
fn a_numbered_goroutine_s_frames_are_told_apart_by_their_places() {
    let mut rig = rig();
    rig.goroutine = cirron_common::record::GOID | 7;
    let below = |bytes: u64| 0_u64.wrapping_sub(bytes);
    enter(&mut rig, F, below(100));
    rig.tid = 2;
    enter(&mut rig, F, below(200));
    enter(&mut rig, G, below(300));
    // A panic goes through g and the inner f; the outer one is left.
    leave(&mut rig, F, below(100));
    // And through one that is called again from the same place.
    enter(&mut rig, H, below(100));
    enter(&mut rig, H, below(100));
    leave(&mut rig, H, below(100));
    let written = rig.written();
    let ends: Vec<_> = (written.spans.iter())
        .map(|(span, _)| {
            (
                span.name.to_string(),
                span.attrs.contains_key("cirron.scope.end"),
            )
        })
        .collect();
    let expected = [
        ("g", true),
        ("f", true),
        ("f", false),
        ("h", true),
        ("h", false),
    ];
    assert_eq!(
        ends,
        expected.map(|(name, is_unwound)| (name.to_owned(), is_unwound))
    );
    assert_eq!(rig.engine.stats().probes_unseen, 0);
}

#[test]
fn sixty_four_within_one_another_and_no_more() {
    let mut rig = rig();
    for depth in 0..70 {
        enter(&mut rig, F, 1_000 - depth);
    }
    assert_eq!(rig.engine.stats().scopes_left_out, 6);
    for depth in (0..70).rev() {
        leave(&mut rig, F, 1_000 - depth);
    }
    let written = rig.written();
    assert_eq!(written.spans.len(), 64);
    let is_plain = |span: &Span| !span.attrs.contains_key("cirron.scope.end");
    assert!(written.spans.iter().all(|(span, _)| is_plain(span)));
    rig.record(Body::Exit);
    assert_eq!(rig.stop().spans.len(), 0);
}
