#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::store::{Life, Origin, Start, Store};
use super::super::{Mark, ScopeFacts, Span, names as n};
use super::*;
use crate::id::SequentialIds;
use crate::llm::SESSIONS;

struct Bench {
    turns: Turns,
    store: Store,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            turns: Turns::new(&SESSIONS[0], false, false),
            store: Store::new(Box::new(SequentialIds::default())),
        }
    }

    fn says(&mut self, ts: u64, by: Sender, json: &str) {
        let start = Start::at_zero();
        let id = Id([0; 16]);
        let mut desk = Desk::new(&mut self.store, Origin { id, start });
        self.turns.push(by, json.as_bytes());
        self.turns.message(MonoNs(ts), by, true, &mut desk);
    }

    fn asks(&mut self, ts: u64) {
        self.says(ts, Sender::Client, r#"{"type":"response.create"}"#);
    }

    fn answers(&mut self, ts: u64, what: &str) {
        let json = format!(r#"{{"type":"response.{what}","response":{{"id":"r"}}}}"#);
        self.says(ts, Sender::Server, &json);
    }

    fn open(&mut self, at: usize) -> (Begin, MonoNs) {
        let scope = self.turns.open[at].scope;
        let start = self.store.origin(scope).unwrap().start.at;
        (self.store.get_mut::<Turn>(scope).unwrap().begin, start)
    }

    fn closed(&mut self) -> (Span, Vec<Mark>, ScopeFacts) {
        match self.store.next_life() {
            Some(Life::Closed { span, marks, facts }) => (span, marks, facts),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_question_seen_behind_its_answer_is_told_by_the_stamps() {
    let mut bench = Bench::new();
    bench.answers(20, "created");
    bench.asks(10);
    let (begin, start) = bench.open(0);
    assert!(matches!(begin, Begin::Asked(MonoNs(10))));
    assert_eq!(start, MonoNs(10), "its scope begins then too");
    assert!(bench.turns.asked.is_empty());
    // One that was asked for later is another.
    bench.asks(30);
    assert_eq!(bench.turns.asked, [MonoNs(30)]);
}

#[test]
fn a_question_whose_answer_is_over_waits_for_no_other() {
    let mut bench = Bench::new();
    bench.answers(20, "created");
    bench.answers(25, "done");
    bench.asks(10);
    assert!(bench.turns.asked.is_empty());
    bench.answers(40, "created");
    assert!(matches!(bench.open(0).0, Begin::Created));
}

#[test]
fn what_is_over_holds_nothing_any_more() {
    let mut bench = Bench::new();
    let empty = bench.turns.held_bytes();
    bench.answers(20, "created");
    assert!(bench.turns.held_bytes() > empty);
    bench.answers(25, "done");
    assert_eq!(bench.turns.held_bytes(), empty);
}

#[test]
fn a_response_that_nobody_counted_has_the_count_of_its_pieces() {
    for (usage, want, estimated) in [
        (r#"{"input_tokens":12,"output_tokens":9}"#, 9, false),
        (
            r#"{"input_tokens":0,"output_tokens":0,"total_tokens":0}"#,
            2,
            true,
        ),
        (r#"{"input_tokens":-1,"output_tokens":-1}"#, 2, true),
        ("null", 2, true),
    ] {
        let mut bench = Bench::new();
        bench.answers(10, "created");
        for ts in [20, 30] {
            let json = r#"{"type":"response.output_text.delta","response_id":"r","delta":"a"}"#;
            bench.says(ts, Sender::Server, json);
        }
        let done = format!(
            r#"{{"type":"response.done","response":{{"id":"r","status":"completed","usage":{usage}}}}}"#
        );
        bench.says(40, Sender::Server, &done);
        let (span, list, facts) = bench.closed();
        assert_eq!(facts.output_tokens, Some(want), "{usage}");
        let output = list.iter().find(|m| m.name == n::OUTPUT_TOKENS);
        let is_marked = output.is_some_and(|m| m.attrs.contains_key(n::ESTIMATED));
        assert_eq!(is_marked, estimated, "{usage}");
        let input = list.iter().any(|m| m.name == n::INPUT_TOKENS);
        assert_eq!(input, !estimated, "{usage}");
        let figures = if estimated { "estimated" } else { "complete" };
        assert_eq!(span.attrs[n::FIGURES], figures.into(), "{usage}");
    }
}

#[test]
fn a_response_that_breaks_off_has_the_sessions_model() {
    let mut bench = Bench::new();
    let session = r#"{"type":"session.created","session":{"model":"gpt-realtime"}}"#;
    bench.says(1, Sender::Server, session);
    bench.answers(20, "created");
    let start = Start::at_zero();
    let origin = Origin {
        id: Id([0; 16]),
        start,
    };
    bench.turns.finish(&mut Desk::new(&mut bench.store, origin));
    let (span, _, facts) = bench.closed();
    assert_eq!(span.attrs[n::RESPONSE_MODEL], "gpt-realtime".into());
    assert!(facts.partial);
}
