//! What model servers say, by dialect: tokens, usage, model and finish reason.
//!
//! Recognition asks for positive evidence in path *and* shape, never for a host name. A dialect is
//! one file.

pub mod openai;
