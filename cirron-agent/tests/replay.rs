//! Recorded captures of real servers give the spans that they gave, byte for byte: no rights needed.
//!
//! `tests/corpus/NAME.recording` was written by `--record`, `NAME.json` by this test: to renew it
//! after an intended change, `UPDATE_GOLDENS=1 cargo test -p cirron-agent --test replay`, and read
//! the difference.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus")
}

fn recordings() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "recording"))
        .collect();
    found.sort();
    found
}

/// Spans and marks of the spool that a replay writes, as text.
fn replay(recording: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cirron-agent"))
        .arg("replay")
        .arg(recording)
        .args(["--ids", "sequential", "--output", "spool", "--output-dir"])
        .arg(dir.path())
        .env_remove("CIRRON_SPOOL_MAX_BYTES")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let mut batches: Vec<PathBuf> = std::fs::read_dir(dir.path().join("spool"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    batches.sort();
    let (mut spans, mut marks) = (Vec::new(), Vec::new());
    for path in batches {
        let mut batch: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        spans.append(batch["spans"].as_array_mut().unwrap());
        marks.append(batch["marks"].as_array_mut().unwrap());
    }
    serde_json::to_string_pretty(&json!({"spans": spans, "marks": marks})).unwrap() + "\n"
}

#[test]
fn every_recording_gives_its_golden_spans() {
    assert!(recordings().len() >= 16, "the corpus is missing");
    for recording in recordings() {
        let golden = recording.with_extension("json");
        let got = replay(&recording);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&golden, &got).unwrap();
        }
        let want = std::fs::read_to_string(&golden).unwrap_or_default();
        let first = want
            .lines()
            .zip(got.lines())
            .position(|(want, got)| want != got);
        assert!(
            want == got,
            "{}: differs from line {:?} on",
            golden.display(),
            first.map(|n| n + 1)
        );
    }
}

#[test]
fn the_same_recording_gives_the_same_bytes_again() {
    for recording in recordings() {
        assert_eq!(replay(&recording), replay(&recording));
    }
}

/// What prompts, answers and header values of the servers are made of.
const PRIVATE: &str = "zq7canary";

#[test]
fn private_text_of_a_recording_is_in_no_span() {
    let has = |bytes: &[u8]| {
        bytes
            .windows(PRIVATE.len())
            .any(|w| w == PRIVATE.as_bytes())
    };
    let mut seen = 0;
    for recording in recordings() {
        seen += u32::from(has(&std::fs::read(&recording).unwrap()));
        assert!(!has(replay(&recording).as_bytes()), "{recording:?}");
    }
    assert!(seen >= 10, "recordings with private text: {seen}");
}
