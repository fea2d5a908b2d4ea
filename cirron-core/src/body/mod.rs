//! Bodies: content decoding, framings of streams, JSON. Knows framing and text, no LLM.

pub mod aws_events;
pub mod documents;
pub mod events;
pub mod grpc;
pub mod headed;
pub mod inflate;
pub mod json;
pub mod multipart;
pub mod protobuf;
pub mod sse;
