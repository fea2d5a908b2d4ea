//! `cirron-fuzz [--seconds N] [--seed N] [TARGET]`: feeds mutated inputs to the targets.
//!
//! An input that breaks a rule is written to the target's corpus, where `cargo test` replays it
//! from then on. Inputs that break nothing are not kept: there is no coverage to tell them apart.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cirron_fuzz::mutate::{Random, mutate};
use cirron_fuzz::{TARGETS, Target, corpus, corpus_dir};

struct Options {
    seconds: u64,
    seed: u64,
    target: Option<String>,
}

fn options() -> Result<Options> {
    let mut options = Options {
        seconds: 30,
        seed: 1,
        target: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64> {
            let value = args
                .next()
                .with_context(|| format!("{arg} needs a number"))?;
            value.parse().with_context(|| format!("{arg} {value}"))
        };
        match arg.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            name if TARGETS.iter().any(|t| t.name == name) => options.target = Some(arg),
            other => {
                let names: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
                bail!("no target {other}\n  there are: {}", names.join(", "));
            }
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    let mut broken = false;
    for target in TARGETS {
        if options.target.as_deref().is_none_or(|t| t == target.name) {
            broken |= !fuzz(target, &options)?;
        }
    }
    Ok(ExitCode::from(u8::from(broken)))
}

/// True: nothing was broken.
fn fuzz(target: &Target, options: &Options) -> Result<bool> {
    let inputs = corpus(target).with_context(|| format!("the corpus of {}", target.name))?;
    let mut random = Random::new(options.seed);
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut runs = 0_u64;
    while Instant::now() < end {
        for _ in 0..100 {
            let (_, input) = &inputs[random.below(inputs.len())];
            let (_, other) = &inputs[random.below(inputs.len())];
            let mut input = mutate(&mut random, input, other);
            for _ in 0..random.below(8) {
                input = mutate(&mut random, &input, other);
            }
            runs += 1;
            if catch_unwind(|| (target.run)(&input)).is_err() {
                let name = format!("broken-{:016x}", runs ^ options.seed << 32);
                let path = corpus_dir().join(target.name).join(name);
                std::fs::write(&path, &input)?;
                println!("{}: broken by {}", target.name, path.display());
                return Ok(false);
            }
        }
    }
    println!("{}: {runs} inputs, none broke a rule", target.name);
    Ok(true)
}
