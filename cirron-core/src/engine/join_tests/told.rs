//! Requests that a program tells, and that were seen on the wire.

use cirron_common::hit::role;

use super::*;
use crate::record::{Head, Hit, HitParts, Record, Spec, Text, encode};

/// Numbers of the probes are their roles.
pub(super) fn listen(rig: &mut Rig) {
    for told in role::SCOPE_BEGIN..=role::DROPPED {
        let mut kept = Vec::new();
        let spec = Spec::new((told.into(), 5, told), b"", &[], &mut kept);
        record(rig, MAIN, Body::Spec(spec));
    }
}

pub(super) fn record(rig: &mut Rig, tid: u32, body: Body<'_>) {
    rig.now += MS;
    let head = Head {
        ts: MonoNs(rig.now),
        tgid: TGID,
        tid,
        context: rig.context,
        version: rig.version,
        ..Head::default()
    };
    rig.engine.handle_record(&encode(&Record { head, body }));
}

/// A function, and a pair of probes of another provider, both by this name.
pub(super) fn follow(rig: &mut Rig, name: &str) {
    for role in [role::BEGIN, role::END, role::ENTER, role::EXIT] {
        let mut kept = Vec::new();
        let spec = Spec::new((role.into(), 6, role), name.as_bytes(), &[], &mut kept);
        record(rig, MAIN, Body::Spec(spec));
    }
}

/// One of those is reached, where the thread's stack stands at `stack`.
pub(super) fn reaches(rig: &mut Rig, role: u8, stack: u64) {
    let payload = HitParts {
        probe: role.into(),
        stack,
        ..HitParts::default()
    }
    .payload();
    record(rig, WORKER, Body::Hit(Hit::view(&payload).unwrap()));
}

fn hit(rig: &mut Rig, probe: u8, values: &[u64], text: &str) {
    let values: Vec<_> = values.iter().map(|value| Some(*value)).collect();
    let text = Text {
        len: u32::try_from(text.len()).unwrap(),
        bytes: text.as_bytes(),
        fault: false,
    };
    let payload = HitParts {
        probe: probe.into(),
        stack: 0,
        cpu_ns: 0,
        values: &values,
        texts: &[text],
    }
    .payload();
    record(rig, WORKER, Body::Hit(Hit::view(&payload).unwrap()));
}

pub(super) fn begins(rig: &mut Rig, probe: u8, id: u64, parent: u64, text: &str) {
    let len = text.len() as u64;
    hit(rig, probe, &[id, parent, 1, len, 0, 0], text);
}

pub(super) fn ends(rig: &mut Rig, id: u64, outcome: u64) {
    hit(rig, role::SCOPE_END, &[id, outcome], "");
}

pub(super) fn marks(rig: &mut Rig, scope: u64, name: &str, value: u64) {
    let len = name.len() as u64;
    hit(rig, role::MARK, &[scope, 1, len, 1, value, 0, 0, 0], name);
}

/// Name and parent's name of each span, in order.
pub(super) fn tree(written: &[(Span, Vec<Mark>)]) -> Vec<(&str, &str)> {
    let name = |id| written.iter().find(|(span, _)| Some(span.id) == id);
    let parent = |span: &Span| name(span.parent_id).map_or("", |(span, _)| span.name.as_str());
    let all = written.iter().map(|(s, _)| (s.name.as_str(), parent(s)));
    all.collect()
}

#[test]
fn a_request_that_is_told_within_one_on_the_wire_is_that_one() {
    let mut rig = Rig::new();
    listen(&mut rig);
    rig.asked(WORKER);
    begins(&mut rig, role::REQUEST_BEGIN, 1, 0, "id-7");
    begins(&mut rig, role::SCOPE_BEGIN, 2, 1, "model");
    rig.calls(WORKER);
    rig.is_answered(WORKER);
    marks(&mut rig, 2, "rows", 3);
    ends(&mut rig, 2, 0);
    marks(&mut rig, 1, "score", 4);
    ends(&mut rig, 1, 1);
    assert_eq!(rig.written().len(), 0, "it waits for the request's end");
    rig.answers(WORKER);
    let written = rig.written();
    let all = [
        ("request", ""),
        ("model", "request"),
        ("http.client", "model"),
    ];
    assert_eq!(tree(&written), all);
    let (request, marks) = &written[0];
    assert_eq!(request.attrs["url.path"], AttrValue::from("/served"));
    assert_eq!(request.attrs["request_id"], AttrValue::from("id-7"));
    assert_eq!(request.attrs["cirron.told.by"], AttrValue::from("thread"));
    assert_eq!(request.attrs["error"], AttrValue::Bool(true));
    assert!(!request.attrs.contains_key("cirron.parent.by"));
    let told = marks.iter().find(|mark| mark.name == "score").unwrap();
    assert_eq!(
        (told.span_id, &told.value),
        (request.id, &MarkValue::Int(4))
    );
    assert!(request.mark_ids.contains(&told.id));
    // The call was made in a scope: the rest is the request's own share all the same.
    let own = marks.iter().find(|m| m.name == "overhead_ms").unwrap();
    let took = request.end.unwrap().0 - request.start.0;
    assert_eq!(own.value, MarkValue::Float((took / MS - 1) as f64));
    assert_eq!(rig.stop().len(), 0);
}

#[test]
fn an_id_of_ours_is_the_wire_s_and_so_is_a_figure_that_both_have() {
    let mut rig = Rig::new();
    listen(&mut rig);
    rig.asked(WORKER);
    begins(&mut rig, role::REQUEST_BEGIN, 1, 0, "");
    begins(&mut rig, role::SCOPE_BEGIN, 2, 1, "model");
    rig.calls(WORKER);
    rig.is_answered(WORKER);
    ends(&mut rig, 2, 0);
    marks(&mut rig, 1, "overhead_ms", 99);
    marks(&mut rig, 1, "twice", 1);
    marks(&mut rig, 1, "twice", 2);
    ends(&mut rig, 1, 0);
    rig.answers(WORKER);
    let written = rig.written();
    let (request, marks) = &written[0];
    let AttrValue::Str(id) = &request.attrs["request_id"] else {
        panic!()
    };
    assert_eq!(id.len(), 32);
    let count = |name: &str| marks.iter().filter(|m| m.name == *name).count();
    assert_eq!((count("overhead_ms"), count("twice")), (1, 2));
    let own = marks.iter().find(|m| m.name == "overhead_ms").unwrap();
    assert_ne!(own.value, MarkValue::Int(99));
}

#[test]
fn several_that_are_told_within_one_are_its_children() {
    let mut rig = Rig::new();
    listen(&mut rig);
    rig.asked(WORKER);
    for id in [1, 2] {
        begins(&mut rig, role::REQUEST_BEGIN, id, 0, "");
        ends(&mut rig, id, 0);
    }
    rig.answers(WORKER);
    let written = rig.written();
    let all = [
        ("request", ""),
        ("request", "request"),
        ("request", "request"),
    ];
    assert_eq!(tree(&written), all);
    assert!(!written[0].0.attrs.contains_key("cirron.told.by"));
}

#[test]
fn one_that_goes_on_or_has_a_part_that_does_is_no_part_of_another_span() {
    let mut rig = Rig::new();
    listen(&mut rig);
    rig.asked(WORKER);
    begins(&mut rig, role::REQUEST_BEGIN, 1, 0, "");
    begins(&mut rig, role::SCOPE_BEGIN, 2, 1, "behind");
    ends(&mut rig, 1, 0);
    rig.answers(WORKER);
    ends(&mut rig, 2, 0);
    rig.asked(WORKER);
    begins(&mut rig, role::REQUEST_BEGIN, 3, 0, "");
    rig.answers(WORKER);
    ends(&mut rig, 3, 0);
    let written = rig.stop();
    let both = [("request", ""), ("request", "request")];
    assert_eq!(tree(&written[..2]), both);
    assert_eq!(tree(&written[..3])[2], ("behind", "request"));
    assert_eq!(written[2].0.parent_id, Some(written[1].0.id));
    assert_eq!(tree(&written[3..]), both);
}

#[test]
fn one_of_which_nobody_knows_where_it_belongs_is_a_root_that_says_why() {
    let mut rig = Rig::new();
    listen(&mut rig);
    begins(&mut rig, role::REQUEST_BEGIN, 1, 0, "");
    ends(&mut rig, 1, 0);
    let alone = rig.written();
    assert_eq!(reason(&alone[0].0), None);
    rig.asked(WORKER);
    begins(&mut rig, role::REQUEST_BEGIN, 2, 0, "");
    begins(&mut rig, role::SCOPE_BEGIN, 3, 2, "model");
    ends(&mut rig, 3, 0);
    ends(&mut rig, 2, 0);
    rig.answers(WORKER + 1);
    let written = rig.written();
    let mut all = tree(&written);
    all.sort_unstable();
    assert_eq!(
        all,
        [("model", "request"), ("request", ""), ("request", "")]
    );
    let told = written.iter().filter(|(s, _)| reason(s).is_some());
    let told: Vec<_> = told.map(|(s, _)| reason(s).cloned()).collect();
    assert_eq!(told, [Some(AttrValue::from("handed_over"))]);
}
