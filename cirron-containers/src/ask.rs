//! One question to a kubelet or an API server, over HTTPS.
//!
//! The token and the certificates are read again for each: the platform replaces both while it runs. No proxy is used and
//! no redirection followed: the token is for the one who was named.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, http};

use crate::about::About;
use crate::asker::{Settings, Trouble};
use crate::pods::containers;

/// Bytes of an answer. A pod is 5 to 20 kB of JSON, and a node has 110 of them by default, 500 where that was raised.
const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes of the file with a token, and of that with certificates.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// Time for an answer, all in all. A kubelet takes milliseconds; one that is overloaded is asked again later.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Asks for the containers of this node, and how many of them had no room.
pub(crate) fn ask(settings: &Settings) -> Result<(BTreeMap<String, About>, u64), Trouble> {
    let is_https = settings.url.starts_with("https://");
    let agent = agent(settings, is_https)?;
    let mut request = agent
        .get(&settings.url)
        .header("Accept", "application/json");
    if is_https && let Some(path) = &settings.token_file {
        let token = text(path, MAX_TOKEN_BYTES, "token", "token_file")?;
        let value = http::HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| {
            Trouble::settings(format!("{} holds no token", path.display()), "token_file")
        })?;
        value.set_sensitive(true);
        request = request.header("Authorization", value);
    }
    let answer = request.call().map_err(|e| away(settings, &e))?;
    let json = body(settings, answer)?;
    containers(&json).map_err(|e| {
        // Its place alone: the text may be anybody's.
        let (line, column) = (e.line(), e.column());
        Trouble::away(format!(
            "{} gave no list of pods (line {line}, column {column})",
            settings.url
        ))
    })
}

fn agent(settings: &Settings, is_https: bool) -> Result<Agent, Trouble> {
    let mut tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .disable_verification(settings.insecure);
    let roots = match (is_https && !settings.insecure, &settings.ca_file) {
        (true, Some(path)) => certificates(path)?,
        (true, None) => {
            let what = "nobody says whose certificates are good".to_owned();
            return Err(Trouble::settings(what, "ca_file"));
        }
        (false, _) => Vec::new(),
    };
    tls = tls.root_certs(RootCerts::Specific(Arc::new(roots)));
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(TIME_LIMIT))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent("cirron-agent")
        .build();
    Ok(config.into())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Trouble> {
    let pem = text(path, MAX_CA_BYTES, "certificates", "ca_file")?;
    let all = parse_pem(pem.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        let what = format!("{} has no certificate", path.display());
        return Err(Trouble::settings(what, "ca_file"));
    }
    Ok(all)
}

fn text(path: &Path, max_bytes: u64, what: &str, key: &str) -> Result<String, Trouble> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(max_bytes).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(e) => {
            let what = format!("the {what} {} cannot be read: {e}", path.display());
            Err(Trouble::settings(what, key))
        }
    }
}

fn body(settings: &Settings, mut answer: http::Response<Body>) -> Result<Vec<u8>, Trouble> {
    let (url, status) = (&settings.url, answer.status().as_u16());
    match status {
        200 => {}
        401 => {
            return Err(Trouble::refused(
                format!("{url} does not know the token (401)"),
                "see that `[kubernetes] token_file` is this cluster's, and that the kubelet has --authentication-token-webhook",
            ));
        }
        403 => {
            return Err(Trouble::refused(
                format!("{url} refuses the list of pods (403)"),
                "give the agent's service account a ClusterRole with `get` on `nodes/proxy`, or `nodes/pods`; of the API server `list` on `pods`",
            ));
        }
        404 => {
            return Err(Trouble::refused(
                format!("{url} is not there (404)"),
                "set `[kubernetes] url` to where the list of pods is",
            ));
        }
        _ => return Err(Trouble::away(format!("{url} answers with status {status}"))),
    }
    let read = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
    read.read_to_vec().map_err(|e| {
        if !matches!(e, ureq::Error::BodyExceedsLimit(_)) {
            return away(settings, &e);
        }
        Trouble::refused(
            format!(
                "{url} answers with more than {} MiB",
                MAX_ANSWER_BYTES >> 20
            ),
            "ask the kubelet, which has this node's pods alone, and not the API server for all",
        )
    })
}

/// What did not work on the way there or back.
fn away(settings: &Settings, e: &ureq::Error) -> Trouble {
    let url = &settings.url;
    if let Some(e) = of_tls(e) {
        return Trouble::refused(
            format!("the certificate of {url} is not taken: {e}"),
            "set `[kubernetes] ca_file` to who signed it; where nobody did (a kubelet without \
             `serverTLSBootstrap`), `insecure = true` believes whoever answers",
        );
    }
    if matches!(e, ureq::Error::BadUri(_) | ureq::Error::Http(_)) {
        return Trouble::settings(format!("{url} is no URL: {e}"), "url");
    }
    Trouble::away(format!("{url} does not answer: {e}"))
}

/// One of TLS, which comes wrapped where it shows while bytes are moved.
fn of_tls(e: &ureq::Error) -> Option<&rustls::Error> {
    if let ureq::Error::Rustls(e) = e {
        return Some(e);
    }
    let ureq::Error::Io(e) = e else {
        return None;
    };
    e.get_ref()?.downcast_ref()
}
