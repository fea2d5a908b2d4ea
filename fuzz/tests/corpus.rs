//! The corpus is replayed, with some mutations of each input.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_core::testing::fuzz;
use cirron_fuzz::mutate::{Random, mutate};
use cirron_fuzz::{TARGETS, corpus};

/// Mutations of each input; enough to notice a rule that is broken everywhere.
const MUTATIONS: usize = 300;

#[test]
fn every_input_of_the_corpus_keeps_the_rules() {
    for target in TARGETS {
        let inputs = corpus(target).unwrap();
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for (path, input) in &inputs {
            println!("{}", path.display());
            (target.run)(input);
        }
    }
}

#[test]
fn mutations_of_the_corpus_keep_the_rules() {
    for target in TARGETS {
        let mut random = Random::new(7);
        let inputs = corpus(target).unwrap();
        for (_, input) in &inputs {
            for _ in 0..MUTATIONS {
                let (_, other) = &inputs[random.below(inputs.len())];
                let input = mutate(&mut random, input, other);
                println!("{}: {input:02x?}", target.name);
                (target.run)(&input);
            }
        }
    }
}

/// How many inputs of a target's corpus, and mutations of them, break a rule.
fn broken(target: &str, run: impl Fn(&[u8]) + std::panic::RefUnwindSafe) -> usize {
    let target = TARGETS.iter().find(|t| t.name == target).unwrap();
    let inputs = corpus(target).unwrap();
    let mut random = Random::new(3);
    let mut count = 0;
    for (_, input) in &inputs {
        for _ in 0..MUTATIONS {
            let (_, other) = &inputs[random.below(inputs.len())];
            let input = mutate(&mut random, input, other);
            count += usize::from(std::panic::catch_unwind(|| run(&input)).is_err());
        }
    }
    count
}

/// The reader of requests, with faults of the kind that a cut shows: the rule, the corpus and the mutator find
/// each, or the tests above would pass whatever the parsers do.
#[test]
fn a_fault_in_a_real_parser_is_noticed() {
    assert_eq!(broken("request", fuzz::request), 0);
    for fault in [fuzz::Fault::LosesQuote, fuzz::Fault::Forgets] {
        let faulty = |input: &[u8]| fuzz::request_with(input, Some(fault));
        assert!(broken("request", faulty) > 0, "{fault:?}");
    }
}
