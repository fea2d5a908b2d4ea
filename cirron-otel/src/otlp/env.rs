//! What the `OTEL_*` variables say, as the specification of the exporter has them.
//!
//! A variable of one signal (`OTEL_EXPORTER_OTLP_TRACES_*`) is before that of all. A value that means nothing is an
//! error with the ones that do, and not a default: who set it wanted something.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Series.
    Metrics,
}

/// How it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// A POST with a body of protobuf.
    Http,
}

/// Where one signal goes, and how.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The whole URL for HTTP; scheme and authority for gRPC.
    pub endpoint: String,
    /// How.
    pub protocol: Protocol,
    /// Headers, whose values are nobody's to see.
    pub headers: Vec<(String, String)>,
    /// For each try.
    pub timeout: Duration,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// The only roots that are trusted, if not the system's.
    pub certificate: Option<PathBuf>,
    /// Who we are, to a server that asks: certificates and their key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("gzip", &self.gzip)
            .field("certificate", &self.certificate)
            .field("client", &self.client)
            .finish()
    }
}

/// A variable that means nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name}: {problem}\n{fix}")]
pub struct Wrong {
    name: String,
    problem: String,
    fix: &'static str,
}

/// The default of the specification.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Between two exports of metrics, where `OTEL_METRIC_EXPORT_INTERVAL` says nothing: the specification's.
const INTERVAL: Duration = Duration::from_secs(60);

/// The least time between two exports of metrics: more often shows nothing more, since the spool is written each
/// second.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

impl Signal {
    fn word(self) -> &'static str {
        match self {
            Signal::Traces => "TRACES",
            Signal::Metrics => "METRICS",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Signal::Traces => "v1/traces",
            Signal::Metrics => "v1/metrics",
        }
    }
}

/// Looks variables up. One that is empty is not set, as the specification has it.
pub struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    /// The variable of the signal, else that of all.
    fn value(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.word());
        let all = format!("OTEL_EXPORTER_OTLP_{what}");
        [own, all]
            .into_iter()
            .find_map(|name| Some((self.get(&name)?, name)))
            .map(|(value, name)| (name, value))
    }

    /// Where a signal goes; `None` where nobody asked for it: neither an endpoint nor `OTEL_TRACES_EXPORTER=otlp`
    /// (`OTEL_METRICS_EXPORTER`) is set, or that is `none`, or `OTEL_SDK_DISABLED` is.
    pub fn settings(&self, signal: Signal) -> Result<Option<Settings>, Wrong> {
        let exporter_name = format!("OTEL_{}_EXPORTER", signal.word());
        let exporter = self.get(&exporter_name);
        let is_disabled = self
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let endpoint = self.value(signal, "ENDPOINT");
        let is_asked = match exporter.as_deref() {
            None => endpoint.is_some(),
            Some("otlp") => true,
            // Others' exporters are others' matter: Prometheus has an option of its own.
            Some(_) => false,
        };
        if is_disabled || !is_asked {
            return Ok(None);
        }
        let protocol = self.protocol(signal)?;
        Ok(Some(Settings {
            endpoint: self.endpoint(signal, protocol, endpoint)?,
            protocol,
            headers: self.headers(signal)?,
            timeout: match self.value(signal, "TIMEOUT") {
                None => TIMEOUT,
                Some((name, value)) => milliseconds(&name, &value)?,
            },
            gzip: self.gzip(signal)?,
            certificate: self
                .value(signal, "CERTIFICATE")
                .map(|(_, path)| path.into()),
            client: self.client(signal)?,
        }))
    }

    fn client(&self, signal: Signal) -> Result<Option<(PathBuf, PathBuf)>, Wrong> {
        let certificate = self.value(signal, "CLIENT_CERTIFICATE");
        match (certificate, self.value(signal, "CLIENT_KEY")) {
            (Some((_, certificate)), Some((_, key))) => Ok(Some((certificate.into(), key.into()))),
            (None, None) => Ok(None),
            (Some((name, _)), None) | (None, Some((name, _))) => Err(Wrong {
                name,
                problem: "a certificate and its key go together".to_owned(),
                fix: "set both OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY",
            }),
        }
    }

    fn protocol(&self, signal: Signal) -> Result<Protocol, Wrong> {
        let Some((name, value)) = self.value(signal, "PROTOCOL") else {
            return Ok(Protocol::Http);
        };
        match value.trim() {
            "grpc" => Ok(Protocol::Grpc),
            "http/protobuf" => Ok(Protocol::Http),
            _ => Err(Wrong {
                name,
                problem: format!("unknown protocol {value}"),
                fix: "use grpc or http/protobuf",
            }),
        }
    }

    fn endpoint(
        &self,
        signal: Signal,
        protocol: Protocol,
        found: Option<(String, String)>,
    ) -> Result<String, Wrong> {
        let port = match protocol {
            Protocol::Grpc => 4317,
            Protocol::Http => 4318,
        };
        let (name, value) = found.unwrap_or_else(|| {
            let name = "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned();
            (name, format!("http://localhost:{port}"))
        });
        let value = value.trim();
        let is_insecure = self
            .value(signal, "INSECURE")
            .is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        let url = match (value.split_once("://"), protocol) {
            (Some(("http" | "https", rest)), _) if !rest.is_empty() => value.to_owned(),
            (None, Protocol::Grpc) => {
                let scheme = if is_insecure { "http" } else { "https" };
                format!("{scheme}://{value}")
            }
            _ => {
                return Err(Wrong {
                    name,
                    problem: "no URL of http or https".to_owned(),
                    fix: "write it as http://HOST:PORT or https://HOST:PORT",
                });
            }
        };
        // That of one signal is the whole URL, that of all is what the signal's path is put behind.
        let is_whole = name == format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.word());
        Ok(match protocol {
            Protocol::Http if !is_whole => {
                format!("{}/{}", url.trim_end_matches('/'), signal.path())
            }
            Protocol::Http | Protocol::Grpc => url,
        })
    }

    fn headers(&self, signal: Signal) -> Result<Vec<(String, String)>, Wrong> {
        let Some((name, value)) = self.value(signal, "HEADERS") else {
            return Ok(Vec::new());
        };
        pairs(&value).ok_or(Wrong {
            name,
            problem: "not a list of headers".to_owned(),
            fix: "write it as name=value,name=value, with %2C for a comma in a value",
        })
    }

    fn gzip(&self, signal: Signal) -> Result<bool, Wrong> {
        let Some((name, value)) = self.value(signal, "COMPRESSION") else {
            return Ok(false);
        };
        match value.trim() {
            "gzip" => Ok(true),
            "none" => Ok(false),
            _ => Err(Wrong {
                name,
                problem: format!("unknown compression {value}"),
                fix: "use gzip or none",
            }),
        }
    }

    /// Between two exports of metrics.
    pub fn interval(&self) -> Result<Duration, Wrong> {
        let name = "OTEL_METRIC_EXPORT_INTERVAL";
        let value = self.get(name);
        let interval = value.map_or(Ok(INTERVAL), |value| milliseconds(name, &value))?;
        Ok(interval.max(MIN_INTERVAL))
    }

    /// `OTEL_RESOURCE_ATTRIBUTES`, without the name of the service.
    pub fn resource(&self) -> Result<Vec<(String, String)>, Wrong> {
        let mut pairs = self.resource_pairs()?;
        pairs.retain(|(name, _)| name != SERVICE);
        Ok(pairs)
    }

    /// The name of the service that who started the agent gave: it is before what is known of the process.
    pub fn service(&self) -> Result<Option<String>, Wrong> {
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            return Ok(Some(name));
        }
        let pairs = self.resource_pairs()?;
        let named = pairs.into_iter().find(|(name, _)| name == SERVICE);
        Ok(named.map(|(_, value)| value))
    }

    fn resource_pairs(&self) -> Result<Vec<(String, String)>, Wrong> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let value = self.get(name).unwrap_or_default();
        pairs(&value).ok_or(Wrong {
            name: name.to_owned(),
            problem: "not a list of attributes".to_owned(),
            fix: "write it as name=value,name=value, with %2C for a comma in a value",
        })
    }
}

const SERVICE: &str = "service.name";

/// `a=b,c=d`, whose values have what is special as `%2C`.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    let items = list.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).map(pair).collect()
}

fn milliseconds(name: &str, value: &str) -> Result<Duration, Wrong> {
    let number = value.trim().parse().ok().filter(|ms| *ms > 0);
    number.map(Duration::from_millis).ok_or_else(|| Wrong {
        name: name.to_owned(),
        problem: format!("{value} is no time"),
        fix: "write it in milliseconds",
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn with<R>(set: &[(&str, &str)], ask: impl FnOnce(&Environment<'_>) -> R) -> R {
        let look = |name: &str| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        ask(&Environment(&look))
    }

    fn traces(set: &[(&str, &str)]) -> Option<Settings> {
        with(set, |env| env.settings(Signal::Traces)).unwrap()
    }

    #[test]
    fn nobody_who_asked_for_nothing_sends_anything() {
        assert_eq!(traces(&[]), None);
        assert_eq!(traces(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), None);
        let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");
        assert_eq!(traces(&[on, ("OTEL_TRACES_EXPORTER", "none")]), None);
        assert_eq!(traces(&[on, ("OTEL_SDK_DISABLED", "true")]), None);
        let metrics = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://a:1")];
        assert_eq!(traces(&metrics), None);
        assert!(traces(&[on]).is_some());
        let default = traces(&[("OTEL_TRACES_EXPORTER", "otlp")]).unwrap();
        assert_eq!(default.endpoint, "http://localhost:4318/v1/traces");
        assert_eq!((default.timeout, default.gzip), (TIMEOUT, false));
    }

    #[test]
    fn the_variable_of_a_signal_is_before_that_of_all_and_is_a_whole_url() {
        let set = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://all:4318/base/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://mine/x"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%2Cc, d = e"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
        ];
        let own = traces(&set).unwrap();
        assert_eq!(own.endpoint, "http://mine/x");
        assert!(own.gzip && own.timeout == Duration::from_millis(250));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(own.headers, [pair("a", "b,c"), pair("d", "e")]);
        assert!(!format!("{own:?}").contains("b,c"));
        let all = with(&set, |env| env.settings(Signal::Metrics))
            .unwrap()
            .unwrap();
        assert_eq!(all.endpoint, "https://all:4318/base/");
        assert_eq!((all.protocol, all.gzip), (Protocol::Grpc, false));
        let http = traces(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://all:4318/base/")]);
        assert_eq!(http.unwrap().endpoint, "https://all:4318/base/v1/traces");
    }

    #[test]
    fn grpc_takes_a_name_without_a_scheme_and_is_secure_then() {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let to = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        assert_eq!(
            traces(&[grpc, to]).unwrap().endpoint,
            "https://collector:4317"
        );
        let open = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
        assert_eq!(
            traces(&[grpc, to, open]).unwrap().endpoint,
            "http://collector:4317"
        );
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_would() {
        let on = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key"),
        ] {
            let wrong = with(&[on, (name, value)], |env| env.settings(Signal::Traces)).unwrap_err();
            assert!(wrong.to_string().starts_with(name), "{wrong}");
            assert!(wrong.to_string().contains('\n') && !wrong.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_certificate_of_ones_own_has_its_key() {
        let set = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:1"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k"),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/traces"),
        ];
        let client = traces(&set).unwrap().client;
        assert_eq!(client, Some(("/c".into(), "/traces".into())));
    }

    #[test]
    fn a_name_that_somebody_gave_is_the_service() {
        let set = [(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=a,deployment.environment.name=prod",
        )];
        assert_eq!(
            with(&set, |env| env.service()).unwrap().as_deref(),
            Some("a")
        );
        let rest = with(&set, |env| env.resource()).unwrap();
        assert_eq!(
            rest,
            [("deployment.environment.name".to_owned(), "prod".to_owned())]
        );
        let both = [set[0], ("OTEL_SERVICE_NAME", "b")];
        assert_eq!(
            with(&both, |env| env.service()).unwrap().as_deref(),
            Some("b")
        );
        let often = [("OTEL_METRIC_EXPORT_INTERVAL", "1")];
        assert_eq!(with(&often, |env| env.interval()).unwrap(), MIN_INTERVAL);
    }
}
