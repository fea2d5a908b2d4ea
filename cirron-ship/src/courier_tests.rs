#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;

use super::*;
use crate::testing::Spool;

/// Answers as it was told, then takes everything.
#[derive(Default)]
struct Told {
    answers: VecDeque<Outcome>,
    came: Vec<String>,
}

impl Destination for Told {
    fn name(&self) -> &str {
        "told"
    }

    fn place(&self) -> String {
        "told".to_owned()
    }

    fn send(&mut self, batch: &Batch, _: SystemTime) -> Outcome {
        self.came.push(batch.id().to_owned());
        self.answers
            .pop_front()
            .unwrap_or(Outcome::Sent { bytes: 10 })
    }
}

fn courier(spool: &Spool, answers: Vec<Outcome>) -> Courier<Told> {
    let place = Arc::clone(&spool.place);
    let ledger = Ledger::open(Arc::clone(&place), "told").unwrap();
    let follower = Follower::new(Arc::clone(&place), spool.dir.path());
    let told = Told {
        answers: answers.into(),
        came: Vec::new(),
    };
    let ledger = Arc::new(Mutex::new(ledger));
    Courier::new(place, follower, ledger, told, Arc::default())
}

fn at(mono: Duration) -> Now {
    Now {
        mono,
        wall: SystemTime::now(),
    }
}

/// Until it is idle, in no time: waits are added up. The times at which batches were tried again.
fn run(courier: &mut Courier<Told>, from: Duration) -> (Duration, Vec<Duration>) {
    let (mut now, mut waits) = (from, Vec::new());
    loop {
        match courier.turn(at(now)).unwrap() {
            Turn::Again => {}
            Turn::Wait(until) => {
                waits.push(until - now);
                now = until;
            }
            Turn::Idle => return (now, waits),
        }
    }
}

fn ids(times: &[u64]) -> Vec<String> {
    times
        .iter()
        .map(|time| format!("{:032x}", time + 1))
        .collect()
}

fn retry(after: Option<u64>) -> Outcome {
    Outcome::Retry {
        after: after.map(Duration::from_secs),
        why: "busy".to_owned(),
    }
}

fn give_up(reason: Reason) -> Outcome {
    Outcome::GiveUp {
        reason,
        why: "no".to_owned(),
    }
}

#[test]
fn a_batch_that_must_wait_holds_those_behind_it_and_all_arrive_in_order() {
    let spool = Spool::new();
    (1..4).for_each(|time| drop(spool.batch(time)));
    let sent = Outcome::Sent { bytes: 5 };
    let mut courier = courier(
        &spool,
        vec![sent, retry(None), retry(Some(7)), retry(Some(600))],
    );
    let (_, waits) = run(&mut courier, Duration::ZERO);
    assert_eq!(courier.destination.came, ids(&[1, 2, 2, 2, 2, 3]));
    assert!(
        waits[0] >= FIRST_BACKOFF && waits[0] < FIRST_BACKOFF * 2,
        "{waits:?}"
    );
    assert_eq!(waits[1..], [Duration::from_secs(7), MAX_RETRY_AFTER]);
    let totals = courier.counts.totals();
    assert_eq!(
        (totals.batches_sent, totals.bytes_sent, totals.retries),
        (3, 25, 3)
    );
    assert_eq!((totals.behind_batches, totals.oldest_ns), (0, None));
}

#[test]
fn a_dead_destination_is_asked_ever_less_and_costs_the_spool_nothing() {
    let spool = Spool::new();
    (1..4).for_each(|time| drop(spool.batch(time)));
    let mut courier = courier(&spool, vec![retry(None); 12]);
    let mut now = Duration::ZERO;
    let mut waits = Vec::new();
    while waits.len() < 12 {
        let Turn::Wait(until) = courier.turn(at(now)).unwrap() else {
            panic!("it sent");
        };
        waits.push(until - now);
        now = until;
    }
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert_eq!(waits.last(), Some(&MAX_BACKOFF));
    let totals = courier.counts.totals();
    assert_eq!((totals.behind_batches, totals.oldest_ns), (3, Some(1)));
    assert_eq!(totals.behind_s(3_000_000_001), 3.0);
    run(&mut courier, now);
    assert_eq!(courier.counts.totals().batches_sent, 3);
}

#[test]
fn what_is_given_up_is_counted_by_reason_remembered_and_holds_nothing() {
    let spool = Spool::new();
    spool.put(0, b"{\"half");
    (1..6).for_each(|time| drop(spool.batch(time)));
    let answers = [
        Reason::Refused,
        Reason::TooLarge,
        Reason::NotAllowed,
        Reason::NotAllowed,
    ];
    let mut courier = courier(&spool, answers.map(give_up).to_vec());
    run(&mut courier, Duration::ZERO);
    assert_eq!(courier.destination.came, ids(&[1, 2, 3, 4, 5]));
    let totals = courier.counts.totals();
    let want = [
        ("damaged", 1),
        ("not_allowed", 2),
        ("refused", 1),
        ("too_large", 1),
    ];
    assert_eq!(totals.given_up, want.into());
    assert_eq!((totals.batches_sent, totals.given_up_count()), (1, 5));
    let kept = std::fs::read_to_string(spool.dir.path().join("ship/told.given-up")).unwrap();
    assert_eq!(kept.lines().count(), 5, "{kept}");
    assert!(
        kept.lines().nth(2).unwrap().ends_with(" too_large"),
        "{kept}"
    );
    drop(courier);
    // With another key they are sent.
    let mut ledger = Ledger::open(Arc::clone(&spool.place), "told").unwrap();
    assert_eq!(ledger.again().unwrap(), 5);
    drop(ledger);
    let mut courier = self::courier(&spool, Vec::new());
    run(&mut courier, Duration::ZERO);
    assert_eq!(courier.destination.came, ids(&[1, 2, 3, 4]));
}

#[test]
fn a_process_that_is_killed_sends_its_last_batch_again_under_the_same_id_and_leaves_none_out() {
    let spool = Spool::new();
    (1..5).for_each(|time| drop(spool.batch(time)));
    let mut first = courier(&spool, Vec::new());
    assert_eq!(first.turn(at(Duration::ZERO)).unwrap(), Turn::Again);
    let ledger = spool.dir.path().join("ship/told.json");
    let before = std::fs::read(&ledger).unwrap();
    assert_eq!(first.turn(at(Duration::ZERO)).unwrap(), Turn::Again);
    assert_eq!(first.destination.came, ids(&[1, 2]));
    drop(first);
    // Killed behind the send of the second, before the ledger had it.
    std::fs::write(&ledger, before).unwrap();
    let mut second = courier(&spool, Vec::new());
    run(&mut second, Duration::ZERO);
    assert_eq!(second.destination.came, ids(&[2, 3, 4]));
}

#[test]
fn a_batch_that_the_cap_removed_is_counted_and_the_next_is_sent() {
    let spool = Spool::new();
    let first = spool.batch(1);
    spool.batch(2);
    let mut courier = courier(&spool, vec![retry(None)]);
    assert!(matches!(
        courier.turn(at(Duration::ZERO)).unwrap(),
        Turn::Wait(_)
    ));
    std::fs::remove_file(spool.dir.path().join("spool").join(first.as_str())).unwrap();
    run(&mut courier, MAX_BACKOFF);
    assert_eq!(courier.destination.came, ids(&[1, 2]));
    assert_eq!(courier.counts.totals().batches_vanished, 1);
}

#[test]
fn a_ledger_that_cannot_be_written_is_counted_and_sending_goes_on() {
    let spool = Spool::new();
    (1..4).for_each(|time| drop(spool.batch(time)));
    let mut courier = courier(&spool, Vec::new());
    std::fs::create_dir(spool.dir.path().join("ship/told.json.tmp")).unwrap();
    run(&mut courier, Duration::ZERO);
    assert_eq!(courier.counts.totals().ledger_errors, 3);
    assert_eq!(courier.destination.came, ids(&[1, 2, 3]));
}
