//! Probes of other providers.

use super::*;
use crate::scope::{MarkKind, MarkValue};

const QUERY: (u32, u32) = (10, 11);
const SORT: (u32, u32) = (12, 13);
const POINT: u32 = 14;

fn rig() -> Rig {
    let mut rig = Rig::new();
    let rows = &[(form::TEXT, "table"), (form::INT, "rows")][..];
    for ((begin, end), name) in [(QUERY, "query"), (SORT, "sort")] {
        rig.spec(begin, FILE, role::BEGIN, name, rows);
        rig.spec(end, FILE, role::END, name, &[(form::UINT, "done")]);
    }
    rig
}

#[test]
fn a_thread_s_begin_and_end_make_a_scope_with_the_values_of_both() {
    let mut rig = rig();
    rig.hit(QUERY.0, 0, &[1, 7], &[b"users"]);
    rig.hit(SORT.0, 0, &[1, 8], &[b"tmp"]);
    // Another thread's is another one.
    rig.tid = 2;
    rig.hit(SORT.1, 0, &[1], &[]);
    assert_eq!(rig.engine.stats().probes_unseen, 1);
    rig.tid = 1;
    rig.hit(SORT.1, 0, &[9], &[]);
    rig.hit(QUERY.1, 0, &[1], &[]);
    let written = rig.written();
    assert_eq!(written.parent("sort"), "query");
    assert!(written.is_said("sort", "cirron.parent.by", "thread"));
    assert_eq!(written.attr("sort", "rows"), Some(&AttrValue::Int(8)));
    assert_eq!(written.attr("sort", "done"), Some(&AttrValue::Int(9)));
    assert!(written.is_said("query", "table", "users"));
    assert_eq!(written.attr("query", "cirron.scope.end"), None);
}

#[test]
fn what_began_within_ends_with_it() {
    let mut rig = rig();
    rig.hit(QUERY.0, 0, &[1, 7], &[b"users"]);
    rig.hit(SORT.0, 0, &[1, 8], &[b"tmp"]);
    rig.hit(QUERY.1, 0, &[1], &[]);
    let written = rig.written();
    assert!(written.is_said("sort", "cirron.scope.end", "unwound"));
    assert_eq!(written.span("sort").end, written.span("query").end);
}

#[test]
fn a_mark_has_its_first_value_or_is_one() {
    let mut rig = rig();
    let values = &[(form::FLOAT, "x"), (form::BOOL, "hot")][..];
    rig.spec(POINT, FILE, role::POINT, "temperature", values);
    rig.spec(POINT + 1, FILE, role::POINT, "tick", &[]);
    rig.hit(POINT + 1, 0, &[], &[]);
    assert_eq!(rig.engine.stats().marks_unplaced, 1);
    rig.hit(QUERY.0, 0, &[1, 7], &[b"users"]);
    rig.hit(POINT, 0, &[1.5_f64.to_bits(), 1], &[]);
    rig.hit(POINT + 1, 0, &[], &[]);
    let written = rig.stop();
    assert_eq!(
        written.marks("query"),
        [
            ("temperature".to_owned(), MarkValue::Float(1.5)),
            ("tick".to_owned(), MarkValue::Int(1))
        ]
    );
    let (_, marks) = &written.spans[0];
    assert_eq!(marks[0].attrs["hot"], AttrValue::Bool(true));
    assert_eq!(marks[0].kind, MarkKind::Point);
}
