//! The census over a process table of the tests' own.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::thread::JoinHandle;

use super::*;
use crate::clock;
use crate::driver::ends::LETTING_GO;
use crate::driver::tests::world::World;

struct Rig {
    census: Census,
    counts: Arc<Counts>,
}

fn rig() -> Rig {
    let counts: Arc<Counts> = Arc::default();
    let census = Census::new(Arc::clone(&counts));
    Rig { census, counts }
}

impl Rig {
    fn unasked(&self) -> u64 {
        self.counts.by_name()["processes_unasked"]
    }

    fn start(&self, world: &World) -> JoinHandle<()> {
        let clerk = self.census.clerk(Box::new(world.clone()));
        std::thread::spawn(move || clerk.run())
    }

    /// The first answer that comes.
    fn wait(&self) -> Option<Answer> {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(10) {
            if let Some(answer) = self.census.take().pop() {
                return Some(answer);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

/// Facts that are told, however busy the machine is.
fn told(rig: &Rig, tgid: u32, parent: Option<u32>) -> Option<ProcessFacts> {
    match rig.census.facts(tgid, parent) {
        Asked::Told(facts) => facts,
        Asked::Later(wanted) => match rig.wait() {
            Some(Answer::Facts { number, facts, .. }) if number == wanted => facts,
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn facts_are_a_process_s_own_or_its_parent_s_or_none() {
    let (rig, world) = (rig(), World::default());
    let seven = world.process(7);
    let clerk = rig.start(&world);
    assert_eq!(told(&rig, 7, None), Some(seven.clone()));
    let child = ProcessFacts { tgid: 8, ..seven };
    assert_eq!(told(&rig, 8, Some(7)), Some(child));
    assert_eq!(told(&rig, 8, Some(9)), None);
    assert_eq!(told(&rig, 8, None), None);
    drop(rig);
    clerk.join().unwrap();
}

#[test]
fn one_process_that_cannot_be_read_costs_the_core_a_moment_once() {
    let (rig, world) = (rig(), World::default());
    world.process(7);
    world.with(|s| s.stuck.insert(7));
    let clerk = rig.start(&world);
    let since = Instant::now();
    let Asked::Later(number) = rig.census.facts(7, None) else {
        panic!("it is stuck");
    };
    assert!(since.elapsed() >= PATIENCE);
    let since = Instant::now();
    for tgid in 100..200 {
        assert!(matches!(rig.census.facts(tgid, None), Asked::Later(_)));
    }
    assert!(since.elapsed() < PATIENCE * 50, "{:?}", since.elapsed());
    world.with(|s| s.stuck.clear());
    let mut all = Vec::new();
    while all.len() < 101 {
        all.extend(rig.census.take());
    }
    let is_first = |a: &Answer| matches!(a, Answer::Facts { tgid: 7, number: n, facts: Some(_) } if *n == number);
    assert!(is_first(&all[0]), "{:?}", all[0]);
    // From here on it is waited for again.
    let since = Instant::now();
    world.with(|s| s.stuck.insert(7));
    assert!(matches!(rig.census.facts(7, None), Asked::Later(_)));
    assert!(since.elapsed() >= PATIENCE);
    world.with(|s| s.stuck.clear());
    drop(rig);
    clerk.join().unwrap();
}

/// Processes that come one behind the other, of which each answer takes a while and none is late by itself.
#[test]
fn of_all_its_time_the_core_waits_for_a_part_however_slow_the_answers_are() {
    let (rig, world) = (rig(), World::default());
    world.with(|s| s.facts_take = Duration::from_millis(4));
    let clerk = rig.start(&world);
    let (began, mut waited) = (Instant::now(), Duration::ZERO);
    for tgid in 0..200 {
        let since = Instant::now();
        rig.census.facts(tgid, None);
        waited += since.elapsed();
        rig.census.take();
        std::thread::sleep(Duration::from_millis(6));
    }
    let all = began.elapsed();
    // Where this thread has lost its processor it has not waited for answers.
    let most = MAX_PATIENCE + all / PATIENCE_SHARE + Duration::from_millis(250);
    assert!(waited < most, "{waited:?} of {all:?}");
    assert!(waited > MAX_PATIENCE / 2, "{waited:?}");
    // It waits again when it has not for a while.
    let since = Instant::now();
    while rig.census.facts(7, None) != Asked::Told(None) {
        assert!(since.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(100));
        rig.census.take();
    }
    drop(rig);
    clerk.join().unwrap();
}

#[test]
fn patience_comes_back_with_time_and_is_never_more_than_it_was() {
    let start = Instant::now();
    let ms = |ms| Duration::from_millis(ms);
    let mut patience = Patience {
        left: MAX_PATIENCE,
        at: start,
    };
    assert_eq!(patience.left(start + ms(5_000)), MAX_PATIENCE);
    patience.spend(start, start + ms(20));
    // A tenth of it has come back.
    assert_eq!(patience.left(start + ms(20)), MAX_PATIENCE - ms(20));
    for n in 1..10 {
        patience.spend(start + ms(20 * n), start + ms(20 * n + 20));
    }
    assert_eq!(patience.left(start + ms(200)), Duration::ZERO);
    assert_eq!(patience.left(start + ms(250)), ms(5));
    assert_eq!(patience.left(start + ms(5_000)), MAX_PATIENCE);
}

#[test]
fn what_waits_for_the_clerk_is_bounded_and_the_rest_counted() {
    let rig = rig();
    let all = u32::try_from(MAX_WAITING).unwrap();
    for tgid in 0..all {
        assert!(matches!(rig.census.facts(tgid, None), Asked::Later(_)));
    }
    assert_eq!(rig.unasked(), 0);
    assert_eq!(rig.census.facts(all, None), Asked::Told(None));
    assert_eq!(rig.unasked(), 1);
    for tgid in 0..=all {
        rig.census.follow(tgid, false);
    }
    assert_eq!(rig.unasked(), 2);
    // One of which something is to be told already has its place.
    rig.census.forget(0);
    assert_eq!(rig.unasked(), 2);
    for tgid in 0..=all {
        rig.census.dying(tgid);
    }
    assert_eq!(rig.unasked(), 3);
}

#[test]
fn whoever_ends_is_told_of_once_by_its_visit_and_when_it_was_asked_for() {
    let (rig, world) = (rig(), World::default());
    world.process(7);
    world.process(8);
    let before = rig.census.follow(7, false);
    rig.census.forget(7);
    let visit = rig.census.follow(7, true);
    assert!(visit > before);
    rig.census.follow(8, false);
    world.with(|s| s.waiting.extend([7, 8]));
    let clerk = rig.start(&world);
    assert_eq!(rig.wait(), Some(Answer::WaitsForUs { tgid: 7, visit }));
    let gone = clock::now();
    world.with(|s| s.processes.remove(&7));
    let Some(Answer::Gone { tgid, visit: v, at }) = rig.wait() else {
        panic!("it has ended");
    };
    assert_eq!((tgid, v), (7, visit));
    assert!(at >= gone);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(rig.census.take(), [], "8 lives, and nobody found it");
    drop(rig);
    clerk.join().unwrap();
}

#[test]
fn a_process_that_is_ending_is_asked_until_it_has_let_go_and_not_for_ever() {
    let (rig, world) = (rig(), World::default());
    world.process(7);
    world.process(8);
    let clerk = rig.start(&world);
    rig.census.dying(7);
    rig.census.dying(8);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(rig.census.take(), []);
    world.with(|s| s.processes.remove(&7));
    assert_eq!(rig.wait(), Some(Answer::HasLetGo { tgid: 7 }));
    std::thread::sleep(LETTING_GO + Duration::from_millis(50));
    world.with(|s| s.processes.remove(&8));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(rig.census.take(), []);
    drop(rig);
    clerk.join().unwrap();
}
