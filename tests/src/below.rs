//! Calls that hang below the request that they were made for, judged by the number in both paths; and clients that ask at once.

use std::thread;

use anyhow::{Result, anyhow, ensure};

use crate::spool::{Span, Spool};

/// Number of a path's own segment: `/ask/ID`, `/v1/ID/chat/completions`.
fn number(span: &Span) -> Option<usize> {
    span.path().split('/').nth(2)?.parse().ok()
}

/// What became of the calls.
#[derive(Debug, Default)]
pub struct Judged<'s> {
    /// Requests with a call of theirs.
    pub known: Vec<(&'s Span, &'s Span)>,
    /// Of each other call why it is below none.
    pub unknown: Vec<&'s str>,
}

impl Judged<'_> {
    /// Number of calls.
    pub fn all(&self) -> usize {
        self.known.len() + self.unknown.len()
    }
}

/// Judges each call: it is below its own request, by one of `evidence`, or says why it is below none.
///
/// # Errors
/// When one is wrong.
pub fn judge<'s>(spool: &'s Spool, evidence: &[&str]) -> Result<Judged<'s>> {
    let requests = spool.requests();
    let mut judged = Judged::default();
    for call in spool.client_calls() {
        let parent = requests
            .iter()
            .find(|request| Some(&request.id) == call.parent_id.as_ref());
        match parent {
            Some(request) => {
                ensure!(
                    number(request) == number(call),
                    "wrong: {request:?} has {call:?}"
                );
                let by = call.text("cirron.parent.by");
                ensure!(by.is_some_and(|by| evidence.contains(&by)), "{call:?}");
                judged.known.push((request, call));
            }
            None => {
                let why = call.text("cirron.parent.unknown");
                judged.unknown.push(why.ok_or_else(|| anyhow!("{call:?}"))?);
            }
        }
    }
    Ok(judged)
}

/// The same of requests that are exchanges of one process with its calls: each has its own share of the time.
///
/// # Errors
/// As [`judge`], and when a request has no such share.
pub fn judge_with_overhead<'s>(spool: &'s Spool, evidence: &[&str]) -> Result<Judged<'s>> {
    let judged = judge(spool, evidence)?;
    for (request, _) in &judged.known {
        ensure!(request.mark("overhead_ms").is_some(), "{request:?}");
    }
    Ok(judged)
}

/// How many requests each client makes: `usual`, or what `cargo xtask bench joins` asks for.
#[must_use]
pub fn each(usual: usize) -> usize {
    let asked = std::env::var("CIRRON_EACH").ok();
    asked.and_then(|each| each.parse().ok()).unwrap_or(usual)
}

/// Lets clients work at once, each with its number, until all have done.
///
/// # Errors
/// The first client's that fails.
pub fn at_once(clients: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|client| scope.spawn(move || work(client)))
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| anyhow!("a client"))?)
    })
}
