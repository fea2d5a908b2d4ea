//! Reports against content, in every order.

use super::*;
use crate::llm::Content;

const ANSWER: Content = Content {
    answer: true,
    reasoning: false,
    tool: false,
};

/// An answer as it comes.
#[derive(Clone, Copy, Debug)]
enum AnswerPart {
    /// An event with content.
    Content,
    /// One without, that reports this number of tokens.
    Report(i64),
    /// One with both.
    Both(i64),
    Hole,
    Error,
}
use AnswerPart::{Both, Content as C, Error, Hole, Report as R};

fn believed(steps: &[AnswerPart], ended: bool) -> Believed {
    let (mut told, mut tokens) = (Told::default(), TokenTimes::default());
    let mut facts = ResponseFacts::default();
    let mut unbroken = true;
    for (ts, step) in (1..).zip(steps) {
        let report = match step {
            R(n) | Both(n) => Some(*n),
            C | Error | Hole => None,
        };
        let usage = Usage {
            input: report.map(|_| 7),
            output: report,
            ..Usage::default()
        };
        facts.report(&usage, false);
        match step {
            Hole => {
                unbroken = false;
                tokens.hole();
                told.lose();
                continue;
            }
            Error => facts.error = Some("e".to_owned()),
            C | Both(_) => tokens.take(MonoNs(ts), ANSWER, false),
            R(_) => {}
        }
        told.event(Some(MonoNs(ts)), &facts, tokens.count);
    }
    told.believed(&tokens, true, ended, unbroken, &Usage::default())
}

#[test]
fn a_report_of_all_is_believed_and_any_other_gives_way_to_the_events() {
    // Reported, a lower bound, estimated.
    for (steps, ended, want) in [
        (vec![C, C, R(9)], true, (Some(9), false, None)),
        (vec![Both(4), Both(9)], true, (Some(9), false, None)),
        (
            vec![R(0), Both(1), Both(2), R(2)],
            true,
            (Some(2), false, None),
        ),
        (vec![C, C, C, R(1)], true, (Some(1), false, None)),
        // Told before there was any.
        (vec![R(1), C, C, C], true, (None, false, Some(3))),
        (vec![R(50), C, C, C], true, (None, false, Some(3))),
        (vec![R(0), C], true, (None, false, Some(1))),
        // Told on the way.
        (vec![Both(1), C, C], true, (None, false, Some(3))),
        (vec![Both(5), C, C], true, (None, false, Some(7))),
        (vec![C, C, R(1), C], true, (None, false, Some(3))),
        // By who did not count.
        (vec![C, C, R(0)], true, (None, false, Some(2))),
        (vec![R(1), C, C, R(0)], true, (None, false, Some(2))),
        (vec![Both(0), Both(0)], true, (None, false, Some(2))),
        (vec![C, C], true, (None, false, Some(2))),
        // Without content a report is true, if there was an end.
        (vec![R(0)], true, (Some(0), false, None)),
        (vec![R(1)], true, (Some(1), false, None)),
        (vec![R(0)], false, (None, true, None)),
        (vec![], true, (None, false, None)),
        // No end.
        (vec![Both(1), Both(2)], false, (Some(2), true, None)),
        (vec![R(1), C, C, C], false, (None, true, Some(3))),
        (vec![C, C, R(9)], false, (Some(9), true, None)),
        // An error.
        (vec![R(1), C, C, C, Error], true, (None, false, Some(3))),
        (vec![Both(1), Both(2), Error], true, (Some(2), true, None)),
        (vec![C, C, Error, R(9)], true, (Some(9), false, None)),
        (vec![C, C, Error, R(9), R(9)], true, (Some(9), false, None)),
        (vec![Error], true, (None, false, None)),
    ] {
        let got = believed(&steps, ended);
        let got = (got.usage.output, got.at_least, got.estimate);
        assert_eq!(got, want, "{steps:?} {ended}");
    }
}

#[test]
fn behind_a_hole_a_report_is_the_least_there_was() {
    for (steps, want) in [
        (vec![C, Hole, C, R(9)], (Some(9), false, None)),
        (vec![Both(1), Both(2), Hole], (Some(2), true, None)),
        (vec![C, R(9), Hole], (Some(9), true, None)),
        // What was lost may be in it, or may not.
        (vec![Hole, R(5), C], (None, false, Some(5))),
        (vec![Hole, R(1), C, C], (None, false, Some(2))),
        (vec![Both(4), Hole, C], (None, false, Some(4))),
        (vec![Hole, R(0)], (None, false, None)),
    ] {
        let got = believed(&steps, true);
        let got = (got.usage.output, got.at_least, got.estimate);
        assert_eq!(got, want, "{steps:?}");
    }
}

#[test]
fn an_estimate_leaves_no_figure_that_counts_the_answer() {
    let report = Usage {
        input: Some(7),
        output: Some(1),
        total: Some(8),
        cached: Some(2),
        reasoning: Some(1),
        audio_input: Some(3),
        audio_output: Some(1),
    };
    let (mut told, mut tokens) = (Told::default(), TokenTimes::default());
    let mut facts = ResponseFacts::default();
    facts.report(&report, false);
    told.event(Some(MonoNs(1)), &facts, 0);
    tokens.take(MonoNs(2), ANSWER, false);
    told.event(Some(MonoNs(2)), &facts, 1);
    let got = told.believed(&tokens, true, true, true, &Usage::default());
    let want = Usage {
        input: Some(7),
        cached: Some(2),
        audio_input: Some(3),
        ..Usage::default()
    };
    assert_eq!((got.usage, got.estimate), (want, Some(1)));
    // One document has no order.
    let got = told.believed(&tokens, false, true, true, &Usage::default());
    assert_eq!((got.usage.output, got.estimate), (Some(1), None));
    // What a trailer says it says of all.
    let trailer = Usage {
        output: Some(6),
        ..Usage::default()
    };
    let got = told.believed(&tokens, true, true, true, &trailer);
    assert_eq!((got.usage.output, got.estimate), (Some(6), None));
}

#[test]
fn what_the_client_left_before_is_told_to_nobody() {
    let (mut told, mut tokens) = (Told::default(), TokenTimes::default());
    let mut facts = ResponseFacts::default();
    let mut both = |told: &mut Told, tokens: &mut TokenTimes, n: u64| {
        let count = i64::try_from(n).ok();
        facts.report(
            &Usage {
                input: Some(7),
                output: count,
                ..Usage::default()
            },
            false,
        );
        tokens.take(MonoNs(n), ANSWER, false);
        told.event(Some(MonoNs(n)), &facts, tokens.count);
    };
    for n in 1..=2 {
        both(&mut told, &mut tokens, n);
    }
    told.leave(MonoNs(3));
    tokens.leave(MonoNs(3));
    for n in 3..=9 {
        both(&mut told, &mut tokens, n);
    }
    let stayed = told.believed(&tokens, true, true, true, &Usage::default());
    assert_eq!(stayed.usage.output, Some(9));
    told.settle(true);
    tokens.settle(true);
    let left = told.believed(&tokens, true, false, true, &Usage::default());
    assert_eq!((left.usage.output, left.usage.input), (Some(3), Some(7)));
    assert!(left.at_least && left.estimate.is_none());
}
