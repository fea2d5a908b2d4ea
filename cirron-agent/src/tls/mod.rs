//! TLS libraries in a process's memory: which there are, and where probes go.
//!
//! ```text
//! images (maps), upcoming (a command's) -> symbols (ELF) -> functions (table) -> place (disassembly) -> plan -> kernel::uprobes
//! ```
//! All that is read of a file goes through a [`source`], which bounds it.
//!
//! It reads files only; attaching is the kernel side's, understanding is the core's.

pub mod blind;
pub mod calls;
pub mod elf;
pub mod extents;
pub mod functions;
pub mod golang;
pub mod identity;
pub mod images;
pub mod names;
pub mod open;
pub mod place;
pub mod plan;
pub mod quiet;
pub mod source;
pub mod symbols;
pub mod tails;
pub mod upcoming;

#[cfg(test)]
mod hostile_tests;
