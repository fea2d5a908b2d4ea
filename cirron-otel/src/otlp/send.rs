//! What a message is sent with, and what its answer means.
//!
//! The answers mean what OTLP's specification says: of HTTP 429, 502, 503 and 504 are to be tried again, of gRPC the
//! codes that say so, and `RESOURCE_EXHAUSTED` only where the server says when. No answer at all is tried again too.

use std::path::Path;
use std::time::Duration;

use cirron_ship::destination::Reason;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::env::{Protocol, Settings};
use super::grpc::Grpc;
use super::http::Http;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Series.
    Metrics(ExportMetricsServiceRequest),
}

impl Message {
    /// Bytes of it, before any compression.
    pub fn bytes(&self) -> u64 {
        let bytes = match self {
            Message::Traces(request) => request.encoded_len(),
            Message::Metrics(request) => request.encoded_len(),
        };
        bytes as u64
    }

    /// Its bytes.
    pub(super) fn encoded(&self) -> Vec<u8> {
        match self {
            Message::Traces(request) => request.encode_to_vec(),
            Message::Metrics(request) => request.encode_to_vec(),
        }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken(Taken),
    /// It is to be tried again, in so much time at the earliest, where the server said so.
    Again {
        /// That time.
        after: Option<Duration>,
        /// Why.
        why: String,
    },
    /// It will never be taken.
    Refused {
        /// A word for the counters.
        reason: Reason,
        /// Why.
        why: String,
    },
}

/// What a server took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Spans or points that it did not take.
    pub rejected: u64,
    /// What it says, of those or as a warning; empty where it says nothing.
    pub message: String,
}

/// Sends messages; waits for the answer, for a bounded time.
pub trait Transport: Send {
    /// Sends one.
    fn send(&mut self, message: &Message) -> Outcome;
}

/// Settings that nothing can be sent with.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Certificates or a key cannot be read.
    #[error(
        "{path}: {error}\ngive files in PEM by OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY"
    )]
    Certificate {
        /// The file.
        path: String,
        /// Why.
        error: String,
    },
    /// The endpoint is no URL.
    #[error("{endpoint}: {error}\nwrite it as http://HOST:PORT or https://HOST:PORT")]
    Endpoint {
        /// It.
        endpoint: String,
        /// Why.
        error: String,
    },
    /// A header cannot be one.
    #[error(
        "a header by the name {0} cannot be sent\nuse letters, digits and - in names, and visible characters in values"
    )]
    Header(String),
    /// The system refuses what is needed.
    #[error("no transport could be made: {0}")]
    System(#[from] std::io::Error),
}

/// What messages are sent with by these settings. It makes no connection yet.
pub fn transport(settings: &Settings) -> Result<Box<dyn Transport>, Unusable> {
    Ok(match settings.protocol {
        Protocol::Grpc => Box::new(Grpc::new(settings)?),
        Protocol::Http => Box::new(Http::new(settings)?),
    })
}

/// The certificates of `OTEL_EXPORTER_OTLP_CERTIFICATE`, where it is set.
pub(super) fn roots(settings: &Settings) -> Result<Option<Vec<u8>>, Unusable> {
    settings.certificate.as_deref().map(read).transpose()
}

/// Certificates and their key, in PEM.
type Identity = (Vec<u8>, Vec<u8>);

/// Who we are to a server that asks, where that is set.
pub(super) fn client(settings: &Settings) -> Result<Option<Identity>, Unusable> {
    let Some((certificate, key)) = &settings.client else {
        return Ok(None);
    };
    Ok(Some((read(certificate)?, read(key)?)))
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    std::fs::read(path).map_err(|error| Unusable::certificate(path, &error))
}

impl Unusable {
    pub(super) fn certificate(path: &Path, error: &dyn std::fmt::Display) -> Unusable {
        Unusable::Certificate {
            path: path.display().to_string(),
            error: error.to_string(),
        }
    }
}
