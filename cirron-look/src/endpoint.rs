//! What was called: method and path, as `tree` and every export name it; each kept once however often it was called.

use std::collections::HashMap;

use cirron_spool::rows::{SpanRow, cut};
use cirron_spool::shown::shown;

/// Different endpoints that are told apart; what comes later counts as "other paths". A path with
/// an id in it is another endpoint each time.
pub const MAX_ENDPOINTS: usize = 10_000;

/// Bytes of a path that tell endpoints apart.
pub const MAX_PATH_BYTES: usize = 200;

/// What was called where neither method nor path was seen.
const UNSEEN: &str = "(path not seen)";

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// The process answered.
    Served,
    /// The process asked.
    Called,
    /// A scope that is no exchange.
    Scope,
}

/// The way and the name of a span's endpoint: `POST /v1/chat/completions`; by a template where a rule gives one. The
/// text is the client's: it is cut, and not made safe for a terminal.
pub fn endpoint(row: &SpanRow<'_>) -> (Way, String) {
    let way = match &*row.name.0 {
        "request" => Way::Served,
        "http.client" => Way::Called,
        _ => Way::Scope,
    };
    let text = |name| row.attrs.get(name).and_then(|value| value.as_text());
    let template = || text("http.route").or_else(|| text("url.template"));
    let path = template().or_else(|| text("url.path"));
    let name = match (text("http.request.method"), path) {
        (Some(method), Some(path)) => format!("{method} {path}"),
        (None, Some(path)) => path.to_owned(),
        (Some(method), None) => method.to_owned(),
        (None, None) if way == Way::Scope => row.name.0.to_string(),
        (None, None) => UNSEEN.to_owned(),
    };
    (way, cut(&name, MAX_PATH_BYTES))
}

/// One of [`Endpoints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(u32);

/// Ways and paths; the first three are each way's "other paths".
#[derive(Debug)]
pub struct Endpoints {
    names: Vec<(Way, String)>,
    ids: HashMap<(Way, String), EndpointId>,
}

impl Default for Endpoints {
    fn default() -> Endpoints {
        let other = |way| (way, "other paths".to_owned());
        Endpoints {
            names: vec![other(Way::Served), other(Way::Called), other(Way::Scope)],
            ids: HashMap::new(),
        }
    }
}

impl Endpoints {
    /// That of a span.
    pub fn add(&mut self, row: &SpanRow<'_>) -> EndpointId {
        let (way, name) = endpoint(row);
        let key = (way, shown(&name).into_owned());
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        if self.ids.len() >= MAX_ENDPOINTS {
            return EndpointId(way as u32);
        }
        let id = EndpointId(self.names.len() as u32);
        self.names.push(key.clone());
        self.ids.insert(key, id);
        id
    }

    /// Its way and its name, to be shown.
    pub fn name(&self, id: EndpointId) -> (Way, &str) {
        self.names
            .get(id.0 as usize)
            .map_or((Way::Scope, ""), |(way, name)| (*way, name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn add(endpoints: &mut Endpoints, name: &str, path: &str) -> EndpointId {
        let json = format!(
            r#"{{"id":"a","name":"{name}","parent_id":null,"index":null,"start_ns":0,"end_ns":null,
                "attrs":{{"http.request.method":"GET","url.path":"{path}"}}}}"#
        );
        endpoints.add(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn an_endpoint_is_kept_once_and_their_number_is_bounded() {
        let mut all = Endpoints::default();
        let first = add(&mut all, "request", "/a");
        assert_eq!(add(&mut all, "request", "/a"), first);
        assert_ne!(add(&mut all, "http.client", "/a"), first);
        for n in 0..MAX_ENDPOINTS {
            add(&mut all, "request", &format!("/{n}"));
        }
        let other = add(&mut all, "request", "/new");
        assert_eq!(all.name(other), (Way::Served, "other paths"));
        assert_eq!(all.name(first), (Way::Served, "GET /a"));
        assert!(all.names.len() <= MAX_ENDPOINTS + 3);
        let other = add(&mut all, "http.client", &"/x".repeat(500));
        assert_eq!(all.name(other).0, Way::Called);
    }

    #[test]
    fn a_template_is_one_endpoint_whatever_ids_are_in_its_paths() {
        let mut all = Endpoints::default();
        let mut of = |name: &str, template: &str, path: &str| {
            let json = format!(
                r#"{{"id":"a","name":"{name}","parent_id":null,"index":null,"start_ns":0,"end_ns":null,
                    "attrs":{{"http.request.method":"GET","{template}":"/users/{{id}}","url.path":"{path}"}}}}"#
            );
            all.add(&serde_json::from_str(&json).unwrap())
        };
        let first = of("request", "http.route", "/users/1");
        assert_eq!(of("request", "http.route", "/users/2"), first);
        let made = of("http.client", "url.template", "/users/1");
        assert_eq!(of("http.client", "url.template", "/users/2"), made);
        assert_eq!(all.name(first), (Way::Served, "GET /users/{id}"));
    }
}
