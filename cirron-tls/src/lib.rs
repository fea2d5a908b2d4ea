//! From the ciphertext of a TLS connection and its secrets to plaintext: deterministic and sans-I/O.
//!
//! Stands between the socket's bytes and what reads plaintext. A [`Pool`] keeps the secrets that a process's TLS
//! library announced; a [`Connection`] takes the bytes of both directions of one TCP connection, as they come, and
//! gives plaintext to a [`Sink`]. There is no clock, file, socket or thread here; `clippy.toml` bans them.
//!
//! It promises:
//! - **No plaintext without a tag.** Which secrets belong to a connection is found by trying them on its records: the
//!   tag of one proves them, or there is none.
//! - **Holes stay holes.** What was not seen, and what could not be opened, is a gap of the plaintext, of exact
//!   length where arithmetic gives it.
//! - **Bounds.** What waits, and what is tried, has a limit (`limits.rs`), and what happens past it is counted.
//! - **Secrets are wiped** when nothing needs them any more, and are in no `Debug`. Their buffers do not move; copies
//!   that a compiler leaves on the stack are not chased.
//!
//! It does not know what the plaintext means, when anything happened, or whose connection it is.
//!
//! ```text
//!   learn --> Pool ----------------+
//!                                  | candidates, newest first; the tag decides
//!   data, gap --> Input --> record v --> Messages (hellos, Finished, KeyUpdate) --> which keys are next
//!                (a direction)  open --> plaintext, gap, close_notify --> Sink
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

mod connection;
mod counts;
mod hello;
mod input;
mod kdf;
mod keys;
mod label;
mod limits;
mod message;
mod pool;
mod record;
mod secret;
mod sink;
mod suite;

pub use connection::{Connection, Facts};
pub use counts::{Counts, PoolCounts};
pub use label::Label;
pub use limits::{MAX_HELD_BYTES, MAX_POOL_SECRETS};
pub use pool::{Learned, Pool};
pub use record::begins_tls;
pub use sink::{Dir, Reason, Sink, Verdict};
pub use suite::Version;
