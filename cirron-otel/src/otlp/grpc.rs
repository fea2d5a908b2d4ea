//! A call by gRPC, on a runtime of the calling thread's own.

use std::error::Error as _;
use std::time::Duration;

use cirron_ship::destination::Reason;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::env::Settings;
use super::http::{part, shown};
use super::send::{Message, Outcome, Transport, Unusable, client, roots};

pub(super) struct Grpc {
    runtime: tokio::runtime::Runtime,
    channel: Channel,
    headers: MetadataMap,
    gzip: bool,
    timeout: Duration,
}

impl Grpc {
    pub(super) fn new(settings: &Settings) -> Result<Grpc, Unusable> {
        let wrong = |error: tonic::transport::Error| Unusable::Endpoint {
            endpoint: settings.endpoint.clone(),
            error: error.source().unwrap_or(&error).to_string(),
        };
        let mut endpoint = Endpoint::from_shared(settings.endpoint.clone())
            .and_then(|endpoint| endpoint.user_agent(super::AGENT))
            .map_err(wrong)?
            .connect_timeout(settings.timeout)
            .timeout(settings.timeout);
        if settings.endpoint.starts_with("https:") {
            let tls = ClientTlsConfig::new();
            let tls = match roots(settings)? {
                Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
                None => tls.with_native_roots(),
            };
            let tls = match client(settings)? {
                Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
                None => tls,
            };
            endpoint = endpoint.tls_config(tls).map_err(wrong)?;
        }
        let mut headers = MetadataMap::new();
        for (name, value) in &settings.headers {
            let key = MetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes());
            match (key, value.parse()) {
                (Ok(key), Ok(value)) => drop(headers.insert(key, value)),
                _ => return Err(Unusable::Header(name.clone())),
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let channel = {
            let _in_it = runtime.enter();
            endpoint.connect_lazy()
        };
        Ok(Grpc {
            runtime,
            channel,
            headers,
            gzip: settings.gzip,
            timeout: settings.timeout,
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request.set_timeout(self.timeout);
        request
    }
}

impl Transport for Grpc {
    fn send(&mut self, message: &Message) -> Outcome {
        let channel = self.channel.clone();
        let answered = match message {
            Message::Traces(message) => {
                let mut client = TraceServiceClient::new(channel);
                if self.gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let call = client.export(self.request(message.clone()));
                self.runtime.block_on(call).map(|answer| {
                    let part = answer.into_inner().partial_success;
                    part.map(|part| (part.rejected_spans, part.error_message))
                })
            }
            Message::Metrics(message) => {
                let mut client = MetricsServiceClient::new(channel);
                if self.gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let call = client.export(self.request(message.clone()));
                self.runtime.block_on(call).map(|answer| {
                    let part = answer.into_inner().partial_success;
                    part.map(|part| (part.rejected_data_points, part.error_message))
                })
            }
        };
        match answered {
            Ok(said) => {
                let said = said.map(|(rejected, message)| part(rejected, &message));
                Outcome::Taken(said.unwrap_or_default())
            }
            Err(status) => judge(&status),
        }
    }
}

fn judge(status: &Status) -> Outcome {
    let code = status.code();
    // An error of the connection, not an answer: tonic gives it the code Unknown, and says what it is at the bottom alone.
    let is_ours = status.source().is_some();
    let why = match status.source() {
        Some(error) => shown(&innermost(error)),
        None => format!("{code:?}: {}", shown(status.message())),
    };
    let told = wait_told(status.details());
    let again = match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => told.is_some(),
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Internal
        | Code::Unauthenticated => false,
    };
    if again || is_ours {
        return Outcome::Again { after: told, why };
    }
    let reason = if code == Code::InvalidArgument {
        Reason::Refused
    } else if matches!(code, Code::Unauthenticated | Code::PermissionDenied) {
        Reason::NotAllowed
    } else if code == Code::ResourceExhausted {
        Reason::TooLarge
    } else {
        Reason::Unexpected
    };
    Outcome::Refused { reason, why }
}

fn innermost(mut error: &dyn std::error::Error) -> String {
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

/// `google.rpc.Status`, of which the details are asked.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// When a server says that it may be tried again.
fn wait_told(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let is_retry = |any: &&RpcAny| any.type_url.ends_with("/google.rpc.RetryInfo");
    let any = status.details.iter().find(is_retry)?;
    let delay = RetryInfo::decode(&*any.value).ok()?.retry_delay?;
    let (seconds, nanos) = (delay.seconds.try_into().ok()?, delay.nanos.try_into().ok()?);
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_retry(code: Code, seconds: i64) -> Status {
        let info = RetryInfo {
            retry_delay: Some(Delay { seconds, nanos: 0 }),
        };
        let details = RpcStatus {
            details: vec![RpcAny {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: info.encode_to_vec(),
            }],
        };
        Status::with_details(code, "busy", details.encode_to_vec().into())
    }

    #[test]
    fn codes_mean_what_the_specification_says() {
        let is_again = |status: &Status| matches!(judge(status), Outcome::Again { .. });
        for code in [1, 4, 10, 11, 14, 15] {
            assert!(is_again(&Status::new(code.into(), "")), "{code}");
        }
        for code in [2, 3, 5, 6, 7, 8, 9, 12, 13, 16] {
            assert!(!is_again(&Status::new(code.into(), "")), "{code}");
        }
        let told = judge(&with_retry(Code::ResourceExhausted, 7));
        let Outcome::Again { after, .. } = told else {
            panic!("{told:?}")
        };
        assert_eq!(after, Some(Duration::from_secs(7)));
        assert_eq!(wait_told(with_retry(Code::Unavailable, -1).details()), None);
        let Outcome::Refused { reason, .. } = judge(&Status::new(Code::Unauthenticated, "")) else {
            panic!("it is refused")
        };
        assert_eq!(reason, Reason::NotAllowed);
    }

    #[test]
    fn what_a_server_says_is_one_short_line() {
        let status = Status::new(Code::Internal, format!("a\n\x1b[31m{}", "b".repeat(10_000)));
        let Outcome::Refused { why, .. } = judge(&status) else {
            panic!("it is refused")
        };
        assert!(why.len() < 300 && !why.contains(['\n', '\x1b']), "{why}");
    }
}
