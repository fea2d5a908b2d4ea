//! A POST of protobuf.

use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use cirron_ship::cirron::upload::retry_after;
use cirron_ship::destination::Reason;
use cirron_ship::http::tls;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use ureq::http::Response;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use super::env::Settings;
use super::send::{Message, Outcome, Taken, Transport, Unusable, client, roots};

/// Bytes of an answer that are read: it has a number and a sentence.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Characters of what a server says that are shown.
const MAX_SAID_CHARS: usize = 200;

pub(super) struct Http {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, String)>,
    gzip: bool,
}

impl Http {
    pub(super) fn new(settings: &Settings) -> Result<Http, Unusable> {
        let only = match (&settings.certificate, roots(settings)?) {
            (Some(path), Some(pem)) => Some(certificates(path, &pem)?),
            _ => None,
        };
        let own = match (&settings.client, client(settings)?) {
            (Some((path, key_path)), Some((pem, key))) => {
                let key =
                    PrivateKey::from_pem(&key).map_err(|e| Unusable::certificate(key_path, &e))?;
                Some(ClientCert::new_with_certs(&certificates(path, &pem)?, key))
            }
            _ => None,
        };
        let config = ureq::Agent::config_builder()
            .tls_config(tls(only, own))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout))
            .user_agent(super::AGENT)
            .build();
        Ok(Http {
            agent: config.into(),
            url: settings.endpoint.clone(),
            headers: settings.headers.clone(),
            gzip: settings.gzip,
        })
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Certificate<'static>>, Unusable> {
    let mut out = Vec::new();
    for item in parse_pem(pem).flatten() {
        if let PemItem::Certificate(certificate) = item {
            out.push(certificate);
        }
    }
    match out.is_empty() {
        true => Err(Unusable::certificate(
            path,
            &"there is no certificate in it",
        )),
        false => Ok(out),
    }
}

impl Transport for Http {
    fn send(&mut self, message: &Message) -> Outcome {
        let mut body = message.encoded();
        let mut request = self.agent.post(&self.url);
        request = request.header("Content-Type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if self.gzip {
            request = request.header("Content-Encoding", "gzip");
            body = gzip(&body);
        }
        match request.send(&body[..]) {
            Ok(answer) => judge(answer, message),
            Err(e) => Outcome::Again {
                after: None,
                why: e.to_string(),
            },
        }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    // A vector takes everything.
    let written = zip.write_all(body);
    written.and_then(|()| zip.finish()).unwrap_or_default()
}

fn judge(mut answer: Response<ureq::Body>, message: &Message) -> Outcome {
    let status = answer.status().as_u16();
    let after = answer.headers().get("retry-after");
    let after = after
        .and_then(|value| value.to_str().ok())
        .and_then(|text| retry_after(text, SystemTime::now()));
    let body = answer
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER_BYTES)
        .read_to_vec();
    let why = format!("status {status}");
    let refused = |reason| Outcome::Refused {
        reason,
        why: why.clone(),
    };
    match status {
        200..300 => Outcome::Taken(taken(&body.unwrap_or_default(), message)),
        429 | 502 | 503 | 504 => Outcome::Again { after, why },
        400 => refused(Reason::Refused),
        401 | 403 => refused(Reason::NotAllowed),
        413 => refused(Reason::TooLarge),
        _ => refused(Reason::Unexpected),
    }
}

/// An answer that is none (an empty one, a proxy's page) says that all was taken, as the specification has it.
fn taken(body: &[u8], message: &Message) -> Taken {
    let said = match message {
        Message::Traces(_) => ExportTraceServiceResponse::decode(body)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|part| (part.rejected_spans, part.error_message)),
        Message::Metrics(_) => ExportMetricsServiceResponse::decode(body)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map(|part| (part.rejected_data_points, part.error_message)),
    };
    said.map(|(rejected, message)| part(rejected, &message))
        .unwrap_or_default()
}

/// What a server did not take, and what it says, as far as it is shown.
pub(super) fn part(rejected: i64, message: &str) -> Taken {
    Taken {
        rejected: u64::try_from(rejected).unwrap_or(0),
        message: shown(message),
    }
}

/// A stranger's sentence for a log: short, on one line, without what a terminal would do something at.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_SAID_CHARS).map(plain).collect()
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
