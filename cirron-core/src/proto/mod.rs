//! Wire protocols: from pieces of one direction to message events. Knows no LLM.
//!
//! [`sniff`] tells what a connection speaks, [`h1`] parses HTTP/1, [`message`] holds what a message
//! is whatever version carried it.

pub mod h1;
pub mod message;
pub mod sniff;
