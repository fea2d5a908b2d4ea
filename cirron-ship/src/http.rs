//! A POST and its answer, by a trait, so that what is done with answers is tested without a network.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig};

/// For a connection: the SDK's timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For the head of an answer, once the body is sent: the SDK's timeout.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// For all of it: 4 MiB at 1 Mbit/s, and the timeouts above.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of an answer's body that are read, so that the connection serves again. Past it it is closed.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// What is posted.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Its body, as it is sent.
    pub body: &'a [u8],
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, as it came.
    pub retry_after: Option<String>,
}

/// Posts.
pub trait Http: Send {
    /// Posts, and gives the answer, whatever its status; else why there is none.
    ///
    /// # Errors
    /// Where no answer came: in a form for people, without headers.
    fn post(&mut self, post: &Post<'_>) -> Result<Answer, String>;
}

/// The network. TLS is rustls with the system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` as usual), proxies are those of
/// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Redirects are not followed: a key goes where it was meant to.
#[derive(Debug)]
pub struct Network(ureq::Agent);

impl Default for Network {
    fn default() -> Network {
        Network::new()
    }
}

impl Network {
    /// Reads the system's roots; makes no connection.
    pub fn new() -> Network {
        let config = ureq::Agent::config_builder()
            .tls_config(tls(None, None))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_global(Some(WHOLE_TIMEOUT))
            .user_agent(concat!("cirron-agent/", env!("CARGO_PKG_VERSION")))
            .build();
        Network(config.into())
    }
}

/// TLS by rustls with these roots only, else with the system's. `own`: who we are, to a server that asks.
pub fn tls(only: Option<Vec<Certificate<'static>>>, own: Option<ClientCert>) -> TlsConfig {
    let roots = only.unwrap_or_else(system_roots);
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .client_cert(own)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

fn system_roots() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for e in &found.errors {
        tracing::info!("roots of the system: {e}");
    }
    let own = |cert: &_| Certificate::from_der(AsRef::<[u8]>::as_ref(cert)).to_owned();
    found.certs.iter().map(own).collect()
}

impl Http for Network {
    fn post(&mut self, post: &Post<'_>) -> Result<Answer, String> {
        let mut request = self.0.post(post.url);
        for (name, value) in post.headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.send(post.body).map_err(|e| e.to_string())?;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let status = answer.status().as_u16();
        // What it says is not ours to write anywhere.
        let _ = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_vec();
        Ok(Answer {
            status,
            retry_after,
        })
    }
}
