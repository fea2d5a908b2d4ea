//! What model servers say, by dialect: tokens, usage, model and finish reason.
//!
//! Recognition asks for positive evidence in path *and* shape, never for a host name. A dialect is
//! one file or folder that fills the facts of [`facts`] from the JSON that passes by; nothing here
//! holds a body.

pub mod facts;
pub mod openai;

pub use facts::{Content, RequestFacts, ResponseFacts, Usage};
