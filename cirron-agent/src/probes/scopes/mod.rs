//! Function scopes: a function that is named by a rule is a scope from its entry to whichever exit it takes.
//!
//! ```text
//! file, rules of --scope -> functions (by symbol, demangled, by offset) -> planner: entry, every exit -> look: Planned -> driver
//! ```
//! Places are the planner's ([`crate::probes::place`]): never a return probe, and no function of which an exit is not known.
//! Both ends name the frame by its stack pointer, so that recursion and what is unwound are told apart by the core.

pub mod demangled;
pub mod functions;
pub mod go;
pub mod landings;
pub mod look;
pub mod rule;
pub mod ways;

#[cfg(test)]
mod share_tests;
