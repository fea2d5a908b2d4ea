//! HTTP/2 by unmodified clients against unmodified servers: the same figures as over HTTP/1.

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::openai_http2_at;
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};

use super::tls::calls;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "http2_openai_client_on_hypercorn_by_prior_knowledge",
        need: Need::Stacks,
        run: || server(Stack::Hypercorn),
    },
    Test {
        name: "http2_openai_client_on_hypercorn_over_https",
        need: Need::Stacks,
        run: || server(Stack::HypercornTlsH2),
    },
];

fn server(stack: Stack) -> Result<String> {
    let server = Server::start(stack)?;
    let base = if stack.is_tls() {
        server.https("/v1")
    } else {
        server.url("/v1")
    };
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let mut seen = openai_http2_at(&base, 1, &calls())?;
    // One after the other: hypercorn takes a millisecond of its own for each frame.
    seen.extend(openai_http2_at(&base, 1, &calls())?);
    let truth = server.truth_of(16)?;
    let report = agent.finish()?;
    let figures = expect::matches_seen(&report.spool, &truth, &seen)
        .with_context(|| report.stderr.clone())?;
    for span in report.spool.requests() {
        ensure!(
            span.text("network.protocol.version") == Some("2"),
            "{span:?}"
        );
    }
    Ok(figures.summary())
}
