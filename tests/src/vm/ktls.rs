//! Kernel TLS below OpenSSL: the kernel encrypts, so that the library's socket calls carry plaintext.
//! Each exchange once, as the library's functions say it; a body from a file (`SSL_sendfile`) is a hole
//! of exact length.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Check, Run, json, text};
use crate::spool::{Span, Spool};
use crate::{contract, expect};

/// Requests that each server is asked.
const CALLS: usize = 4;

/// One check for each way in which the server sends a body.
pub(super) fn checks(out: &Path) -> Vec<Check> {
    // The kernel's counter is of all connections since it booted.
    let ways = [("ktls_written", false, 1), ("ktls_sendfile", true, 2)];
    ways.map(|(name, by_sendfile, servers)| Check {
        name: name.to_owned(),
        result: one(&out.join(name), by_sendfile, servers),
    })
    .into()
}

fn one(folder: &Path, by_sendfile: bool, servers: usize) -> Result<String> {
    let own = folder.join("agent");
    let run: Run = json(&folder.join("run.json")).context("the kernel has no TLS of its own")?;
    let log = || text(&own.join("log.txt")).unwrap_or_default();
    ensure!(
        run.attached && run.agent_exit == 0 && run.alive,
        "{}",
        log()
    );
    let sessions = sessions(&text(&folder.join("tls_stat.txt"))?)?;
    ensure!(
        run.calls.len() == CALLS && sessions >= servers * CALLS,
        "{} requests made; {sessions} connections by the kernel, since it booted",
        run.calls.len()
    );
    contract::check(&own)?;
    let spool = Spool::read(&own)?;
    let spans = spool.requests();
    ensure!(
        spans.len() == CALLS && spool.client_calls().is_empty(),
        "{}\n{}",
        spool.describe(),
        log()
    );
    let mut by_file = 0;
    for (span, call) in spans.iter().zip(&run.calls) {
        ensure!(
            span.path() == call.path
                && span.status() == Some(call.status)
                && span.text("url.scheme") == Some("https")
                && span.text("cirron.tls.link") == Some("call")
                && span.int("client.port") == Some(call.port)
                && span.int("http.response.body.size") == Some(call.received),
            "{call:?}: {span:?}"
        );
        by_file += body(span, by_sendfile, call.received)?;
    }
    Ok(format!(
        "{CALLS} exchanges, {by_file} bytes by sendfile; {sessions} connections encrypted by the kernel"
    ))
}

/// Bytes of a body that were never in the process.
fn body(span: &Span, by_sendfile: bool, len: i64) -> Result<i64> {
    if by_sendfile {
        ensure!(span.int("cirron.lost_bytes") == Some(len), "{span:?}");
        return Ok(len);
    }
    expect::untouched(span)?;
    Ok(0)
}

/// Connections whose sending side the kernel has encrypted (`TlsTxSw` of `/proc/net/tls_stat`).
fn sessions(stat: &str) -> Result<usize> {
    let line = stat.lines().find_map(|l| l.strip_prefix("TlsTxSw"));
    let count = line.with_context(|| stat.to_owned())?;
    count.trim().parse().context("TlsTxSw")
}
