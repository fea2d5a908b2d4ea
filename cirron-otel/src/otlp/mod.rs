//! OTLP: traces and metrics to whoever takes them, by gRPC or HTTP.
//!
//! The messages are those of `opentelemetry-proto`, the official ones, and gRPC is tonic's. The exporters of
//! `opentelemetry-otlp` do not fit: they take the SDK's spans and instruments, have one resource for all (here each
//! session is one), keep what failed in memory for a while and then drop it, and their metrics cannot be told what was
//! counted elsewhere. What is sent here stands in the spool until it has arrived.
//!
//! ```text
//! Ended ----> traces::requests --.
//!                                |--> send::Sender (grpc | http) --> Outcome: taken | again | refused
//! Metrics --> metrics::requests -'
//! ```

pub mod env;
mod grpc;
mod http;
pub mod metrics;
pub mod send;
pub mod traces;

use cirron_look::semconv;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};

/// As servers see who sends.
const AGENT: &str = concat!("cirron-agent/", env!("CARGO_PKG_VERSION"));

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

/// An attribute of the shared mapping.
fn attribute((key, value): (String, semconv::Value)) -> KeyValue {
    let value = match value {
        semconv::Value::Text(text) => Value::StringValue(text),
        semconv::Value::Int(v) => Value::IntValue(v),
        semconv::Value::Float(v) => Value::DoubleValue(v),
        semconv::Value::Bool(v) => Value::BoolValue(v),
        semconv::Value::Texts(all) => {
            let value = |text| AnyValue {
                value: Some(Value::StringValue(text)),
            };
            let values = all.into_iter().map(value).collect();
            Value::ArrayValue(ArrayValue { values })
        }
    };
    pair(&key, value)
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: semconv::SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
