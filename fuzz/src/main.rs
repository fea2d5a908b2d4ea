//! `CIRRON_FUZZ_TARGET=NAME cirron-fuzz [OPTION OF LIBFUZZER]... FOLDER...`: libFuzzer with one of the targets.
//!
//! `cargo xtask fuzz` builds it with the counters of edges that guide libFuzzer, and calls it. It has no logic of its own.
#![no_main]

use std::sync::OnceLock;

use cirron_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

/// The target of this process.
static CHOSEN: OnceLock<&Target> = OnceLock::new();

/// Finds the target that the environment names.
fn choose() {
    let name = std::env::var("CIRRON_FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => {
            CHOSEN.get_or_init(|| target);
        }
        None => {
            eprintln!("error: no target {name:?}\n  call it by: cargo xtask fuzz --target NAME");
            std::process::exit(2);
        }
    }
}

fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.run)(input);
    }
});
