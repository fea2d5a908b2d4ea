//! What a program may say, whatever it is: nothing is held without bound, and every loss is counted.

use proptest::prelude::*;

use super::*;
use crate::limits::{
    MAX_ENDED_PROBE_SCOPES, MAX_LABEL_BYTES, MAX_PROBE_SCOPES, MAX_PROBE_SCOPES_OF_ONE, MAX_PROBES,
    MAX_SCOPE_MARKS,
};

#[test]
fn names_of_any_length_and_bytes_are_cut_and_cleaned() {
    let mut rig = Rig::new();
    let long = vec![b'n'; 10_000];
    rig.hit(1, 0, &[1, 0, 1, 10_000, 0, 0], &[&long]);
    rig.hit(1, 0, &[2, 1, 1, 3, 0, 0], &[b"\xff\n\x00"]);
    let written = rig.stop();
    let names: Vec<_> = written.spans.iter().map(|(s, _)| s.name.as_str()).collect();
    assert_eq!(names[0], "\u{fffd}??");
    assert_eq!(names[1], "n".repeat(MAX_LABEL_BYTES));
}

#[test]
fn a_mark_whose_value_could_not_be_read_is_none_and_counted() {
    let mut rig = Rig::new();
    rig.begin(1, 0, "s");
    let name = Text {
        len: 1,
        bytes: b"n",
        fault: false,
    };
    let number = [Some(1), Some(1), Some(1), Some(1), None];
    let payload = HitParts {
        probe: role::MARK.into(),
        values: &number,
        texts: &[name],
        ..HitParts::default()
    };
    rig.record(Body::Hit(Hit::view(&payload.payload()).unwrap()));
    assert_eq!(rig.engine.stats().probes_unread, 1);
    rig.end(1);
    assert!(rig.stop().spans[0].1.is_empty());
}

#[test]
fn more_open_scopes_than_there_is_room_for_are_counted() {
    let mut rig = Rig::new();
    let extra = 5;
    for id in 0..(MAX_PROBE_SCOPES_OF_ONE + extra) as u64 {
        rig.told(role::SCOPE_OPEN, id + 1, 0, "s");
    }
    assert_eq!(rig.engine.stats().scopes_left_out, extra as u64);
    let processes = MAX_PROBE_SCOPES / MAX_PROBE_SCOPES_OF_ONE;
    for process in 1..=processes {
        rig.pid = PID + u32::try_from(process).unwrap();
        for id in 0..MAX_PROBE_SCOPES_OF_ONE as u64 {
            rig.told(role::SCOPE_OPEN, id + 1, 0, "s");
        }
    }
    let left_out = (extra + MAX_PROBE_SCOPES_OF_ONE) as u64;
    assert_eq!(rig.engine.stats().scopes_left_out, left_out);
    assert!(rig.engine.held_bytes() > MAX_PROBE_SCOPES * 100);
    assert_eq!(rig.stop().spans.len(), MAX_PROBE_SCOPES);
}

#[test]
fn a_scope_has_so_many_marks_and_says_that_there_were_more() {
    let mut rig = Rig::new();
    rig.begin(1, 0, "loop");
    for value in 0..MAX_SCOPE_MARKS as i64 + 3 {
        rig.mark(1, "step", value);
    }
    assert_eq!(rig.engine.stats().marks_left_out, 3);
    rig.end(1);
    let written = rig.written();
    assert_eq!(written.marks("loop").len(), MAX_SCOPE_MARKS);
    let said = written.attr("loop", "cirron.marks_left_out");
    assert_eq!(said, Some(&AttrValue::Int(3)));
}

#[test]
fn scopes_that_ended_long_ago_are_forgotten() {
    let mut rig = Rig::new();
    for id in 1..=MAX_ENDED_PROBE_SCOPES as u64 + 1 {
        rig.begin(id, 0, "s");
        rig.end(id);
    }
    rig.written();
    rig.begin(9_001, 1, "forgotten");
    rig.begin(9_002, 2, "remembered");
    let written = rig.stop();
    assert!(written.is_said("forgotten", "cirron.parent.unknown", "parent_not_seen"));
    assert!(written.is_said("remembered", "cirron.parent.unknown", "parent_ended"));
}

#[test]
fn probes_that_nobody_described_are_counted() {
    let mut rig = Rig::new();
    rig.hit(77, 0, &[], &[]);
    assert_eq!(rig.engine.stats().probes_unread, 1);
    assert_eq!(rig.written().spans.len(), 0);
}

#[test]
fn of_more_kinds_of_probes_than_are_kept_the_one_that_was_hit_longest_ago_is_forgotten() {
    let mut rig = Rig::new();
    let [first, hit, last] = [10_000, 10_001, 10_000 + MAX_PROBES as u32];
    for probe in first..last {
        rig.spec(probe, FILE, role::POINT, "b", &[]);
        rig.begin(1, 0, "kept");
        rig.end(1);
        rig.hit(hit, 0, &[], &[]);
    }
    // Those of the rig's own that were never hit went first.
    rig.spec(last, FILE, role::POINT, "b", &[]);
    let unread = |rig: &Rig| rig.engine.stats().probes_unread;
    let before = unread(&rig);
    for known in [hit, last, u32::from(role::SCOPE_BEGIN)] {
        rig.hit(known, 0, &[9, 0, 1, 1, 0, 0], &[b"x"]);
    }
    assert_eq!(unread(&rig), before);
    rig.hit(first, 0, &[], &[]);
    assert_eq!(unread(&rig), before + 1);
}

#[test]
fn a_number_that_is_given_again_ends_what_had_it() {
    let mut rig = Rig::new();
    rig.begin(1, 0, "first");
    rig.begin(1, 0, "second");
    let written = rig.written();
    assert!(written.is_said("first", "cirron.scope.end", "unwound"));
    rig.end(1);
    assert_eq!(rig.written().span("second").attrs.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever is hit in whatever order: each scope is written once, none is left, and no parent is one that was never
    /// written.
    #[test]
    fn any_hits_keep_the_rules(
        steps in prop::collection::vec(
            (0_u8..16, 0_u64..6, 0_u64..6, 1_u32..4, 0_u64..3, any::<bool>()), 0..120),
    ) {
        let mut rig = Rig::new();
        for (n, what) in [role::BEGIN, role::END, role::POINT, role::ENTER, role::EXIT].into_iter().enumerate() {
            let probe = 10 + u32::try_from(n).unwrap();
            rig.spec(probe, FILE, what, "rule", &[(form::INT, "n")]);
        }
        let mut outputs = Vec::new();
        for (probe, a, b, tid, stack, goroutine) in steps {
            rig.tid = tid;
            rig.goroutine = u64::from(goroutine) * 0xc000;
            rig.hit(probe.into(), stack, &[a, b, 1, 1, 0, 0, 0, 0], &[b"n", b"", b""]);
            outputs.extend(std::iter::from_fn(|| rig.engine.poll_output()));
        }
        rig.record(Body::Exit);
        rig.engine.handle_shutdown(MonoNs(rig.now));
        outputs.extend(std::iter::from_fn(|| rig.engine.poll_output()));
        prop_assert_eq!(rig.engine.held_bytes(), 0);
        let mut shown = std::collections::BTreeSet::new();
        let mut closed = std::collections::BTreeSet::new();
        for output in outputs {
            let span = match output {
                Output::Session(span) | Output::Open(span) => span,
                Output::Scope { span, marks } => {
                    prop_assert!(closed.insert(span.id), "twice");
                    prop_assert_eq!(span.mark_ids.len(), marks.len());
                    span
                }
                Output::Watched(_) | Output::Unplaced { .. } | Output::Mute { .. } => continue,
            };
            if let Some(parent) = span.parent_id {
                prop_assert!(shown.contains(&parent), "before its parent");
            }
            shown.insert(span.id);
        }
    }
}
