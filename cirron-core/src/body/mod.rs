//! Bodies: content decoding, framings of streams, JSON. Knows framing and text, no LLM.

pub mod documents;
pub mod events;
pub mod inflate;
pub mod json;
pub mod sse;
