//! A producer of scopes that nobody else knows of: a step of a model, within a request. It touches no file beside
//! this one.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::id::SequentialIds;
use crate::scope::label::Label;
use crate::scope::{AttrValue, MarkKind, MarkValue, evidence};

#[derive(Debug)]
struct FunctionCall {
    function: &'static str,
    tokens: u64,
}

impl Content for FunctionCall {
    fn name(&self) -> Label {
        Label::foreign(self.function)
    }

    fn index(&self) -> Option<i64> {
        Some(3)
    }

    fn describe(&self, attrs: &mut Attrs) {
        attrs.insert("tokens_so_far", self.tokens.into());
    }

    fn about(&self) -> About {
        About {
            tokens: Some(self.tokens),
            first_token: Some(MonoNs(15)),
            ..About::default()
        }
    }

    fn held_bytes(&self) -> usize {
        100
    }

    fn finish(self: Box<Self>, closing: &mut Closing<'_>) {
        closing.attrs.insert(Label::foreign("a\tb"), true.into());
        let (value, kind) = (MarkValue::text("decode"), MarkKind::Summary);
        closing
            .marks
            .push("phase".into(), value, Attrs::new(), MonoNs(40), kind);
    }
}

/// Another producer's.
#[derive(Debug)]
struct Other;

impl Content for Other {
    fn name(&self) -> Label {
        "other".into()
    }

    fn describe(&self, _attrs: &mut Attrs) {}

    fn about(&self) -> About {
        About::default()
    }

    fn held_bytes(&self) -> usize {
        0
    }

    fn finish(self: Box<Self>, _closing: &mut Closing<'_>) {}
}

fn store() -> Store {
    Store::new(Box::new(SequentialIds::default()))
}

fn start(parent: Option<Id>, at: u64) -> Start {
    Start {
        parent,
        at: MonoNs(at),
        pid: 7,
        tid: 8,
        rank: 1,
        evidence: evidence::BYTES,
        join: Join::Plain,
    }
}

fn step(store: &mut Store, parent: Option<Id>, at: u64) -> Id {
    let function = "step\n";
    let tokens = 5;
    store.open(
        start(parent, at),
        Box::new(FunctionCall { function, tokens }),
    )
}

fn lives(store: &mut Store) -> Vec<Life> {
    std::iter::from_fn(|| store.next_life()).collect()
}

#[test]
fn a_producer_of_its_own_gives_a_span_with_what_was_known_at_its_start() {
    let mut store = store();
    let id = step(&mut store, None, 10);
    assert!(store.serves(7) && !store.serves(8));
    assert!(lives(&mut store).is_empty(), "nobody watches");
    store.close(id, MonoNs(30));
    let [Life::Closed { span, marks, .. }] = &lives(&mut store)[..] else {
        panic!("one");
    };
    assert_eq!((span.id, span.parent_id), (id, None));
    assert_eq!((span.start, span.end), (MonoNs(10), Some(MonoNs(30))));
    assert_eq!((span.pid, span.thread_id, span.rank), (7, 8, 1));
    assert_eq!((span.name.as_str(), span.index), ("step?", Some(3)));
    assert_eq!(span.attrs["a?b"], AttrValue::Bool(true));
    assert_eq!(marks[0].value, MarkValue::text("decode"));
    assert_eq!(span.mark_ids, [marks[0].id]);
    assert!(!store.serves(7));
    assert_eq!(store.held_bytes(id), 0);
}

#[test]
fn parents_are_shown_before_a_child_is_written_and_once() {
    let mut store = store();
    let outer = step(&mut store, None, 10);
    let inner = step(&mut store, Some(outer), 11);
    for at in [12, 13] {
        let child = step(&mut store, Some(inner), at);
        store.close(child, MonoNs(20));
    }
    store.close(inner, MonoNs(30));
    store.close(outer, MonoNs(40));
    let told = |life: &Life| match life {
        Life::Shown(span) => (span.id, span.end, span.attrs.contains_key("tokens_so_far")),
        Life::Closed { span, .. } => (span.id, span.end, false),
        other @ (Life::Watched(_) | Life::Withheld(_)) => panic!("{other:?}"),
    };
    let all: Vec<_> = lives(&mut store).iter().map(told).collect();
    assert_eq!(all[..2], [(outer, None, true), (inner, None, true)]);
    let ends: Vec<_> = all[2..].iter().map(|(_, end, _)| end.unwrap()).collect();
    assert_eq!(ends, [20, 20, 30, 40].map(MonoNs));
}

#[test]
fn a_child_that_ends_while_its_parent_is_worked_on_is_written_behind_that() {
    let mut store = store();
    let parent = step(&mut store, None, 10);
    store
        .with(parent, |step: &mut FunctionCall, desk| {
            let content = FunctionCall {
                function: "child",
                tokens: 0,
            };
            let child = desk.open(MonoNs(11), evidence::MESSAGE, Box::new(content));
            desk.begin_at(child, MonoNs(9));
            desk.get_mut::<FunctionCall>(child).unwrap().tokens = 1;
            desk.close(child, MonoNs(12));
            step.tokens = 77;
        })
        .unwrap();
    let lives = lives(&mut store);
    let [Life::Shown(shown), Life::Closed { span, .. }] = &lives[..] else {
        panic!("{lives:?}");
    };
    assert_eq!(shown.attrs["tokens_so_far"], AttrValue::Int(77));
    assert_eq!((span.parent_id, span.start), (Some(parent), MonoNs(9)));
    assert_eq!((span.pid, span.thread_id, span.rank), (7, 8, 1));
}

#[test]
fn one_producer_cannot_take_another_s_scope() {
    let mut store = store();
    let other = store.open(start(None, 1), Box::new(Other));
    assert!(store.get_mut::<FunctionCall>(other).is_none());
    assert_eq!(store.with(other, |_: &mut FunctionCall, _| ()), None);
    assert!(store.get_mut::<Other>(other).is_some());
    store.close(other, MonoNs(0));
    let [Life::Closed { span, .. }] = &lives(&mut store)[..] else {
        panic!("one");
    };
    assert_eq!(span.end, Some(MonoNs(1)), "never before its start");
}

#[test]
fn who_watches_is_told_of_every_life_and_of_a_change_once_until_it_looks() {
    let mut store = store();
    store.watch(true);
    let id = step(&mut store, None, 10);
    for _ in 0..3 {
        store.get_mut::<FunctionCall>(id).unwrap().tokens += 1;
    }
    assert_eq!(
        lives(&mut store),
        [
            Life::Watched(Watched::Opened(id)),
            Life::Watched(Watched::Changed(id))
        ]
    );
    let row = store.row(id).unwrap();
    assert_eq!((row.about.tokens, row.name.as_str()), (Some(8), "step?"));
    assert_eq!(row.age_ns(MonoNs(25)), 15);
    assert_eq!(row.to_first_token_ns(), Some(5));
    store.with(id, |_: &mut FunctionCall, _| ()).unwrap();
    store.forget(id);
    assert_eq!(
        lives(&mut store),
        [
            Life::Watched(Watched::Changed(id)),
            Life::Watched(Watched::Forgotten(id))
        ]
    );
    assert_eq!(store.row(id), None);
}

#[test]
fn all_that_are_open_can_be_asked_for_whether_or_not_somebody_watches() {
    let mut store = store();
    let ids: Vec<Id> = [30, 10, 20].map(|at| step(&mut store, None, at)).into();
    let mut asked = |at_most| {
        let Rows { first, others, .. } = store.rows(at_most);
        (first.iter().map(|row| row.origin.id).collect(), others)
    };
    let in_order = vec![ids[1], ids[2], ids[0]];
    assert_eq!(asked(3), (in_order.clone(), 0));
    assert_eq!(asked(usize::MAX), (in_order.clone(), 0));
    assert_eq!(asked(2), (in_order[..2].to_vec(), 1));
    assert_eq!(asked(0), (Vec::new(), 3));
}

#[test]
fn the_table_is_given_back_when_nothing_is_open_any_more() {
    let mut store = store();
    let ids: Vec<Id> = (0..10_000).map(|at| step(&mut store, None, at)).collect();
    ids.into_iter().for_each(|id| store.forget(id));
    assert!(store.open.capacity() <= KEPT_CAPACITY);
    assert!(store.processes.is_empty());
}

#[test]
fn what_is_withheld_takes_along_what_is_opened_in_it_and_a_parent_is_written() {
    // Counted, and written: none of it.
    let mut store = store();
    let outer = step(&mut store, None, 1);
    store.withhold(outer, Withheld::LeftOut);
    let inner = step(&mut store, Some(outer), 2);
    assert_eq!(store.withheld(inner), Some(Withheld::LeftOut));
    store.close(inner, MonoNs(2));
    store.close(outer, MonoNs(3));
    let lives: Vec<Life> = std::iter::from_fn(|| store.next_life()).collect();
    assert!(
        lives.iter().all(|life| matches!(life, Life::Withheld(_))),
        "{lives:?}"
    );
    assert_eq!(lives.len(), 2);
    // What was opened in it before may have been written.
    let outer = step(&mut store, None, 1);
    let inner = step(&mut store, Some(outer), 2);
    store.close(inner, MonoNs(2));
    store.withhold(outer, Withheld::Ignored);
    store.close(outer, MonoNs(3));
    let written: Vec<Life> = std::iter::from_fn(|| store.next_life()).collect();
    assert_eq!(written.len(), 3, "{written:?}");
    assert!(!written.iter().any(|life| matches!(life, Life::Withheld(_))));
}

/// A parent that is left out by a rule, with a call that is over and one that goes on.
#[test]
fn what_is_part_of_one_that_is_left_out_is_left_out_too_once_that_is_confirmed() {
    for doubt in [None, Some(evidence::RECORDS_LOST)] {
        let mut store = store();
        let parent = step(&mut store, None, 10);
        let presumed = Start {
            join: Join::Presumed(evidence::THREAD),
            ..start(Some(parent), 11)
        };
        let calls = [1, 2].map(|_| store.open(presumed, Box::new(Other)));
        let inner = store.open(start(Some(calls[0]), 12), Box::new(Other));
        store.close(inner, MonoNs(13));
        store.close(calls[0], MonoNs(14));
        assert!(lives(&mut store).is_empty());
        assert!(store.waiting_bytes() > 0);
        store.withhold(parent, Withheld::Ignored);
        store.close_in_doubt(parent, MonoNs(20), doubt);
        store.close(calls[1], MonoNs(30));
        let written: Vec<_> = lives(&mut store)
            .iter()
            .map(|life| {
                let Life::Closed { span, .. } = life else {
                    panic!("{life:?}");
                };
                (span.id, span.parent_id)
            })
            .collect();
        match doubt {
            None => assert_eq!(written, []),
            Some(_) => assert_eq!(
                written,
                [(calls[0], None), (inner, Some(calls[0])), (calls[1], None)]
            ),
        }
        assert_eq!((store.waiting_bytes(), store.held.len()), (0, 0));
    }
}
