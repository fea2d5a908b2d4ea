//! Whose figures they are: the process that an exchange belongs to, as far as metrics tell processes apart.
//!
//! Between the session's attributes and the labels that every series of it has. Two processes with the same names, of
//! a server with workers, are one source: metrics are about what runs, not about which number it has.

use cirron_look::session::Session;
use cirron_spool::rows::Scalar;

/// The attributes of a session that tell sources apart. What is unknown is no label.
pub const ATTRS: [&str; 7] = [
    "service.name",
    "cirron.target",
    "cirron.deployment_id",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
];

/// Bytes of such a value: Kubernetes' names have 253 at most.
const MAX_VALUE_BYTES: usize = 256;

/// A source: the values of [`ATTRS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source(pub [Option<Box<str>>; ATTRS.len()]);

impl Source {
    /// Of a session. `service` is the name that who started the agent gave, before all others; where nobody gives one
    /// it is the executable's.
    pub fn new(session: Option<&Session>, service: Option<&str>) -> Source {
        let mut values: [Option<Box<str>>; ATTRS.len()] = Default::default();
        let Some(session) = session else {
            return Source::named(service.unwrap_or(UNKNOWN));
        };
        for (name, value) in ATTRS.iter().zip(&mut values) {
            *value = text(session, name).map(keep);
        }
        let [first, ..] = &mut values;
        let executable = || session.executable.as_deref();
        let named = service.map(keep).or(first.take());
        *first = Some(named.unwrap_or_else(|| keep(executable().unwrap_or(UNKNOWN))));
        Source(values)
    }

    /// With a name and nothing else.
    pub fn named(name: &str) -> Source {
        let mut values: [Option<Box<str>>; ATTRS.len()] = Default::default();
        let [first, ..] = &mut values;
        *first = Some(keep(name));
        Source(values)
    }

    /// The labels that are known.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        ATTRS
            .iter()
            .zip(&self.0)
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
    }
}

/// As OpenTelemetry's SDKs say it.
pub const UNKNOWN: &str = "unknown_service";

fn text<'a>(session: &'a Session, name: &str) -> Option<&'a str> {
    session.attr(name).and_then(Scalar::as_text)
}

fn keep(text: &str) -> Box<str> {
    let end = text.floor_char_boundary(text.len().min(MAX_VALUE_BYTES));
    text.get(..end).unwrap_or_default().into()
}
