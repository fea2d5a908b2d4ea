//! What model servers say, by dialect: tokens, usage, model and finish reason.
//!
//! Recognition asks for positive evidence in path *and* shape, never for a host name. A dialect is
//! one file or folder in [`dialects`] that fills the facts of [`facts`] from the bytes that pass by, and
//! its goldens; nothing here holds a body.

pub mod calls;
pub mod count;
pub mod dialect;
pub mod dialects;
pub mod errors;
pub mod facts;
pub mod kserve_grpc;
pub mod readers;
pub mod repeats;
pub mod results;
pub mod session;
pub mod table;
pub mod usage;

pub use dialect::{Dialect, Evidence, Figure, ReadRequest, ReadResponse, Route, Row};
pub use dialects::DIALECTS;
pub use dialects::openai;
pub use facts::{Content, RequestFacts, ResponseFacts, Usage};
pub use readers::{Candidate, Readers, Requests};
pub use session::{ReadSession, Said, SessionDialect};

/// A method of gRPC that is known. A document of its dialect is a message.
#[derive(Debug)]
pub struct Rpc {
    /// `/PACKAGE.SERVICE/METHOD`
    pub path: &'static str,
    /// Its row; the route says whether it answers with a stream.
    pub dialect: Dialect,
}

/// Every method of gRPC that is known.
pub static RPCS: &[Rpc] = &[kserve_grpc::UNARY, kserve_grpc::STREAM];

/// Every dialect of sessions that is known.
pub static SESSIONS: &[SessionDialect] = &[openai::realtime::SESSION];

/// The dialects that know `path`, with the model that it names for each.
pub fn of_path(path: &str) -> Vec<(Candidate, Option<String>)> {
    readers::of_path(DIALECTS, path)
}

/// The method of gRPC that `path` is, as a candidate.
pub fn rpc_of_path(path: &str) -> Vec<(Candidate, Option<String>)> {
    let of_path = RPCS.iter().filter(|rpc| rpc.path == path);
    of_path.filter_map(Rpc::candidate).collect()
}

/// Every method of gRPC, where the path is not known.
pub fn all_rpcs() -> Vec<(Candidate, Option<String>)> {
    RPCS.iter().filter_map(Rpc::candidate).collect()
}

impl Rpc {
    fn candidate(&'static self) -> Option<(Candidate, Option<String>)> {
        readers::candidate(&self.dialect, self.path)
    }
}

#[cfg(test)]
mod tests;
