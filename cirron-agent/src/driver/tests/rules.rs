//! Rules that change while a capture runs.

use cirron_core::rules::Rules;

use super::*;
use crate::record::RulesEntry;

/// Numbers of the rules that the engine was given while it ran, in order.
fn given(tape: &Tape) -> Vec<usize> {
    let inputs = tape.inputs().into_iter();
    let counts = inputs.filter_map(|input| match input {
        Input::Rules(RulesEntry(rules)) => Some(rules.rule_count()),
        _ => None,
    });
    counts.collect()
}

#[test]
fn rules_are_given_to_the_engine_and_recorded() {
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    let rules = Rules::of_chunk_timing();
    running.commands().set_rules(rules).unwrap();
    running.stop().request(Reason::Signal);
    running.join();
    assert_eq!(given(&tape), [1]);
}
