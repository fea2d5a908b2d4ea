//! Futures inside of scopes, seen by a real tracer: several tasks on one thread, guards across
//! `await`s, futures that are dropped before they are ready or that panic.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use cirron_probe::{mark, open_scope, scope, InScope};
use support::tracer::{Hit, Tracer};

/// A probe listens to the whole program, tests are threads of it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn traced(test: &str, act: impl FnOnce()) -> Option<Vec<Hit>> {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let tracer = Tracer::new(test, &std::env::current_exe().unwrap())?;
    tracer.listen();
    act();
    tracer.stop();
    Some(tracer.hits())
}

struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Idle));
    future.as_mut().poll(&mut Context::from_waker(&waker))
}

/// Pending this number of times.
struct Pending(u32);

impl Future for Pending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                self.0 = left;
                Poll::Pending
            }
        }
    }
}

fn find<'a>(hits: &'a [Hit], name: &str) -> &'a Hit {
    let named = |hit: &&Hit| {
        ["scope_begin", "scope_open"].contains(&hit.probe.as_str()) && hit.text(2) == name
    };
    hits.iter()
        .find(named)
        .unwrap_or_else(|| panic!("no scope {name}"))
}

/// The scopes that the thread works for after each hit, as an agent keeps them.
fn works_for(hits: &[Hit]) -> Vec<Vec<u64>> {
    let mut stack: Vec<u64> = Vec::new();
    hits.iter()
        .map(|hit| {
            match hit.probe.as_str() {
                "scope_begin" | "scope_enter" => stack.push(hit.number(0)),
                "scope_exit" => {
                    let position = stack.iter().rposition(|&id| id == hit.number(0));
                    stack.remove(position.unwrap());
                }
                "scope_end" => stack.retain(|&id| id != hit.number(0)),
                _ => {}
            }
            stack.clone()
        })
        .collect()
}

#[test]
fn tasks_that_take_turns_keep_their_own_scopes() {
    let Some(hits) = traced("turns", || {
        let task = |name: &'static str, inner: &'static str| {
            Box::pin(open_scope!(name).wrap(async move {
                let _held = scope!(inner);
                Pending(2).await;
                mark!(inner, 1);
                drop(scope!(inner));
            }))
        };
        let (mut a, mut b) = (task("a", "in a"), task("b", "in b"));
        while poll(&mut a).is_pending() | poll(&mut b).is_pending() {
            // Between the polls the thread works for neither.
            drop(scope!("between"));
        }
        drop((a, b));
    }) else {
        return;
    };
    let id = |name: &str| find(&hits, name).number(0);
    for (task, inner) in [("a", "in a"), ("b", "in b")] {
        let held = find(&hits, inner);
        assert_eq!(held.number(1), id(task));
        let mark = hits
            .iter()
            .find(|hit| hit.probe == "mark" && hit.text(1) == inner)
            .unwrap();
        assert_eq!(mark.number(0), held.number(0));
        let second = hits
            .iter()
            .rfind(|hit| hit.probe == "scope_begin" && hit.text(2) == inner)
            .unwrap();
        assert_eq!(second.number(1), held.number(0));
    }
    for (hit, now) in hits.iter().zip(works_for(&hits)) {
        if hit.probe == "scope_begin" && hit.text(2) == "between" {
            assert_eq!((hit.number(1), now.len()), (0, 1));
        }
        if hit.probe == "mark" {
            // What the exits and entries tell is what the library itself says.
            assert_eq!(now.last(), Some(&hit.number(0)));
        }
    }
    assert_eq!(works_for(&hits).last(), Some(&Vec::new()));
    let ended = hits.iter().filter(|hit| hit.probe == "scope_end");
    assert!(ended.clone().count() >= 6 && ended.clone().all(|hit| hit.number(1) == 0));
}

#[test]
fn a_future_that_is_dropped_is_cancelled() {
    let Some(hits) = traced("cancelled", || {
        let mut task = Box::pin(open_scope!("task").wrap(async {
            let _held = scope!("held");
            Pending(9).await;
        }));
        assert!(poll(&mut task).is_pending());
        drop(task);
        drop(scope!("after"));
    }) else {
        return;
    };
    let id = |name: &str| find(&hits, name).number(0);
    let ends: Vec<_> = hits
        .iter()
        .filter(|hit| hit.probe == "scope_end")
        .map(|hit| (hit.number(0), hit.number(1)))
        .collect();
    assert_eq!(ends, [(id("held"), 0), (id("task"), 2), (id("after"), 0)]);
    assert_eq!(find(&hits, "after").number(1), 0);
    assert_eq!(works_for(&hits).last(), Some(&Vec::new()));
}

#[test]
fn a_future_that_panics_has_failed() {
    let Some(hits) = traced("failed", || {
        let mut task: Pin<Box<InScope<_>>> = Box::pin(open_scope!("task").wrap(async {
            std::panic::resume_unwind(Box::new(()));
        }));
        let polled = catch_unwind(AssertUnwindSafe(|| -> Poll<()> { poll(&mut task) }));
        assert!(polled.is_err());
        drop(task);
    }) else {
        return;
    };
    let end = hits.iter().find(|hit| hit.probe == "scope_end").unwrap();
    assert_eq!(
        (end.number(0), end.number(1)),
        (find(&hits, "task").number(0), 1)
    );
}

#[test]
fn a_future_of_which_nobody_heard_is_only_a_future() {
    let mut task = Box::pin(open_scope!("task").wrap(async { 3 }));
    assert_eq!(poll(&mut task), Poll::Ready(3));
}

#[test]
fn what_is_heard_inside_of_an_unheard_future_stays_inside() {
    let mut task = Box::pin(open_scope!("unheard").wrap(async {
        Pending(1).await;
        let _held = scope!("held");
        Pending(1).await;
        drop(scope!("below held"));
    }));
    assert!(poll(&mut task).is_pending());
    let Some(hits) = traced("unheard", || {
        assert!(poll(&mut task).is_pending());
        drop(scope!("other"));
        assert!(poll(&mut task).is_ready());
    }) else {
        return;
    };
    let held = find(&hits, "held");
    assert_eq!((held.number(1), find(&hits, "other").number(1)), (0, 0));
    assert_eq!(find(&hits, "below held").number(1), held.number(0));
    assert!(hits.iter().all(|hit| hit.number(0) != 0));
    assert_eq!(works_for(&hits).last(), Some(&Vec::new()));
}
