//! What model servers say, by dialect: tokens, usage, model and finish reason.
//!
//! Recognition asks for positive evidence in path *and* shape, never for a host name. A dialect is
//! one file or folder in [`dialects`] that fills the facts of [`facts`] from the bytes that pass by, and
//! its goldens; nothing here holds a body.

pub mod dialect;
pub mod dialects;
pub mod facts;
pub mod readers;
pub mod session;
pub mod table;

pub use dialect::{Dialect, Figure, ReadRequest, ReadResponse, Route, Row};
pub use dialects::DIALECTS;
pub use dialects::openai;
pub use facts::{Content, RequestFacts, ResponseFacts, Usage};
pub use readers::{Candidate, Readers, Requests};
pub use session::{ReadSession, Said, Session};

/// Every dialect of sessions that is known.
pub static SESSIONS: &[Session] = &[openai::realtime::SESSION];

/// The dialects that know `path`, with the model that it names for each.
pub fn of_path(path: &str) -> Vec<(Candidate, Option<String>)> {
    readers::of_path(DIALECTS, path)
}

#[cfg(test)]
mod tests;
