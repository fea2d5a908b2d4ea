//! How long a page about a million calls takes, how large it is, and what memory it took.
//!
//! `cargo xtask bench report`, or `cargo bench -p cirron-look --bench report -- --calls 1000000 [--dir DIR] [--page FILE]`.
//! The spool is made first ([`made`]); with a directory it is kept, and used again where it is there.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

#[path = "look/made.rs"]
mod made;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cirron_look::report::{Options, Slos, report};
use cirron_look::requests::Spools;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).cloned()
    };
    let calls = value("--calls").map_or(1_000_000, |n| n.parse().unwrap());
    let kept = value("--dir").map(PathBuf::from);
    let made = tempfile::tempdir().unwrap();
    let dir = kept.unwrap_or_else(|| made.path().to_owned());
    if !dir.is_dir() || dir.read_dir().unwrap().next().is_none() {
        made::write(&dir, calls).unwrap();
    }
    let files = dir
        .read_dir()
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len());
    let bytes: u64 = files.sum();
    let options = Options {
        slos: Slos::parse("ttft=300ms,tpot=30ms,latency=8s", &|text| {
            let (ms, s) = (text.strip_suffix("ms"), text.strip_suffix('s'));
            let ms = ms
                .map(|ms| ms.parse().ok())
                .or(s.map(|s| Some(1_000 * s.parse::<u64>().ok()?)));
            ms.flatten().map(Duration::from_millis)
        })
        .unwrap(),
        spools: vec!["a spool that was made".to_owned()],
        maker: "cirron-agent bench".to_owned(),
    };
    let begun = Instant::now();
    let mut page = Vec::new();
    let spools = Spools::list(&[&dir]).unwrap();
    let result = report(&spools, &options, &mut page).unwrap();
    let took = begun.elapsed();
    if let Some(file) = value("--page") {
        std::fs::write(file, &page).unwrap();
    }
    println!(
        "report: {} exchanges, spool {:.2} GB, {:.2} s, page {:.0} kB, peak memory {:.0} MB",
        result.calls,
        bytes as f64 / 1e9,
        took.as_secs_f64(),
        page.len() as f64 / 1e3,
        peak_bytes() as f64 / 1e6
    );
}

/// `VmHWM` of this process. Making the spool takes far less than reading it.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    1_024
        * line
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
}
