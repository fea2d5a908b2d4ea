//! Bodies: content decoding and event streams. Knows framing and text, no LLM.

pub mod inflate;
pub mod json;
pub mod sse;
