//! Compares what the agent recorded with what the server says it did.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use crate::agent::Report;
use crate::calls::Seen;
use crate::spool::{Span, Spool};
use crate::truth::Truth;

/// How far a time to first token may be from the server's own.
pub const TTFT_TOLERANCE_MS: f64 = 2.0;
/// The request's bytes are read before its handler is entered, so the agent's figure is never much
/// below the server's: clocks aside.
pub const TTFT_BELOW_MS: f64 = 0.3;
/// Share of streams that must be within the tolerance, or recorded no later than their client had the
/// token. The rest is for moments in which neither server nor kernel had a CPU: a delay between the
/// handler's entry and the bytes is not the agent's.
pub const TTFT_SHARE: f64 = 0.9;
/// Of this many streams or fewer, one bad moment is a large share: of one or two none may be late, of three or more
/// one.
pub const TTFT_FEW: usize = 4;
/// Tolerance of so few, one of which is the first call of a server: its code is cold between the handler and the
/// socket (2.0 to 4.4 ms were seen of uvicorn and gunicorn). Of three or more one may be later.
pub const TTFT_COLD_MS: f64 = 10.0;
/// And those, too, must be near.
pub const TTFT_WORST_MS: f64 = 25.0;

/// Differences in time to first token, recorded less true, ms.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// One per stream.
    pub ttft_ms: Vec<f64>,
    /// Of each, whether its client had the first token no earlier than recorded.
    bracketed: Vec<bool>,
    /// Exchanges compared.
    pub exchanges: usize,
    /// Times are compared in order only, not in length.
    emulated: bool,
}

impl Figures {
    /// The text behind the test's name.
    pub fn summary(&self) -> String {
        let sorted = self.sorted();
        match (sorted.get(sorted.len() / 2), sorted.last()) {
            (Some(median), Some(worst)) => {
                format!(
                    "{} exchanges; {} streams, time to first token off by {median:.2} ms (median), {worst:.2} ms (worst)",
                    self.exchanges,
                    sorted.len()
                )
            }
            _ => format!("{} exchanges", self.exchanges),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.ttft_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn check(&self) -> Result<(), Late> {
        let sorted = self.sorted();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let all = self.ttft_ms.len();
        let few = all <= TTFT_FEW;
        let tolerance_ms = if few { TTFT_COLD_MS } else { TTFT_TOLERANCE_MS };
        let streams = self.ttft_ms.iter().zip(&self.bracketed);
        let right = streams
            .filter(|(off, seen)| **off <= tolerance_ms || **seen)
            .count();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let share = right as f64 / all.max(1) as f64;
        let near = if few {
            all - right <= usize::from(all > 2)
        } else {
            share >= TTFT_SHARE && median <= TTFT_TOLERANCE_MS
        };
        if self.emulated || near {
            return Ok(());
        }
        Err(Late(format!(
            "only {right} of {all} within {tolerance_ms} ms or before the client had them: {:.2?}",
            self.ttft_ms
        )))
    }
}

/// Everything is right but the times: the machine may have been busy with something else.
#[derive(Clone, Debug)]
pub struct Late(String);

/// `what` is off by `off_ms`, and no machine that does nothing else is so late.
pub fn in_time(what: &str, off_ms: f64, most_ms: f64) -> Result<(), Late> {
    if off_ms >= most_ms {
        return Err(Late(format!("{what} off by {off_ms:.3} ms")));
    }
    Ok(())
}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Late {}

/// Every exchange is there once, with the server's own numbers.
pub fn matches(spool: &Spool, truth: &[Truth]) -> Result<Figures> {
    matches_seen(spool, truth, &[])
}

/// The same, with what the clients saw: a first token that was recorded after the handler had it and
/// before its client had it is right, of the few whose server had no processor for a moment.
pub fn matches_seen(spool: &Spool, truth: &[Truth], seen: &[Seen]) -> Result<Figures> {
    let figures = compare(spool, truth, seen, false)?;
    figures.check()?;
    Ok(figures)
}

/// The same, for servers whose own way from the wire to the handler and back takes milliseconds: of
/// any number of streams.
pub fn matches_slow(spool: &Spool, truth: &[Truth], seen: &[Seen]) -> Result<Figures> {
    let figures = compare(spool, truth, seen, false)?;
    if !figures.bracketed.iter().all(|seen| *seen) {
        figures.check()?;
    }
    Ok(figures)
}

/// The same, for servers on an emulated processor, where a call of the kernel's may take as long as a
/// token: no time is bounded from above.
pub fn matches_emulated(spool: &Spool, truth: &[Truth]) -> Result<Figures> {
    let figures = compare(spool, truth, &[], true)?;
    figures.check()?;
    Ok(figures)
}

fn compare(spool: &Spool, truth: &[Truth], seen: &[Seen], emulated: bool) -> Result<Figures> {
    let requests = spool.requests();
    same_counts(&requests, truth)?;
    ensure!(
        spool.client_calls().is_empty(),
        "a server's requests named http.client: {}",
        spool.describe()
    );
    let mut by_id: BTreeMap<&str, &Span> = BTreeMap::new();
    for span in &requests {
        untouched(span)?;
        if let Some(id) = span.text("gen_ai.response.id") {
            ensure!(
                by_id.insert(id, span).is_none(),
                "two requests with response id {id}"
            );
        }
    }
    let mut figures = Figures {
        exchanges: requests.len(),
        emulated,
        ..Figures::default()
    };
    for t in truth {
        let Some(id) = &t.id else { continue };
        let span = by_id
            .remove(id.as_str())
            .with_context(|| format!("no request with response id {id}"))?;
        call(span, t, &mut figures).with_context(|| format!("{t:?}\n  {span:?}"))?;
        if let Some(recorded) = span.mark("time_to_first_token_ms") {
            let client = seen.iter().find(|s| s.id.as_deref() == Some(id));
            let client_ms = client.and_then(|s| s.first_ms);
            figures
                .bracketed
                .push(client_ms.is_some_and(|c| recorded <= c));
        }
    }
    ensure!(
        by_id.is_empty(),
        "response ids that no server sent: {by_id:?}"
    );
    others(&requests, truth)?;
    Ok(figures)
}

fn same_counts(requests: &[&Span], truth: &[Truth]) -> Result<()> {
    let key = |s: &Span| {
        let method = s.text("http.request.method").unwrap_or("?");
        (format!("{method} {}", s.path()), s.status().unwrap_or(0))
    };
    let mut left: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for t in truth {
        *left
            .entry((format!("{} {}", t.method, t.path), t.status))
            .or_default() += 1;
    }
    for s in requests {
        *left.entry(key(s)).or_default() -= 1;
    }
    left.retain(|_, n| *n != 0);
    if !left.is_empty() {
        bail!(
            "{} requests served, {} recorded; served less recorded: {left:?}; of these {:?}",
            truth.len(),
            requests.len(),
            // One of each is enough to see what they are.
            left.keys()
                .filter_map(|of| requests.iter().find(|s| key(s) == *of))
                .collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// Nothing says that a hole or an early end touched it.
pub fn untouched(span: &Span) -> Result<()> {
    for name in [
        "cirron.partial",
        "cirron.lost_bytes",
        "cirron.late_attach",
        "cirron.aborted_by",
    ] {
        ensure!(
            !span.attrs.contains_key(name),
            "{name} on a whole exchange: {span:?}"
        );
    }
    ensure!(span.end_ns.is_some(), "no end: {span:?}");
    Ok(())
}

/// The span of the call that `truth` is about, by the response's own id.
pub fn span_of<'a>(spans: &[&'a Span], truth: &Truth) -> Result<&'a Span> {
    spans
        .iter()
        .find(|s| s.text("gen_ai.response.id") == truth.id.as_deref())
        .copied()
        .with_context(|| format!("no call {truth:?}"))
}

/// The calls that a client made: `count`, and nothing served.
pub fn only_client_calls(report: &Report, count: usize) -> Result<Vec<&Span>> {
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == count && report.spool.requests().is_empty(),
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    Ok(spans)
}

/// One model call against its truth.
#[expect(clippy::cast_precision_loss, reason = "token counts and ns of a test")]
fn call(span: &Span, t: &Truth, figures: &mut Figures) -> Result<()> {
    ensure!(span.pid == t.pid, "pid {} for {}", span.pid, t.pid);
    ensure!(
        span.path() == t.path && span.status() == Some(t.status),
        "path or status"
    );
    for name in ["gen_ai.request.model", "gen_ai.response.model"] {
        ensure!(
            span.text(name) == t.model.as_deref(),
            "{name} {:?}",
            span.text(name)
        );
    }
    ensure!(
        span.attrs.contains_key("gen_ai.response.finish_reasons")
            || t.kind.as_deref() == Some("responses"),
        "no finish reason"
    );
    let tokens = t.tokens.context("truth without tokens")? as f64;
    // Neither reported nor countable: nobody could know it.
    let unknown = !t.usage && !t.stream;
    ensure!(
        span.mark("output_tokens") == Some(tokens).filter(|_| !unknown),
        "output_tokens {:?}",
        span.mark("output_tokens")
    );
    let estimated = span
        .marks("output_tokens")
        .any(|m| m.attrs.get("estimated").is_some_and(|v| v == true));
    ensure!(
        estimated == (!t.usage && t.stream),
        "estimated: {estimated}, usage sent: {}",
        t.usage
    );
    if t.usage {
        let prompt = t.prompt_tokens.context("truth without prompt tokens")? as f64;
        ensure!(span.mark("input_tokens") == Some(prompt), "input_tokens");
        ensure!(
            span.mark("total_tokens") == Some(prompt + tokens),
            "total_tokens"
        );
        if t.kind.as_deref() != Some("responses") {
            ensure!(
                span.mark("prompt_tokens") == Some(prompt)
                    && span.mark("completion_tokens") == Some(tokens),
                "usage as reported"
            );
        }
    } else {
        for name in [
            "prompt_tokens",
            "completion_tokens",
            "input_tokens",
            "total_tokens",
        ] {
            ensure!(span.mark(name).is_none(), "{name} without usage");
        }
    }
    let took = (span.end_ns.context("no end")? - span.start_ns) as f64;
    // A handler may go on for a while after its last byte: Node's ends with its `finish` event, and one
    // of many threads waits for its turn.
    let share = if figures.emulated { 0.5 } else { 0.9 };
    ensure!(
        took + 10e6 >= t.duration_ns as f64 * share,
        "took {took} ns, its handler alone {}",
        t.duration_ns
    );
    let before_handler = (t.start_wall_ns - span.start_ns) as f64 / 1e6;
    ensure!(
        before_handler > -20.0 && (before_handler < 200.0 || figures.emulated),
        "starts {before_handler} ms before its handler"
    );
    let recorded = span.mark("time_to_first_token_ms");
    let Some(first) = t.ttft_ns else {
        ensure!(
            recorded.is_none(),
            "time to first token of a response that is no stream"
        );
        return Ok(());
    };
    let recorded = recorded.context("no time_to_first_token_ms")?;
    let off = recorded - first as f64 / 1e6;
    ensure!(
        off >= -TTFT_BELOW_MS,
        "time to first token too early by {off:.3} ms"
    );
    if !figures.emulated {
        in_time("time to first token", off, TTFT_WORST_MS)?;
    }
    figures.ttft_ms.push(off);
    let duration = span
        .mark("request_duration_ms")
        .context("no request_duration_ms")?;
    ensure!(
        duration >= recorded && duration <= took / 1e6 + 1.0,
        "request_duration_ms {duration}"
    );
    if tokens > 1.0 {
        ensure!(
            span.mark("tokens_per_second").is_some_and(|v| v > 0.0),
            "tokens_per_second"
        );
        ensure!(
            span.mark("time_per_output_token_ms")
                .is_some_and(|v| v > 0.0),
            "time_per_output_token_ms"
        );
    }
    ensure!(
        span.mark("time_to_first_byte_ms")
            .is_some_and(|v| v <= recorded),
        "time_to_first_byte_ms"
    );
    Ok(())
}

/// Errors, embeddings, and what is no model call at all.
#[expect(clippy::cast_precision_loss, reason = "token counts")]
fn others(requests: &[&Span], truth: &[Truth]) -> Result<()> {
    for span in requests {
        let llm = truth.iter().any(|t| t.llm && t.path == span.path());
        if !llm {
            let marked = span.marks.iter().find(|m| m.name.contains("token"));
            ensure!(marked.is_none(), "{} carries {marked:?}", span.path());
            ensure!(
                !span.attrs.keys().any(|k| k.starts_with("gen_ai.")),
                "{} carries gen_ai attributes",
                span.path()
            );
        }
        let failed = span.status().is_some_and(|s| s >= 500);
        ensure!(
            !failed || span.attrs.contains_key("error.type"),
            "no error.type on {span:?}"
        );
        if span.status().is_some_and(|s| s >= 400) {
            ensure!(span.mark("output_tokens").is_none(), "tokens on an error");
        }
    }
    for t in truth
        .iter()
        .filter(|t| t.kind.as_deref() == Some("embeddings") && t.status == 200)
    {
        let span = requests
            .iter()
            .find(|s| s.text("gen_ai.request.model") == t.model.as_deref() && s.path() == t.path)
            .context("no embeddings request")?;
        ensure!(
            span.mark("input_tokens") == t.prompt_tokens.map(|n| n as f64),
            "embeddings: input_tokens {:?}",
            span.marks
        );
        ensure!(
            span.mark("output_tokens").is_none(),
            "embeddings with output tokens"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
