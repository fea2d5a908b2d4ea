//! Wire protocols: from pieces of one direction to message events. Knows no LLM.
//!
//! [`sniff`] tells what a connection speaks, [`h1`] parses HTTP/1, [`h2`] HTTP/2; [`message`] holds what a message
//! is whatever version carried it, [`database`] names what carries no HTTP, `target` reduces what it was sent to, [`traceparent`] reads which trace it is part of.

mod cursor;
pub(crate) mod database;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod message;
pub(crate) mod preamble;
pub(crate) mod sniff;
mod target;
pub(crate) mod traceparent;
pub(crate) mod ws;
