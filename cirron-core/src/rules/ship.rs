//! Settings of what is sent on: `[ship]` of the agent's file.
//!
//! Most of them are variables that others have named (OpenTelemetry, the SDK): a key says what its variable would, and the
//! variable wins. Keys of accounts and headers have none here, so that no secret stands in the file. Nothing is sent: that
//! is the shell's.

use core::net::SocketAddr;

use serde_json::Value;

use super::keys::{one, text, url};
use super::schema::{Section, TableKey, table_keys};

/// Seconds after which what was sent may be removed, at most: a year.
const MAX_SECONDS: u64 = 366 * 24 * 3_600;

/// What becomes of a batch that all have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It stays.
    Never,
    /// It is removed that number of seconds after it was sent.
    AfterSeconds(u64),
}

/// `[ship]`: what is not set is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ship {
    /// Whether anything is.
    pub enabled: Option<bool>,
    /// What becomes of what was sent.
    pub remove: Option<Removed>,
    /// Where Prometheus may ask: a port, or an address and a port.
    pub metrics_listen: Option<String>,
    endpoint: Option<String>,
    ingest_path: Option<String>,
    otlp_endpoint: Option<String>,
    otlp_protocol: Option<String>,
    otlp_compression: Option<String>,
    otlp_certificate: Option<String>,
    service: Option<String>,
}

impl Ship {
    /// The variables that it says, for where the environment does not.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("CIRRON_API_ENDPOINT", &self.endpoint),
            ("CIRRON_INGEST_PATH", &self.ingest_path),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.otlp_endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", &self.otlp_protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", &self.otlp_compression),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &self.otlp_certificate),
            ("OTEL_SERVICE_NAME", &self.service),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

table_keys! {
    /// Every key of `[ship]`.
    SHIP_KEYS, READ_BY: Ship {
    "enabled", false, "true or false",
    "`false`: nothing is sent, whatever else is set; as `--no-ship`",
    |value, its| one(value, &mut its.enabled, Value::as_bool);

    "remove", false, "\"never\", \"sent\", or a number of seconds",
    "whether batches that all destinations have are removed from the spool: not, at once, or when they are so old; as `--ship-remove`",
    |value, its| one(value, &mut its.remove, removed);

    "metrics_listen", false, "a port, or \"ADDRESS:PORT\"",
    "where Prometheus may ask; as `--metrics-listen`",
    |value, its| one(value, &mut its.metrics_listen, listen);

    "endpoint", false, "a URL that begins with https:// or http://",
    "Cirron's platform, as `CIRRON_API_ENDPOINT`; what is sent there needs `CIRRON_API_KEY`, which is no key of the file",
    |value, its| one(value, &mut its.endpoint, url);

    "ingest_path", false, "a path that begins with /",
    "its route, as `CIRRON_INGEST_PATH`",
    |value, its| one(value, &mut its.ingest_path, |value| text(value).filter(|text| text.starts_with('/')));

    "otlp_endpoint", false, "a URL that begins with https:// or http://",
    "where spans and series go, as `OTEL_EXPORTER_OTLP_ENDPOINT`",
    |value, its| one(value, &mut its.otlp_endpoint, url);

    "otlp_protocol", false, "\"http/protobuf\" or \"grpc\"",
    "how, as `OTEL_EXPORTER_OTLP_PROTOCOL`",
    |value, its| one(value, &mut its.otlp_protocol, |value| one_of(value, &["http/protobuf", "grpc"]));

    "otlp_compression", false, "\"none\" or \"gzip\"",
    "as `OTEL_EXPORTER_OTLP_COMPRESSION`",
    |value, its| one(value, &mut its.otlp_compression, |value| one_of(value, &["none", "gzip"]));

    "otlp_certificate", false, "a path",
    "the file with the certificates that are trusted instead of the system's, as `OTEL_EXPORTER_OTLP_CERTIFICATE`",
    |value, its| one(value, &mut its.otlp_certificate, text);

    "service", false, "a name",
    "the name of all services, as `OTEL_SERVICE_NAME`",
    |value, its| one(value, &mut its.service, text);
    }
}

impl Section for Ship {
    const NAME: &'static str = "ship";
    const KEYS: &'static [TableKey<Ship>] = READ_BY;
}

fn removed(value: &Value) -> Option<Removed> {
    match value.as_str() {
        Some("never") => Some(Removed::Never),
        Some("sent") => Some(Removed::AfterSeconds(0)),
        Some(_) => None,
        None => {
            let seconds = value.as_u64().filter(|seconds| *seconds <= MAX_SECONDS)?;
            Some(Removed::AfterSeconds(seconds))
        }
    }
}

fn listen(value: &Value) -> Option<String> {
    if let Some(port) = value.as_u64() {
        return u16::try_from(port).ok().map(|port| port.to_string());
    }
    let text = text(value)?;
    let is_one = text.parse::<u16>().is_ok() || text.parse::<SocketAddr>().is_ok();
    is_one.then_some(text)
}

fn one_of(value: &Value, known: &[&str]) -> Option<String> {
    text(value).filter(|text| known.contains(&text.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::read_section;
    use super::*;

    #[test]
    fn what_is_set_is_what_its_variable_would_say() {
        let file = json!({"ship": {
            "remove": 60, "metrics_listen": 9464, "otlp_endpoint": "http://c:4317", "otlp_protocol": "grpc",
        }});
        let (read, wrong) = read_section::<Ship>(&[(0, &file)]);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(read.remove, Some(Removed::AfterSeconds(60)));
        assert_eq!(read.metrics_listen.as_deref(), Some("9464"));
        let variables: Vec<_> = read.variables().collect();
        let want = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        assert_eq!(variables, want);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (section, said) in [
            (json!({"enabled": 1}), "ship.enabled: "),
            (json!({"remove": "always"}), "ship.remove: "),
            (json!({"remove": -1}), "ship.remove: "),
            (
                json!({"metrics_listen": "localhost:1"}),
                "ship.metrics_listen: ",
            ),
            (json!({"metrics_listen": 70_000}), "ship.metrics_listen: "),
            (json!({"endpoint": "h"}), "ship.endpoint: "),
            (json!({"ingest_path": "x"}), "ship.ingest_path: "),
            (
                json!({"otlp_endpoint": "collector:4317"}),
                "ship.otlp_endpoint: ",
            ),
            (
                json!({"otlp_protocol": "http/json"}),
                "ship.otlp_protocol: ",
            ),
            (
                json!({"otlp_compression": "zstd"}),
                "ship.otlp_compression: ",
            ),
            (
                json!({"otlp_headers": "key=x"}),
                "ship.otlp_headers: there is no such key",
            ),
        ] {
            let file = json!({ "ship": section });
            let (_, wrong) = read_section::<Ship>(&[(0, &file)]);
            assert_eq!(wrong.len(), 1, "{file}");
            let text = wrong.first().map(ToString::to_string).unwrap_or_default();
            assert!(text.starts_with(said), "{text}");
        }
    }
}
