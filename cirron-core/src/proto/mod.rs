//! Wire protocols: from pieces of two directions to message events. Knows no LLM.

pub mod message;
