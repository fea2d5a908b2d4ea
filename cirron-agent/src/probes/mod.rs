//! Functions in the files that a process has mapped, and where probes go in them.
//!
//! ```text
//! images (maps), upcoming (a command's) -> open, identity -> locate (functions in a file) -> plan, place -> kernel::uprobes
//! ```
//! Probes that have a note in the file, or a rule, go another way ([`usdt`], [`scopes`]). A locator ([`locate`]) finds
//! functions in a file; a family ([`tls`]) says which are wanted and what they mean; the planner ([`plan()`](plan::plan))
//! places them. All that is read of a file goes through a [`source`], which bounds it.
//!
//! It reads files only; attaching is the kernel side's, understanding is the core's.

pub mod elf;
pub mod extents;
pub mod go_build;
pub mod go_lives;
pub mod identity;
pub mod images;
pub mod locate;
pub mod names;
pub mod open;
pub mod place;
pub mod plan;
pub mod python;
pub mod quiet;
pub mod scopes;
pub mod source;
pub mod symbol_at;
pub mod symbols;
pub mod tls;
pub mod upcoming;
pub mod usdt;

#[cfg(test)]
mod hostile_tests;
