//! `report` and `explain`: what was typed, what is meant, and doing it. They work on spools alone, without rights.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use cirron_look::explain::{DEFAULT_LIMIT, MIN_ID_BYTES, Which, explain, words};
use cirron_look::report::{Options, Slos, report};
use cirron_look::requests::Spools;
use cirron_spool::shown::shown_path;
use clap::Args;

use super::exit::Exit;
use super::values::{TIME_FORM, parse_time};
use super::{Failed, say};
use crate::files::Users;
use crate::files::place::Place;

/// Where the page goes where nobody says it.
const DEFAULT_PAGE: &str = "report.html";

/// Of `report`.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct ReportArgs {
    /// Spools, or the directories that hold them [default: ./.cirron]
    #[arg(value_name = "SPOOL")]
    pub spools: Vec<PathBuf>,
    /// The page; - is standard output [default: report.html]
    #[arg(short, long = "out", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What is good enough: ttft=TIME,tpot=TIME,latency=TIME, one or more of them
    ///
    /// The page tells how many calls ended well and kept all of these bounds (goodput): to the first token, between two
    /// tokens, and as a whole. Example: --slo ttft=200ms,tpot=30ms,latency=2s
    #[arg(long, value_name = "BOUNDS", value_parser = slos)]
    pub slo: Option<Slos>,
}

/// Of `explain`.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct ExplainArgs {
    /// Spools, or the directories that hold them [default: ./.cirron]
    #[arg(value_name = "SPOOL")]
    pub spools: Vec<PathBuf>,
    /// Explain those that took longer, the slowest first
    #[arg(long, value_name = "TIME", value_parser = super::lowargs::time, conflicts_with = "request")]
    pub slower_than: Option<Duration>,
    /// Explain the one with this id: request_id, or its beginning
    #[arg(long, value_name = "ID", value_parser = id)]
    pub request: Option<String>,
    /// Most that are explained
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT)]
    pub limit: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Spools that were named, else the one of `default`.
pub fn spools(named: Vec<PathBuf>, default: PathBuf) -> Vec<PathBuf> {
    if named.is_empty() {
        vec![default]
    } else {
        named
    }
}

/// `report`, with where the spool is where none is named.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportPlan {
    spools: Vec<PathBuf>,
    out: PathBuf,
    slos: Slos,
}

/// `explain`, likewise.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainPlan {
    spools: Vec<PathBuf>,
    which: Which,
    limit: usize,
    json: bool,
}

impl ReportArgs {
    /// What is meant.
    pub fn plan(self, default: PathBuf) -> ReportPlan {
        ReportPlan {
            spools: spools(self.spools, default),
            out: self.out.unwrap_or_else(|| PathBuf::from(DEFAULT_PAGE)),
            slos: self.slo.unwrap_or_default(),
        }
    }
}

impl ExplainArgs {
    /// What is meant.
    pub fn plan(self, default: PathBuf) -> ExplainPlan {
        let slower_than = self.slower_than.map(Which::SlowerThan);
        ExplainPlan {
            spools: spools(self.spools, default),
            which: self
                .request
                .map(Which::Id)
                .or(slower_than)
                .unwrap_or_default(),
            limit: self.limit,
            json: self.json,
        }
    }
}

impl ReportPlan {
    /// Does it.
    pub fn run(&self) -> Result<Exit, Failed> {
        let spools = listed(&self.spools)?;
        let options = Options {
            slos: self.slos,
            spools: self.spools.iter().map(|path| shown_path(path)).collect(),
            maker: format!("cirron-agent {}", env!("CARGO_PKG_VERSION")),
        };
        let name = shown_path(&self.out);
        if self.out == Path::new("-") {
            let out = std::io::stdout().lock();
            let made =
                report(&spools, &options, &mut BufWriter::new(out)).context("standard output")?;
            made.left_out.iter().for_each(|sentence| say(sentence));
            return Ok(Exit::Ok);
        }
        let opened =
            Place::look(&self.out, Users::of_this_process()).and_then(|place| place.open());
        let mut opened = opened.with_context(|| name.clone())?;
        let made = report(&spools, &options, &mut BufWriter::new(&opened.file));
        let made = made.with_context(|| name.clone())?;
        opened.settle().with_context(|| name.clone())?;
        made.left_out.iter().for_each(|sentence| say(sentence));
        let s = if made.calls == 1 { "" } else { "s" };
        say(&format!("{name}: a page about {} exchange{s}", made.calls));
        Ok(Exit::Ok)
    }
}

impl ExplainPlan {
    /// Does it.
    pub fn run(&self) -> Result<Exit, Failed> {
        let spools = listed(&self.spools)?;
        let explained = explain(&spools, &self.which, self.limit).map_err(anyhow::Error::from)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &explained)
                .map_err(std::io::Error::from)
                .and_then(|()| writeln!(out))
                .context("standard output")?;
        } else {
            out.write_all(words(&explained, &self.which).as_bytes())
                .context("standard output")?;
        }
        out.flush().context("standard output")?;
        explained.left_out.iter().for_each(|sentence| say(sentence));
        Ok(Exit::Ok)
    }
}

fn listed(paths: &[PathBuf]) -> anyhow::Result<Spools> {
    Spools::list(paths).context("name a spool, or the directory of --output-dir that holds one")
}

fn slos(text: &str) -> Result<Slos, String> {
    Slos::parse(text, &parse_time).map_err(|e| {
        e.to_string()
            .replace("is no time", &format!("is not {TIME_FORM}"))
    })
}

fn id(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|c| c.is_ascii_hexdigit());
    if !is_hex || text.len() < MIN_ID_BYTES {
        return Err(format!(
            "an id has hexadecimal digits; its first {MIN_ID_BYTES} are enough"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use clap::Parser as _;

    use super::super::lowargs::{Command, LowArgs};
    use super::*;

    fn explain_args(text: &str) -> Result<ExplainPlan, String> {
        let all = "cirron-agent explain"
            .split(' ')
            .chain(text.split_whitespace());
        match LowArgs::try_parse_from(all)
            .map_err(|e| e.to_string())?
            .command
        {
            Some(Command::Explain(args)) => Ok(args.plan("default".into())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn which_calls_are_explained_is_said_once() {
        let plan = explain_args("").unwrap();
        assert_eq!((plan.which, plan.limit), (Which::Slowest, DEFAULT_LIMIT));
        assert_eq!(plan.spools, [PathBuf::from("default")]);
        let plan = explain_args("--slower-than 1s a b").unwrap();
        assert_eq!(plan.which, Which::SlowerThan(Duration::from_secs(1)));
        assert_eq!(plan.spools, [PathBuf::from("a"), PathBuf::from("b")]);
        let plan = explain_args("--request C0FFEE01").unwrap();
        assert_eq!(plan.which, Which::Id("c0ffee01".to_owned()));
        for bad in [
            "--request c0ff",
            "--request x12345678",
            "--slower-than 1s --request c0ffee01",
        ] {
            assert!(explain_args(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_that_are_none_are_refused_with_what_they_look_like() {
        assert_eq!(slos("ttft=200ms").unwrap().ttft_ms, Some(200.0));
        assert!(slos("ttft=soon").unwrap_err().contains("such as 500ms"));
        assert!(
            slos("tfft=1s")
                .unwrap_err()
                .contains("ttft, tpot and latency")
        );
    }
}
