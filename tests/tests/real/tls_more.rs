//! TLS of other makes: Go's on the client's side, Caddy (a stripped Go program) and GnuTLS.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::calls::{curl, openai_at};
use cirron_tests::expect;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate, key};
use cirron_tests::stacks;
use cirron_tests::truth::Truth;
use cirron_tests::wait;

use crate::tls::{ca, calls};
use crate::tls_libs::doctor;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "https_go_client_is_seen",
        need: Need::Stacks,
        run: go_client,
    },
    Test {
        name: "https_caddy_in_front_of_a_stream",
        need: Need::Stacks,
        run: caddy,
    },
    Test {
        name: "https_gnutls_server",
        need: Need::Stacks,
        run: gnutls,
    },
    Test {
        name: "https_nginx_in_front_of_a_stream",
        need: Need::Stacks,
        run: nginx,
    },
    Test {
        name: "https_that_cannot_be_read_is_named",
        need: Need::Stacks,
        run: blind,
    },
    Test {
        name: "https_node_fetch_is_seen",
        need: Need::Stacks,
        run: node_fetch,
    },
    Test {
        name: "https_curl_is_seen",
        need: Need::Stacks,
        run: curl_is_seen,
    },
];

fn go_client() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let mut command = Command::new(stacks::go_server(true)?);
    command
        .arg("client")
        .arg(server.https("/v1/chat/completions"));
    let report = Agent::run(&[], &command, |c| {
        c.env("SSL_CERT_FILE", certificate());
    })?
    .ended(Duration::from_secs(30))?;
    let truth = server.truth_of(8)?;
    let spans = expect::only_client_calls(&report, 8)?;
    for t in &truth {
        let span = expect::span_of(&spans, t)?;
        expect::untouched(span)?;
        ensure!(
            span.int("server.port") == Some(i64::from(server.port)),
            "{span:?}"
        );
        ensure!(
            span.mark("time_to_first_token_ms").is_some() == t.stream,
            "{span:?}"
        );
    }
    Ok(format!("{} calls", truth.len()))
}

/// Caddy: a Go program without symbols.
fn caddy() -> Result<String> {
    both_sides(|port, upstream, dir| {
        let config = dir.join("Caddyfile");
        std::fs::write(
            &config,
            format!(
                "{{\n admin off\n auto_https off\n}}\nhttps://127.0.0.1:{port} {{\n bind 127.0.0.1\n tls {} {}\n reverse_proxy 127.0.0.1:{upstream}\n}}\n",
                certificate().display(),
                key().display(),
            ),
        )?;
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&config)
            .env("HOME", dir)
            .env("XDG_DATA_HOME", dir);
        Ok(command)
    })
}

/// nginx, with a worker process.
fn nginx() -> Result<String> {
    both_sides(nginx_conf("ssl"))
}

/// Starts nginx on a port in front of another, by a folder; `listen`: what its port speaks.
pub(crate) fn nginx_conf(listen: &str) -> impl FnOnce(u16, u16, &Path) -> Result<Command> {
    move |port, upstream, dir| {
        let config = dir.join("nginx.conf");
        let at = dir.display();
        std::fs::write(
            &config,
            format!(
                "daemon off; master_process on; worker_processes 1; user root; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n upstream model {{ server 127.0.0.1:{upstream}; keepalive 8; }}\n server {{ listen 127.0.0.1:{port} {listen}; ssl_certificate {}; ssl_certificate_key {};\n location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }} }} }}\n",
                certificate().display(),
                key().display(),
            ),
        )?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir).arg("-c").arg(&config);
        Ok(command)
    }
}

/// A front in TLS of a plain stream, asked over HTTP/1.
fn both_sides(command: impl FnOnce(u16, u16, &Path) -> Result<Command>) -> Result<String> {
    let ask = |port: u16| openai_at(&format!("https://127.0.0.1:{port}/v1"), 4, &calls());
    let (_, truth) = front(command, |port| ask(port).map(drop))?;
    Ok(format!("{} calls", truth.len()))
}

/// A front in TLS of a plain stream, which `ask` makes [`calls`] to: both of its sides are seen, and
/// both are right.
pub(crate) fn front(
    command: impl FnOnce(u16, u16, &Path) -> Result<Command>,
    ask: impl FnOnce(u16) -> Result<()>,
) -> Result<(Report, Vec<Truth>)> {
    let upstream = Server::start(Stack::UvicornH11)?;
    let port = free_port()?;
    let dir = tempfile::tempdir()?;
    let command = command(port, upstream.port, dir.path())?;
    let front = Guard::spawn_logged(command, &dir.path().join("front.log"))?;
    wait::listener(port)?;
    let agent = Agent::attach(&[front.pid()], &["-v"])?;
    ask(port)?;
    let truth = upstream.truth_of(8)?;
    let report = agent.finish()?;
    let (served, made) = (report.spool.requests(), report.spool.client_calls());
    ensure!(
        served.len() == 8 && made.len() == 8,
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    for t in &truth {
        for (side, scheme) in [(&served, Some("https")), (&made, None)] {
            same(side, t, scheme)?;
        }
    }
    Ok((report, truth))
}

/// granian's library is rustls: no exchange is made up, and no silence either.
fn blind() -> Result<String> {
    const CALLS: i64 = 3;
    let server = Server::start(Stack::GranianTls)?;
    let doctor = doctor(server.pid())?;
    ensure!(doctor.contains("rustls, which cannot be read"), "{doctor}");
    let agent = Agent::attach(&[server.pid()], &[])?;
    for _ in 0..CALLS {
        curl(&["--cacert", &ca()?, &server.https("/health")])?;
    }
    let report = agent.finish()?;
    ensure!(
        report.spool.requests().is_empty(),
        "{}",
        report.spool.describe()
    );
    ensure!(
        report
            .stderr
            .contains("TLS cannot be read where it uses rustls in"),
        "{}",
        report.stderr
    );
    let unread: i64 = report
        .spool
        .sessions()
        .iter()
        .filter(|s| {
            s.text("cirron.tls.blind")
                .is_some_and(|b| b.contains("rustls"))
        })
        .filter_map(|s| s.int("cirron.tls.unread_connections"))
        .sum();
    ensure!(unread == CALLS, "{unread}: {}", report.spool.describe());
    Ok(format!("{unread} connections"))
}

/// Node's own client.
fn node_fetch() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let code = "const body = (i) => JSON.stringify({model: 'm' + i, stream: true, messages: [], x_tokens: 6, x_ttft_ms: 40, x_interval_ms: 5, x_usage: true}); (async () => { for (let i = 0; i < 4; i++) { const r = await fetch(process.argv[1], {method: 'POST', headers: {'content-type': 'application/json'}, body: body(i)}); for await (const chunk of r.body) {} } })()";
    let mut command = Command::new("node");
    command
        .args(["-e", code])
        .arg(server.https("/v1/chat/completions"));
    let report = Agent::run(&[], &command, |c| {
        c.env("NODE_EXTRA_CA_CERTS", certificate());
    })?
    .ended(Duration::from_secs(30))?;
    let truth = server.truth_of(4)?;
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == 4,
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    for t in &truth {
        same(&spans, t, Some("https"))?;
    }
    Ok(format!("{} calls", truth.len()))
}

fn same(side: &[&cirron_tests::spool::Span], t: &Truth, scheme: Option<&str>) -> Result<()> {
    let span = side
        .iter()
        .find(|s| s.text("gen_ai.response.id") == t.id.as_deref())
        .with_context(|| format!("no call {t:?} on the side of {scheme:?}"))?;
    expect::untouched(span)?;
    ensure!(span.text("url.scheme") == scheme, "{span:?}");
    ensure!(span.status() == Some(200), "{span:?}");
    ensure!(
        span.mark("time_to_first_token_ms").is_some() == t.stream,
        "{span:?}"
    );
    Ok(())
}

/// GnuTLS's own server, which answers a page and closes.
fn gnutls() -> Result<String> {
    const CALLS: usize = 5;
    let port = free_port()?;
    let dir = tempfile::tempdir()?;
    let mut command = Command::new("gnutls-serv");
    command
        .args(["--http", "--port", &port.to_string(), "--x509certfile"])
        .arg(certificate())
        .arg("--x509keyfile")
        .arg(key());
    let target = Guard::spawn_logged(command, &dir.path().join("serv.log"))?;
    wait::listener(port)?;
    let agent = Agent::attach(&[target.pid()], &["-v"])?;
    let url = format!("https://127.0.0.1:{port}/page?q={}", cirron_tests::CANARY);
    let mut sizes = Vec::new();
    for version in ["1.3", "1.2", "1.3", "1.2", "1.3"] {
        let output = curl(&["--cacert", &ca()?, "--tls-max", version, &url])?;
        sizes.push(i64::try_from(output.stdout.len())?);
    }
    let report = agent.finish()?;
    let spans = report.spool.requests();
    ensure!(
        spans.len() == CALLS,
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    for (span, size) in spans.iter().zip(&sizes) {
        ensure!(
            span.status() == Some(200)
                && span.path() == "/page"
                && span.text("url.scheme") == Some("https")
                && span.int("http.response.body.size") == Some(*size),
            "{span:?}, {size} bytes"
        );
        ensure!(span.int("server.port") == Some(i64::from(port)), "{span:?}");
    }
    Ok(format!("{CALLS} calls"))
}

/// Over in a moment, and it maps its library at once.
fn curl_is_seen() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let mut command = Command::new("curl");
    command.args(["-sS", "--http1.1", "--cacert", &ca()?]);
    command
        .arg(server.https("/health"))
        .arg(server.https("/health"));
    let report = Agent::run(&["-v"], &command, |_| {})?.ended(Duration::from_secs(20))?;
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == 2 && spans.iter().all(|s| s.status() == Some(200)),
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    Ok(String::new())
}
