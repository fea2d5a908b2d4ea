//! Rules: which exchanges are written, and what else of them, as somebody configured it.
//!
//! ```text
//!  flags, file (shell) -Value-> schema -> Rules --for_process (name, CONFIG)--> ProcessRules    once a process
//!                                                                                 |
//!  exchange: begins -> Matching <-------------------------------------------------+
//!       head: method, path -> rules that may hold --status--> fewer --model, end--> all that hold
//!                               '-- verdict: written | ignored | left out by sampling, as soon as it is certain
//! ```
//! Configuration is layers of rules: flags first, then the agent's file, then the target's own `CONFIG`. A rule has
//! conditions and settings. For each setting the first rule that has it and whose conditions hold decides, whatever
//! other rules say of other settings; marks and headers are settings one by one. What is not known of an exchange
//! (a path that a hole took) meets no condition. A rule of the file that is wrong refuses the file; of a target's
//! `CONFIG` the wrong part is left out and told, since it is not ours to refuse.
//!
//! Patterns are compiled when a layer is read, and conditions on the process are settled when its facts come. An exchange
//! of a process without rules costs a look-up. Method and path are looked at once, when the request's head is
//! there; the status is known with the answer's head; the model with the request's body or, where that names none, with the
//! answer. A rule that needs one of them is undecided until then: what it may want is gathered, and dropped in the end
//! where it does not hold.
//!
//! What an exchange's bodies are read with is [`crate::scope`]'s matter, what is counted [`crate::engine`]'s. No file is read
//! here, and no key's place in one is known: a [`Problem`] says by keys where it is.

mod field;
mod header;
mod keys;
mod kubernetes;
mod layer;
mod matching;
mod pattern;
mod rule;
mod schema;
mod section;
mod ship;
mod target;

pub(crate) use field::{FieldPath, FieldSet, FieldValue, Side};
pub(crate) use header::carries_credentials;
pub use keys::KEYS;
pub use kubernetes::{KUBERNETES_KEYS, Kubernetes, PodSource};
pub(crate) use layer::ProcessRules;
pub use layer::{CHUNK_TIMING, CONFIG_KEY, Rules, flags_layer, wanted_config};
pub(crate) use matching::{Known, Matching, Pick, Verdict, hash};
pub use pattern::Glob;
pub(crate) use rule::{GpuPrice, Price};
pub use schema::{Key, Problem, Step, nearest};
pub use section::{SECTIONS, Sections, TOP_KEYS, rules_alone};
pub use ship::{Removed, SHIP_KEYS, Ship};
pub use target::{Candidate, Decision, Fact, TARGET_KEYS, TargetRule, TargetRules, Workload};

#[cfg(test)]
mod tests;
