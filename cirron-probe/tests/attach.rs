//! A real tracer: the kernel's breakpoints, semaphores and arguments, on the test itself.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use cirron_probe::{mark, open_scope, request, scope, MAX_DEPTH};
use support::tracer::{Hit, Place, Tracer};

/// A probe listens to the whole program, tests are threads of it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What happens while somebody listens.
fn traced(test: &str, act: impl FnOnce()) -> Option<Vec<Hit>> {
    let _alone: MutexGuard<'_, ()> = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let tracer = Tracer::new(test, &std::env::current_exe().unwrap())?;
    tracer.listen();
    act();
    tracer.stop();
    Some(tracer.hits())
}

fn probes(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.probe.as_str()).collect()
}

/// Identities are numbers of the whole program: the first one that the test sees is its first.
fn id(hits: &[Hit], name: &str) -> u64 {
    let begun = |hit: &&Hit| {
        ["scope_begin", "scope_open"].contains(&hit.probe.as_str()) && hit.text(2) == name
    };
    hits.iter()
        .find(begun)
        .unwrap_or_else(|| panic!("no scope {name}"))
        .number(0)
}

#[test]
fn a_nested_scope_arrives_as_it_was() {
    let Some(hits) = traced("nested", || {
        let _outer = scope!("preprocess", index = 7_usize, rows = -3, model = "tiny");
        let _inner = scope!("decode");
        mark!("tokens", 17, summary, source = "model");
    }) else {
        return;
    };
    assert_eq!(
        probes(&hits),
        [
            "scope_begin",
            "scope_begin",
            "mark",
            "scope_end",
            "scope_end"
        ]
    );
    let [outer, inner] = [id(&hits, "preprocess"), id(&hits, "decode")];
    assert_eq!((hits[0].number(1), hits[1].number(1)), (0, outer));
    let mut attributes = vec![6, 0, 8, 0];
    attributes.extend(7_i64.to_ne_bytes());
    attributes.extend(*b"\x01\x04\x08\x00rows");
    attributes.extend((-3_i64).to_ne_bytes());
    attributes.extend(*b"\x04\x05\x04\x00modeltiny");
    assert_eq!(hits[0].bytes(4), attributes);
    assert_eq!(hits[1].number(5), 0);
    let mark = &hits[2];
    assert_eq!((mark.number(0), mark.text(1)), (inner, "tokens"));
    assert_eq!(
        (mark.number(3), mark.number(4), mark.number(5)),
        (1 | 1 << 8, 17, 0)
    );
    assert_eq!(mark.bytes(6), b"\x04\x06\x05\x00sourcemodel");
    assert_eq!((hits[3].number(0), hits[3].number(1)), (inner, 0));
    assert_eq!((hits[4].number(0), hits[4].number(1)), (outer, 0));
    assert!(hits.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[test]
fn values_of_every_kind_arrive() {
    let Some(hits) = traced("values", || {
        mark!("int", -5_i8);
        mark!("uint", u64::MAX);
        mark!("float", 0.25_f32);
        mark!("bool", true);
        mark!("text", "warm");
        mark!("long", "\u{20ac}".repeat(1_000));
        mark!("absent", None::<i64>);
        mark!("nan", f64::NAN, point);
    }) else {
        return;
    };
    let seen: Vec<_> = hits
        .iter()
        .map(|hit| (hit.text(1).to_owned(), hit.number(3), hit.number(4)))
        .collect();
    let numbers = [&seen[..4], &seen[6..]].concat();
    let expected = [
        ("int", 1, -5_i64 as u64),
        ("uint", 5, u64::MAX),
        ("float", 2, 0.25_f64.to_bits()),
        ("bool", 3, 1),
        ("nan", 2, f64::NAN.to_bits()),
    ];
    assert_eq!(
        numbers,
        expected.map(|(name, kind, value)| (name.to_owned(), kind, value))
    );
    assert_eq!((hits[4].number(3), hits[4].text(4)), (4, "warm"));
    // 85 characters of three bytes; the bit says that more was there.
    assert_eq!((hits[5].number(3), hits[5].number(5)), (4 | 1 << 9, 255));
}

#[test]
fn a_request_is_a_root() {
    let Some(hits) = traced("request", || {
        let _outer = scope!("batch");
        let _request = request!("job-7", model = "tiny");
        let _inner = scope!("model");
        drop(request!());
    }) else {
        return;
    };
    assert_eq!(
        probes(&hits)[..4],
        [
            "scope_begin",
            "request_begin",
            "scope_begin",
            "request_begin"
        ]
    );
    assert_eq!((hits[1].number(1), hits[1].text(2)), (0, "job-7"));
    assert_eq!(hits[2].number(1), hits[1].number(0));
    assert_eq!((hits[3].number(2), hits[3].number(3)), (0, 0));
}

#[test]
fn deeper_than_the_limit_is_counted_and_balanced() {
    let before = cirron_probe::dropped();
    let Some(hits) = traced("depth", || {
        let guards: Vec<_> = (0..MAX_DEPTH + 3)
            .map(|i| scope!("deep", index = i))
            .collect();
        mark!("here", 1);
        drop(guards);
        drop(scope!("after"));
    }) else {
        return;
    };
    let count = |probe: &str| hits.iter().filter(|hit| hit.probe == probe).count();
    assert_eq!(
        (count("scope_begin"), count("scope_end")),
        (MAX_DEPTH + 1, MAX_DEPTH + 1)
    );
    let dropped: Vec<_> = hits.iter().filter(|hit| hit.probe == "dropped").collect();
    assert_eq!(dropped.len(), 3);
    assert_eq!(
        (dropped[2].number(0), dropped[2].number(1)),
        (1, before + 3)
    );
    // The mark is that of the innermost one that was told.
    let mark = hits.iter().find(|hit| hit.probe == "mark").unwrap();
    let innermost = hits
        .iter()
        .rfind(|hit| hit.probe == "scope_begin" && hit.text(2) == "deep");
    assert_eq!(mark.number(0), innermost.unwrap().number(0));
    // Afterwards nothing is left on the stack.
    let after = hits
        .iter()
        .find(|hit| hit.probe == "scope_begin" && hit.text(2) == "after");
    assert_eq!(after.unwrap().number(1), 0);
}

#[test]
fn ends_out_of_order_keep_the_parents_right() {
    let Some(hits) = traced("order", || {
        let outer = scope!("outer");
        let inner = scope!("inner");
        drop(outer);
        drop(scope!("below inner"));
        drop(inner);
        drop(scope!("below nothing"));
    }) else {
        return;
    };
    let begun = |name: &str| {
        hits.iter()
            .find(|hit| hit.number(0) == id(&hits, name))
            .unwrap()
    };
    assert_eq!(begun("below inner").number(1), id(&hits, "inner"));
    assert_eq!(begun("below nothing").number(1), 0);
}

#[test]
fn a_panic_ends_its_scopes_and_says_so() {
    let Some(hits) = traced("panic", || {
        let _outer = scope!("outer");
        let inner = AssertUnwindSafe(|| {
            let _inner = scope!("inner");
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(catch_unwind(inner).is_err());
    }) else {
        return;
    };
    assert_eq!(
        probes(&hits),
        ["scope_begin", "scope_begin", "scope_end", "scope_end"]
    );
    let ends: Vec<_> = hits[2..]
        .iter()
        .map(|hit| (hit.number(0), hit.number(1)))
        .collect();
    assert_eq!(ends, [(id(&hits, "inner"), 1), (id(&hits, "outer"), 0)]);
}

#[test]
fn a_handle_takes_its_scope_to_another_thread() {
    let Some(hits) = traced("threads", || {
        let outer = scope!("outer");
        let handle = open_scope!("fetch");
        drop(outer);
        thread::spawn(move || {
            {
                let _here = handle.entered();
                drop(scope!("parse"));
            }
            drop(scope!("elsewhere"));
            mark!(on handle, "bytes", 3);
            handle.end();
        })
        .join()
        .unwrap();
    }) else {
        return;
    };
    let fetch = id(&hits, "fetch");
    let seen: Vec<_> = hits
        .iter()
        .map(|hit| (hit.probe.as_str(), hit.number(0)))
        .collect();
    let [outer, parse, elsewhere] = ["outer", "parse", "elsewhere"].map(|name| id(&hits, name));
    assert_eq!(
        seen,
        [
            ("scope_begin", outer),
            ("scope_open", fetch),
            ("scope_end", outer),
            ("scope_enter", fetch),
            ("scope_begin", parse),
            ("scope_end", parse),
            ("scope_exit", fetch),
            ("scope_begin", elsewhere),
            ("scope_end", elsewhere),
            ("mark", fetch),
            ("scope_end", fetch),
        ]
    );
    let parents = [1, 4, 7].map(|i: usize| hits[i].number(1));
    assert_eq!(parents, [outer, fetch, 0]);
    assert_ne!(hits[3].thread, hits[0].thread);
    assert!(hits[3..].iter().all(|hit| hit.thread == hits[3].thread));
}

#[test]
fn threads_do_not_mix_and_identities_are_unique() {
    const THREADS: usize = 4;
    const EACH: usize = 50;
    let Some(hits) = traced("many", || {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let _outer = scope!("outer");
                        let _inner = scope!("inner");
                    }
                });
            }
        });
    }) else {
        return;
    };
    let begun: Vec<_> = hits
        .iter()
        .filter(|hit| hit.probe == "scope_begin")
        .collect();
    let ids: std::collections::BTreeSet<u64> = begun.iter().map(|hit| hit.number(0)).collect();
    assert_eq!(
        (begun.len(), ids.len()),
        (2 * THREADS * EACH, 2 * THREADS * EACH)
    );
    for inner in begun.iter().filter(|hit| hit.text(2) == "inner") {
        let parent = begun
            .iter()
            .find(|hit| hit.number(0) == inner.number(1))
            .unwrap();
        assert_eq!((parent.thread, parent.text(2)), (inner.thread, "outer"));
    }
}

#[test]
fn a_tracer_that_comes_late_or_leaves_early_sees_no_half_truths() {
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let Some(tracer) = Tracer::new("late", &std::env::current_exe().unwrap()) else {
        return;
    };
    let unheard = scope!("unheard");
    tracer.listen();
    let inner = scope!("inner");
    tracer.stop();
    let hits = tracer.hits();
    assert_eq!((probes(&hits), hits[0].number(1)), (vec!["scope_begin"], 0));
    drop(inner);
    tracer.listen();
    let parent_is_gone = scope!("parent is gone");
    drop(unheard);
    drop(parent_is_gone);
    tracer.stop();
    let hits = tracer.hits();
    assert_eq!(
        (probes(&hits), hits[0].number(1)),
        (vec!["scope_begin", "scope_end"], 0)
    );
}

#[test]
fn a_tracer_at_the_second_nop_destroys_nothing() {
    const TIMES: i64 = 2_000;
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let path = std::env::current_exe().unwrap();
    let Some(tracer) = Tracer::at("second", &path, Place::Second, true) else {
        return;
    };
    tracer.listen();
    // Kernels that turn the nop into a call do so after the first hit.
    let mut sum = 0;
    for i in 0..TIMES {
        let _scope = scope!("second", index = i, "text" = "kept");
        mark!("i", i, summary, a = i);
        sum += i;
    }
    tracer.stop();
    assert_eq!(sum, TIMES * (TIMES - 1) / 2);
    let hits = tracer.hits();
    let marks: Vec<_> = hits.iter().filter(|hit| hit.probe == "mark").collect();
    assert_eq!(marks.len() as i64, TIMES);
    for (i, mark) in marks.iter().enumerate() {
        assert_eq!(mark.number(4), i as u64);
        let mut attributes = b"\x01\x01\x08\x00a".to_vec();
        attributes.extend(i.to_ne_bytes());
        assert_eq!(mark.bytes(6), attributes);
    }
}
