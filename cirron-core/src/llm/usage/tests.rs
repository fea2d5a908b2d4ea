//! What is believed of what is reported.

use super::*;

/// Input, output, total, cached, reasoning; -1 is not said.
fn usage(counts: [i64; 5]) -> Usage {
    let [input, output, total, cached, reasoning] = counts.map(|n| Some(n).filter(|n| *n >= 0));
    Usage {
        input,
        output,
        total,
        cached,
        reasoning,
        ..Usage::default()
    }
}

#[test]
fn reports_are_merged_member_by_member() {
    for (reports, want) in [
        // Split over two: the answer's behind the prompt's, and the other way.
        (
            vec![[12, -1, -1, 4, -1], [-1, 5, -1, -1, -1]],
            [12, 5, -1, 4, -1],
        ),
        (
            vec![[-1, 5, -1, -1, 2], [12, -1, 17, -1, -1]],
            [12, 5, 17, -1, 2],
        ),
        // As it goes; a sum is that of the counts beside it.
        (
            vec![[12, 1, 13, -1, -1], [12, 5, 17, -1, -1]],
            [12, 5, 17, -1, -1],
        ),
        (
            vec![[12, 1, 13, -1, -1], [-1, 5, -1, -1, -1]],
            [12, 5, -1, -1, -1],
        ),
        (
            vec![[12, 5, 17, -1, -1], [-1, -1, -1, 3, -1]],
            [12, 5, 17, 3, -1],
        ),
        // Zeros say nothing against a count.
        (vec![[12, 5, 17, 3, 2], [0, 0, 0, 0, 0]], [12, 5, 17, 3, 2]),
        (vec![[0, 0, 0, 0, 0], [12, 5, 17, 3, 2]], [12, 5, 17, 3, 2]),
        (vec![[12, 0, 12, -1, -1]], [12, 0, 12, -1, -1]),
    ] {
        let mut all = Usage::default();
        for report in &reports {
            all.take(&usage(*report));
        }
        assert_eq!(all, usage(want), "{reports:?}");
    }
}

#[test]
fn what_is_told_by_who_did_not_count_is_not_believed() {
    // Told; content, reasoning seen; believed.
    for (told, content, reasoning, want) in [
        // LocalAI and LitServe; gateways that count one side.
        ([0, 0, 0, -1, -1], true, false, [-1, -1, -1, -1, -1]),
        ([12, 0, 12, 0, 0], true, false, [12, -1, -1, 0, 0]),
        ([0, 5, 5, -1, -1], true, false, [-1, 5, -1, -1, -1]),
        ([0, 5, 17, -1, -1], true, false, [-1, 5, 17, -1, -1]),
        ([12, -1, 12, -1, -1], true, false, [12, -1, -1, -1, -1]),
        ([12, 0, 40, -1, -1], true, false, [12, -1, 40, -1, -1]),
        ([0, 0, 0, 0, 0], false, false, [-1, -1, -1, -1, -1]),
        ([0, -1, 0, 0, -1], false, false, [-1, -1, -1, -1, -1]),
        // An embedding, an answer without content.
        ([8, 0, 8, -1, -1], false, false, [8, 0, 8, -1, -1]),
        ([8, -1, 8, -1, -1], false, false, [8, -1, 8, -1, -1]),
        ([12, 0, 12, 0, 0], false, false, [12, 0, 12, 0, 0]),
        ([-1, 0, -1, -1, -1], false, false, [-1, 0, -1, -1, -1]),
        // A 0 of the reasoning, where some was seen (SGLang, NIM) and where none was.
        ([12, 5, 17, 0, 0], true, true, [12, 5, 17, 0, -1]),
        ([12, 5, 17, 0, 0], true, false, [12, 5, 17, 0, 0]),
        // A sum that cannot be one.
        ([12, 5, 5, -1, -1], true, false, [12, 5, -1, -1, -1]),
        ([12, 5, 0, -1, -1], true, false, [12, 5, -1, -1, -1]),
        ([-1, -1, 0, -1, -1], true, false, [-1, -1, -1, -1, -1]),
        ([-1, -1, 17, -1, -1], true, false, [-1, -1, 17, -1, -1]),
    ] {
        let got = usage(told).believed(content, reasoning);
        assert_eq!(got, usage(want), "{told:?} {content} {reasoning}");
    }
}

#[test]
fn reasoning_that_the_sum_shows_to_be_left_out_is_put_in() {
    for (told, want) in [
        // xAI; a gateway whose answer is all reasoning.
        ([12, 1, 399, -1, 386], [12, 387, 399, -1, 386]),
        ([21, 0, 81, -1, 60], [21, 60, 81, -1, 60]),
        // It is in.
        ([12, 387, 399, -1, 386], [12, 387, 399, -1, 386]),
        ([12, 10, 22, -1, 10], [12, 10, 22, -1, 10]),
        ([12, 10, 22, -1, 0], [12, 10, 22, -1, -1]),
        // No part is larger than the whole.
        ([12, 1, -1, -1, 386], [12, 387, -1, -1, 386]),
        ([-1, 1, -1, -1, 386], [-1, 387, -1, -1, 386]),
        // Nothing shows it: what is told stays.
        ([12, 386, -1, -1, 386], [12, 386, -1, -1, 386]),
        ([12, 0, -1, -1, 386], [12, -1, -1, -1, 386]),
        ([12, 1, 13, -1, 386], [12, 1, 13, -1, 386]),
        ([12, 1, 400, -1, 386], [12, 1, 400, -1, 386]),
        ([12, 1, 399, -1, -1], [12, 1, 399, -1, -1]),
        ([-1, 1, 387, -1, 386], [-1, 1, 387, -1, 386]),
    ] {
        assert_eq!(usage(told).believed(true, true), usage(want), "{told:?}");
    }
}

#[test]
fn answers_to_one_prompt_add_up() {
    let mut all = usage([12, 5, 17, 3, 2]);
    all.add_other(&usage([12, 7, 19, 3, -1]));
    assert_eq!(all, usage([12, 12, -1, 3, 2]));
}
