//! What model servers say, by dialect: tokens, usage, model and finish reason.
//!
//! Recognition asks for positive evidence in path *and* shape, never for a host name. A dialect is
//! one file or folder that fills the facts of [`facts`] from the bytes that pass by, and one row of
//! [`DIALECTS`]; nothing here holds a body.

pub mod anthropic;
pub mod dialect;
pub mod facts;
pub mod openai;

pub use dialect::{Dialect, ReadRequest, ReadResponse, Readers};
pub use facts::{Content, RequestFacts, ResponseFacts, Usage};

/// Every dialect that is known. Where two know a path, the first has it.
pub static DIALECTS: &[Dialect] = &[openai::DIALECT, anthropic::DIALECT];

/// The dialect that `path` is one of, with `gen_ai.operation.name`.
pub fn of_path(path: &str) -> Option<(&'static Dialect, &'static str)> {
    dialect::of_path(DIALECTS, path)
}
