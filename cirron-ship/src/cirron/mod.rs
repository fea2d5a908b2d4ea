//! Cirron as a destination: what the SDK's transports do, chosen as the SDK chooses (`cirron/core/transport.py` of
//! cirron-sdk 0.3.0).
//!
//! | environment | transport |
//! | --- | --- |
//! | `CIRRON_RUN_ID` | [`events`]: a line of JSON on standard output for each batch |
//! | else `CIRRON_API_KEY` | [`upload`]: a POST to `CIRRON_API_ENDPOINT` + `CIRRON_INGEST_PATH` |
//! | else | none: the spool is the only place |
//!
//! A variable that is set to nothing is not set, as in the SDK.

pub mod events;
pub mod upload;

use std::fmt;

/// Where the platform is, as the SDK has it.
pub const DEFAULT_ENDPOINT: &str = "https://api.cirron.com";

/// Its route for batches, as the SDK has it.
pub const DEFAULT_INGEST_PATH: &str = "/api/traces";

/// What stands for the SDK's version.
pub const VERSION: &str = concat!("agent/", env!("CARGO_PKG_VERSION"));

/// The transport that the environment chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Lines on standard output.
    Events,
    /// Uploads.
    Upload(Account),
}

/// Where and as whom to upload.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The whole URL.
    pub url: String,
    /// The key. It is shown nowhere.
    pub key: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A variable that cannot be taken. Its value may be a key, and is not in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It would not be one header.
    #[error("CIRRON_API_KEY has characters that no key has\n  look for a line break at its end")]
    Key,
    /// It is no place.
    #[error(
        "CIRRON_API_ENDPOINT begins with neither https:// nor http://\n  name the platform's address, \
         such as {DEFAULT_ENDPOINT}"
    )]
    Endpoint,
}

impl Transport {
    /// As the SDK chooses; `get` gives variables.
    ///
    /// # Errors
    /// Where one of those that matter is wrong.
    pub fn choose(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<Transport>, Wrong> {
        let set = |name| get(name).filter(|value| !value.is_empty());
        if set("CIRRON_RUN_ID").is_some() {
            return Ok(Some(Transport::Events));
        }
        let Some(key) = set("CIRRON_API_KEY") else {
            return Ok(None);
        };
        if !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(Wrong::Key);
        }
        let endpoint = set("CIRRON_API_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Wrong::Endpoint);
        }
        let path = set("CIRRON_INGEST_PATH").unwrap_or_else(|| DEFAULT_INGEST_PATH.to_owned());
        let slash = if path.starts_with('/') { "" } else { "/" };
        let url = format!("{}{slash}{path}", endpoint.trim_end_matches('/'));
        Ok(Some(Transport::Upload(Account { url, key })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(set: &[(&str, &str)]) -> Result<Option<Transport>, Wrong> {
        let get = |name: &str| {
            let found = set.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Transport::choose(&get)
    }

    fn upload(url: &str) -> Result<Option<Transport>, Wrong> {
        Ok(Some(Transport::Upload(Account {
            url: url.to_owned(),
            key: "k".to_owned(),
        })))
    }

    #[test]
    fn the_environment_chooses_as_in_the_sdk() {
        let key = ("CIRRON_API_KEY", "k");
        assert!(choose(&[]) == Ok(None));
        assert!(choose(&[("CIRRON_API_KEY", "")]) == Ok(None));
        assert!(choose(&[key, ("CIRRON_RUN_ID", "r")]) == Ok(Some(Transport::Events)));
        assert!(
            choose(&[key, ("CIRRON_RUN_ID", "")]) == upload("https://api.cirron.com/api/traces")
        );
        let at = [
            key,
            ("CIRRON_API_ENDPOINT", "http://x:1/"),
            ("CIRRON_INGEST_PATH", "in"),
        ];
        assert!(choose(&at) == upload("http://x:1/in"));
    }

    #[test]
    fn a_wrong_variable_is_said_without_its_value() {
        let key = [("CIRRON_API_KEY", "secret\r\nX: y")];
        let wrong = choose(&key)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(
            wrong.contains("CIRRON_API_KEY") && !wrong.contains("secret"),
            "{wrong}"
        );
        let place = [
            ("CIRRON_API_KEY", "k"),
            ("CIRRON_API_ENDPOINT", "api.cirron.com"),
        ];
        assert!(choose(&place) == Err(Wrong::Endpoint));
    }
}
