//! The index by itself.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::scope::evidence;

const fn id(n: u8) -> Id {
    Id([n; 16])
}

const fn thread(pid: u32, tid: u32) -> Context {
    Context::Thread { pid, tid }
}

fn work(scope: u8, at: u64) -> Work {
    Work {
        scope: id(scope),
        evidence: evidence::READ,
        at: MonoNs(at),
    }
}

#[test]
fn a_context_works_for_what_it_turned_to_last() {
    let mut contexts = Contexts::default();
    contexts.begin(thread(1, 1), work(1, 10));
    contexts.begin(thread(1, 2), work(1, 11));
    assert_eq!(contexts.work(thread(1, 1)), Some(work(1, 10)));
    contexts.begin(thread(1, 1), work(2, 20));
    assert_eq!(contexts.work(thread(1, 1)), Some(work(2, 20)));
    // The end of what it left is none of its.
    contexts.end_scope(id(1));
    assert_eq!(contexts.work(thread(1, 1)), Some(work(2, 20)));
    assert_eq!(contexts.work(thread(1, 2)), None);
    assert_eq!(contexts.scope(thread(1, 1)), Some(id(2)));
    contexts.end(thread(1, 1));
    assert_eq!((contexts.len(), contexts.held_bytes()), (0, 0));
}

#[test]
fn what_read_several_at_once_is_known_for_none_of_them() {
    let mut contexts = Contexts::default();
    for scope in [1, 2, 3] {
        contexts.begin(thread(1, 1), work(scope, 10));
    }
    assert_eq!(contexts.work(thread(1, 1)), None);
    contexts.begin(thread(1, 1), work(3, 10));
    assert_eq!(contexts.work(thread(1, 1)), None);
    // Until it reads more of the last of them, by itself.
    contexts.begin(thread(1, 1), work(3, 12));
    assert_eq!(contexts.work(thread(1, 1)), Some(work(3, 12)));
    contexts.end_scope(id(3));
    assert_eq!(contexts.len(), 0);
}

#[test]
fn a_name_that_is_used_again_is_not_the_old_one() {
    let goroutine = |id| Context::Goroutine { pid: 1, id };
    let mut contexts = Contexts::default();
    // A thread and a goroutine are different things, whatever their numbers.
    contexts.begin(thread(1, 7), work(1, 1));
    contexts.begin(goroutine(7), work(2, 1));
    assert_eq!(contexts.work(thread(1, 7)), Some(work(1, 1)));
    assert_eq!(contexts.work(goroutine(7)), Some(work(2, 1)));
    assert_eq!(contexts.work(thread(2, 7)), None);
    // A new goroutine at that address.
    contexts.end(goroutine(7));
    assert_eq!(contexts.work(goroutine(7)), None);
    // A new process of that number.
    contexts.begin(thread(2, 7), work(4, 1));
    contexts.end_process(1);
    assert_eq!(contexts.work(thread(1, 7)), None);
    assert_eq!(contexts.work(thread(2, 7)), Some(work(4, 1)));
    // A new process that has the number of a thread, which is over then.
    contexts.begin(thread(2, 8), work(4, 1));
    contexts.end_process(7);
    assert_eq!(contexts.work(thread(2, 7)), None);
    assert_eq!(contexts.work(thread(2, 8)), Some(work(4, 1)));
    contexts.end(thread(2, 8));
    assert_eq!(contexts.len(), 0);
}

#[test]
fn more_than_there_is_room_for_are_counted_and_room_comes_back() {
    let mut contexts = Contexts::default();
    let all = u32::try_from(MAX_CONTEXTS).unwrap();
    for tid in 0..all + 3 {
        contexts.begin(thread(1, tid), work(1, 1));
    }
    assert_eq!((contexts.len(), contexts.not_kept()), (MAX_CONTEXTS, 3));
    assert!(
        contexts.held_bytes() <= 4 << 20,
        "{}",
        contexts.held_bytes()
    );
    assert_eq!(contexts.work(thread(1, all)), None);
    // Who is known goes on being.
    contexts.begin(thread(1, 0), work(2, 2));
    assert_eq!(contexts.work(thread(1, 0)), Some(work(2, 2)));
    contexts.end_scope(id(1));
    contexts.begin(thread(1, all), work(2, 3));
    assert_eq!((contexts.len(), contexts.not_kept()), (2, 3));
}

proptest! {
    /// Against a plain map, whatever comes in whatever order.
    #[test]
    fn no_entry_outlives_its_scope_its_process_or_itself(
        steps in prop::collection::vec((0_u8..6, 0_u8..5, 0_u32..3, 0_u32..4), 0..200),
    ) {
        let mut contexts = Contexts::default();
        let mut model: BTreeMap<Context, u8> = BTreeMap::new();
        for (at, (step, scope, pid, tid)) in steps.into_iter().enumerate() {
            let context = thread(pid, tid);
            match step {
                0..=2 => {
                    contexts.begin(context, work(scope, at as u64));
                    model.insert(context, scope);
                }
                3 => {
                    contexts.end_scope(id(scope));
                    model.retain(|_, s| *s != scope);
                }
                4 => {
                    contexts.end(context);
                    model.remove(&context);
                }
                _ => {
                    contexts.end_process(pid);
                    model.retain(|context, _| {
                        let Context::Thread { pid: its, tid } = *context else {
                            return true;
                        };
                        its != pid && tid != pid
                    });
                }
            }
            let by_scope: BTreeSet<_> = model.iter().map(|(c, s)| (id(*s), *c)).collect();
            prop_assert_eq!(&contexts.by_scope, &by_scope);
            prop_assert_eq!(contexts.len(), model.len());
            for (context, scope) in &model {
                prop_assert_eq!(contexts.work(*context).map(|w| w.scope), Some(id(*scope)));
            }
        }
    }
}
