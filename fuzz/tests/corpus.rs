//! The corpus is replayed, with some mutations of each input.
#![expect(clippy::unwrap_used, reason = "tests")]

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

/// A target that accepts everything would pass the tests above.
#[test]
fn a_broken_rule_is_noticed() {
    let run: fn(&[u8]) = |input| assert!(!input.starts_with(b"x"), "a rule");
    let mut random = Random::new(3);
    let found = (0..20_000).any(|_| {
        let input = mutate(&mut random, b"abc", b"xyz");
        std::panic::catch_unwind(|| run(&input)).is_err()
    });
    assert!(found);
}
