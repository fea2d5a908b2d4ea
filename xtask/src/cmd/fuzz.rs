//! `cargo xtask fuzz`: libFuzzer, guided by the edges that an input reaches, on the targets of the package `cirron-fuzz`.
//!
//! ```text
//! build with counters ─▶ for each target: fuzz/corpus/NAME ─▶ libFuzzer ─▶ target/fuzz-corpus/NAME (inputs that reach more)
//!                                                                 └─ a rule broken ─▶ fuzz/corpus/NAME/broken-*
//! ```
//!
//! The stable compiler has all that it needs: LLVM's pass that counts edges. No sanitizer is used: the core has no unsafe
//! code. What reached more is kept for the next run in the build's output, and is not committed; a finding is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{paths, sh};

/// How long, and which.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Another seed, other inputs
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Only this target: a folder of fuzz/corpus
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// What makes the compiler count edges, and compared values, by LLVM's pass.
const COUNTERS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// How it is built: as fast as a release, with the assertions of a test.
const PROFILE: [&str; 5] = [
    "profile.fuzz.inherits='release'",
    "profile.fuzz.debug-assertions=true",
    "profile.fuzz.overflow-checks=true",
    "profile.fuzz.lto='off'",
    "profile.fuzz.codegen-units=16",
];

/// Bytes of an input at most, as for the mutations under `cargo test`. Longer ones are slow and find nothing else.
const MAX_BYTES: u32 = 4_096;

/// Seconds for one input before it is a finding: a parser that does not end.
const MAX_INPUT_SECONDS: u32 = 10;

/// MiB of the process before it is a finding.
const MAX_MEMORY_MIB: u32 = 2_048;

/// Lines of libFuzzer's log that are shown with a finding.
const SHOWN_LINES: usize = 40;

/// Runs the targets.
pub(crate) fn run(options: &Options) -> Result<()> {
    let names = names(
        &paths::root().join("fuzz/corpus"),
        options.target.as_deref(),
    )?;
    if paths::in_path("c++").is_none() {
        bail!("no C++ compiler, which libFuzzer is compiled with\n  install g++ or clang++");
    }
    // One target reads recordings, which is the agent's, and so builds it.
    super::setup::ebpf_toolchain()?;
    let program = build()?;
    let mut broken = Vec::new();
    for name in names {
        if !fuzz(&program, &name, options)? {
            broken.push(name);
        }
    }
    if !broken.is_empty() {
        bail!(
            "rules were broken: {}\n  mend the parser; the input stays in fuzz/corpus, under a name that says what it is",
            broken.join(", ")
        );
    }
    Ok(())
}

/// The targets, by the folders of the corpus; only one, where it is asked for.
fn names(corpus: &Path, only: Option<&str>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(corpus).context("fuzz/corpus")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    match only {
        None => Ok(names),
        Some(name) if names.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("no target {name}\n  there are: {}", names.join(", ")),
    }
}

/// Builds the runner with its counters, and says where it is.
fn build() -> Result<PathBuf> {
    let version = sh::output(sh::command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc -vV names no host")?;
    let mut build = sh::cargo(["build", "--locked", "--package", "cirron-fuzz"]);
    // With a target named, the flags are not those of build scripts and macros.
    build.args([
        "--features",
        "guided",
        "--profile",
        "fuzz",
        "--target",
        host,
    ]);
    for setting in PROFILE {
        build.args(["--config", setting]);
    }
    build.env("CARGO_ENCODED_RUSTFLAGS", COUNTERS.join("\x1f"));
    sh::run(&mut build)?;
    Ok(paths::target().join(host).join("fuzz/cirron-fuzz"))
}

/// True: nothing was broken.
fn fuzz(program: &Path, name: &str, options: &Options) -> Result<bool> {
    let seeds = paths::root().join("fuzz/corpus").join(name);
    let kept = paths::target().join("fuzz-corpus").join(name);
    fs::create_dir_all(&kept).with_context(|| kept.display().to_string())?;
    let log_path = kept.with_extension("log");
    let log = File::create(&log_path).with_context(|| log_path.display().to_string())?;
    let mut fuzz = sh::command(program);
    fuzz.env("CIRRON_FUZZ_TARGET", name)
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-seed={}", options.seed))
        .arg(format!("-max_len={MAX_BYTES}"))
        .arg(format!("-timeout={MAX_INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MAX_MEMORY_MIB}"))
        .arg(format!("-artifact_prefix={}/broken-", seeds.display()))
        // New inputs are written to the first folder alone.
        .args([&kept, &seeds])
        .stderr(log);
    let status = fuzz
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let log = fs::read(&log_path).with_context(|| log_path.display().to_string())?;
    let log = String::from_utf8_lossy(&log);
    if !status.success() {
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        println!(
            "{}\n{name}: broken ({status}); all of it: {}",
            shown.join("\n"),
            log_path.display()
        );
        return Ok(false);
    }
    let progress = Progress::read(&log).with_context(|| {
        format!(
            "{name}: nothing was counted, so that nothing was guided\n  see {}",
            log_path.display()
        )
    })?;
    println!(
        "{name}: {} runs, none broke a rule; edges {} -> {}, inputs {} -> {}",
        progress.runs,
        progress.first.edges,
        progress.last.edges,
        progress.first.inputs,
        progress.last.inputs
    );
    Ok(true)
}

/// What libFuzzer says of its corpus in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Corpus {
    edges: u64,
    inputs: u64,
}

impl Corpus {
    /// Reads `#8 INITED cov: 512 ft: 800 corp: 5/4521b ...`.
    fn read(line: &str) -> Option<Self> {
        let after = |key: &str| {
            let mut words = line.split_whitespace().skip_while(|word| *word != key);
            words.nth(1)?.split('/').next()?.parse().ok()
        };
        Some(Self {
            edges: after("cov:")?,
            inputs: after("corp:")?,
        })
    }
}

/// What a run of libFuzzer did.
#[derive(Debug, PartialEq, Eq)]
struct Progress {
    runs: u64,
    first: Corpus,
    last: Corpus,
}

impl Progress {
    /// Reads a log; `None` where no edge was counted.
    fn read(log: &str) -> Option<Self> {
        let line = |word: &str| {
            log.lines()
                .find(|line| line.starts_with('#') && line.split_whitespace().nth(1) == Some(word))
        };
        let done = line("DONE")?;
        Some(Self {
            runs: done
                .trim_start_matches('#')
                .split_whitespace()
                .next()?
                .parse()
                .ok()?,
            first: Corpus::read(line("INITED")?)?,
            last: Corpus::read(done).filter(|corpus| corpus.edges > 0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Running with entropic power schedule (0xFF, 100).\n\
        #5\tINITED cov: 512 ft: 800 corp: 4/4521b exec/s: 0 rss: 50Mb\n\
        #77\tNEW    cov: 530 ft: 810 corp: 5/4600b lim: 4096 exec/s: 0 rss: 50Mb L: 79/4096 MS: 1 CopyPart-\n\
        #9001\tDONE   cov: 1030 ft: 2400 corp: 312/90Kb lim: 4096 exec/s: 4500 rss: 60Mb\n\
        Done 9001 runs in 2 second(s)\n";

    #[test]
    fn a_log_says_how_far_a_run_came() {
        let (first, last) = (
            Corpus {
                edges: 512,
                inputs: 4,
            },
            Corpus {
                edges: 1030,
                inputs: 312,
            },
        );
        let runs = 9001;
        assert_eq!(Progress::read(LOG), Some(Progress { runs, first, last }));
    }

    #[test]
    fn a_run_without_counters_is_no_progress() {
        let uncounted = LOG.replace("cov: 1030 ft: 2400", "cov: 0 ft: 0");
        assert_eq!(Progress::read(&uncounted), None);
        let without = LOG.replace("cov: 1030 ft: 2400 ", "");
        assert_eq!(Progress::read(&without), None);
        assert_eq!(Progress::read("error: no target\n"), None);
    }

    #[test]
    fn targets_are_the_folders_of_the_corpus() {
        let corpus = paths::root().join("fuzz/corpus");
        let all = names(&corpus, None).unwrap_or_default();
        assert!(all.iter().any(|name| name == "request"), "{all:?}");
        assert_eq!(
            names(&corpus, Some("request")).unwrap_or_default(),
            ["request"]
        );
        assert!(names(&corpus, Some("requests")).is_err());
    }
}
