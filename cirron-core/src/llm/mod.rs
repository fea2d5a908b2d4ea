//! What model servers say, by dialect: tokens, usage, model and finish reason.
//!
//! Recognition asks for positive evidence in path *and* shape, never for a host name. A dialect is
//! one file or folder in [`dialects`] that fills the facts of [`facts`] from the bytes that pass by, and
//! its goldens; nothing here holds a body.

pub(crate) mod calls;
pub(crate) mod count;
pub(crate) mod dialect;
pub(crate) mod dialects;
pub(crate) mod errors;
pub(crate) mod facts;
pub(crate) mod kserve_grpc;
pub(crate) mod readers;
pub(crate) mod repeats;
pub(crate) mod results;
pub(crate) mod routes;
pub(crate) mod session;
pub(crate) mod table;
pub(crate) mod usage;

#[cfg(test)]
pub(crate) use dialect::Route;
pub(crate) use dialect::{Dialect, Evidence, Figure};
#[cfg(any(test, feature = "testing"))]
pub(crate) use dialect::{ReadRequest, ReadResponse};
pub(crate) use dialects::DIALECTS;
pub(crate) use dialects::openai;
pub(crate) use facts::{Content, RequestFacts, ResponseFacts, Usage};
pub(crate) use readers::{Candidate, Readers, Requests};
pub(crate) use routes::Routes;
pub(crate) use session::{ReadSession, Said, SessionDialect};

/// A method of gRPC that is known. A document of its dialect is a message.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// `/PACKAGE.SERVICE/METHOD`
    pub path: &'static str,
    /// Its row; the route says whether it answers with a stream.
    pub dialect: Dialect,
}

/// Every method of gRPC that is known.
pub(crate) static RPCS: &[Rpc] = &[kserve_grpc::UNARY, kserve_grpc::STREAM];

/// Every dialect of sessions that is known.
pub(crate) static SESSIONS: &[SessionDialect] = &[openai::realtime::SESSION];

/// The dialects that know `path`, with the model that it names for each.
pub(crate) fn of_path(path: &str) -> Vec<(Candidate, Option<String>)> {
    readers::of_path(DIALECTS, path)
}

/// The method of gRPC that `path` is, as a candidate.
pub(crate) fn rpc_of_path(path: &str) -> Vec<(Candidate, Option<String>)> {
    let of_path = RPCS.iter().filter(|rpc| rpc.path == path);
    of_path.filter_map(Rpc::candidate).collect()
}

/// Every method of gRPC, where the path is not known.
pub(crate) fn all_rpcs() -> Vec<(Candidate, Option<String>)> {
    RPCS.iter().filter_map(Rpc::candidate).collect()
}

impl Rpc {
    fn candidate(&'static self) -> Option<(Candidate, Option<String>)> {
        readers::candidate(&self.dialect, self.path)
    }
}

#[cfg(test)]
mod tests;
