//! wrk, and what it says.

use std::fmt;

use anyhow::{Context as _, Result};

use super::server::{Server, cpu_seconds};
use crate::{paths, sh};

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A small JSON body, a small JSON answer.
    SmallPosts,
    /// Chat completions of 100 tokens, 20 ms apart.
    Streams,
}

impl Shape {
    pub(super) fn title(self) -> &'static str {
        match self {
            Shape::SmallPosts => "Small POSTs, 16 connections, one saturated uvicorn worker",
            Shape::Streams => "64 streams of 50 tokens a second, one uvicorn worker",
        }
    }

    fn request(self) -> (&'static str, &'static str, u32) {
        match self {
            Shape::SmallPosts => ("/small", r#"{"model": "m", "messages": []}"#, 16),
            Shape::Streams => (
                "/v1/chat/completions",
                r#"{"model": "m", "stream": true, "messages": [], "x_tokens": 100, "x_ttft_ms": 20, "x_interval_ms": 20, "x_usage": true}"#,
                64,
            ),
        }
    }
}

/// One round.
pub(super) struct Load {
    pub(super) requests: f64,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) cpu_us_per_request: f64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} requests/s, p50 {:.2} ms, p99 {:.2} ms, {:.1} µs CPU each",
            self.per_second, self.p50_ms, self.p99_ms, self.cpu_us_per_request
        )
    }
}

impl Load {
    pub(super) fn run(shape: Shape, server: &Server, seconds: u32) -> Result<Load> {
        let (path, body, connections) = shape.request();
        let script = paths::target().join("bench-post.lua");
        std::fs::write(
            &script,
            format!(
                "wrk.method = \"POST\"\nwrk.body = '{body}'\nwrk.headers[\"Content-Type\"] = \"application/json\"\n"
            ),
        )?;
        let before = cpu_seconds(server.pid())?;
        let mut wrk = sh::command("wrk");
        wrk.args([
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{seconds}s"),
            "--latency",
            "--timeout",
            "10s",
            "-s",
        ]);
        wrk.arg(&script)
            .arg(format!("http://127.0.0.1:{}{path}", server.port));
        let said = sh::output(&mut wrk)?;
        let cpu = cpu_seconds(server.pid())? - before;
        let load = parse(&said).with_context(|| format!("wrk said:\n{said}"))?;
        Ok(Load {
            cpu_us_per_request: cpu * 1e6 / load.requests.max(1.0),
            ..load
        })
    }
}

pub(super) fn parse(said: &str) -> Option<Load> {
    let word = |start: &str, n: usize| {
        said.lines()
            .map(str::trim)
            .find(|l| l.starts_with(start))?
            .split_whitespace()
            .nth(n)
    };
    let requests = said
        .lines()
        .find(|l| l.contains("requests in"))?
        .split_whitespace()
        .next()?;
    Some(Load {
        requests: requests.parse().ok()?,
        per_second: word("Requests/sec:", 1)?.parse().ok()?,
        p50_ms: milliseconds(word("50%", 1)?)?,
        p99_ms: milliseconds(word("99%", 1)?)?,
        cpu_us_per_request: 0.0,
    })
}

/// `12.34ms`, `850.00us`, `1.20s`.
fn milliseconds(text: &str) -> Option<f64> {
    let number = |unit: &str| text.strip_suffix(unit)?.parse::<f64>().ok();
    number("ms")
        .or_else(|| Some(number("us")? / 1e3))
        .or_else(|| Some(number("s")? * 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let said = "Running 5s test @ http://x\n  Latency Distribution\n     50%    2.83ms\n     75%    3.00ms\n     90%    3.20ms\n     99%  950.00us\n  28012 requests in 5.00s, 4.2MB read\nRequests/sec:   5601.11\nTransfer/sec:    0.84MB\n";
        let load = parse(said).expect("parsed");
        let got = [load.requests, load.per_second, load.p50_ms, load.p99_ms];
        assert_eq!(got, [28012.0, 5601.11, 2.83, 0.95]);
        assert_eq!(milliseconds("1.20s"), Some(1200.0));
        assert!(parse("unable to connect").is_none());
    }
}
