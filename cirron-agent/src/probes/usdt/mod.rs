//! USDT probes: places that a program's maker has named for whoever wants to look.
//!
//! ```text
//! file -> notes -> rules: ours (provider), --usdt (rule) -> arguments: operands -> look: Planned -> driver: PROBE_SPEC, kernel::uprobes
//! ```
//! Those of `cirron-probe` need no rule (`docs/probes.md`); any other is a scope or a mark where one asks for it. A note is
//! a stranger's: a probe goes to its address only where a `nop` stands there, so that it never lies inside of an
//! instruction. What cannot be read of a value is left out of it, never guessed.

pub mod arguments;
pub mod look;
pub mod notes;
pub mod provider;
pub mod rule;
