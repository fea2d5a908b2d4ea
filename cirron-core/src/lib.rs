//! From captured bytes to spans and marks: deterministic and sans-I/O.
//!
//! Bytes, timestamps and facts go in by `handle_*`, spans and marks come out by `poll_*`. There is
//! no clock, file, socket, thread or async here; `clippy.toml` bans them. That is what lets a
//! capture be replayed, the parsers be fuzzed, and a bug become a test.
//!
//! Other crates use `engine`, `record`, `rules`, `scope`, `id`, `time` and three limits. The rest is this crate's own, so that
//! the compiler sees what nobody uses.
//!
//! A module uses only what stands before it in this list:
//! `time, id, limits, cut < record < stream < proto < exchange < body < llm < rules < scope < engine`; the table of
//! names, `scope::names`, uses nothing and may be used by all.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

pub mod body;
mod cut;
pub mod engine;
mod exchange;
pub mod id;
pub mod limits;
mod llm;
mod proto;
pub mod record;
pub mod rules;
pub mod scope;
mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use limits::{DEFAULT_MAX_MEMORY_BYTES, MAX_PROCESSES, MIN_MAX_MEMORY_BYTES};
