//! Conversations of real TLS libraries, kept as files (`tests/fixtures/make.py`), through the public interface.
#![expect(clippy::unwrap_used, reason = "tests")]

mod holes;
mod in_order;
mod made;
mod script;
mod seal;
