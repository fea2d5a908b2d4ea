//! `alive FILE`: whether a capture goes on, for whoever restarts one that does not (a container's liveness probe).
//!
//! The file is that of `--summary-json`, renewed by `--summary-interval` with what the core answers: it gets old when the
//! core stands still, when the file cannot be written, and when there is no agent any more.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::exit::Exit;
use super::{Failed, print};

/// Says so, or fails.
pub fn alive(file: &Path, within: Duration) -> Result<Exit, Failed> {
    let age = age(file, within)?;
    print(&format!("alive {:.1} s ago\n", age.as_secs_f64()))?;
    Ok(Exit::Ok)
}

/// How long ago it was renewed; an error where that is no sign of life.
fn age(file: &Path, within: Duration) -> anyhow::Result<Duration> {
    let name = file.display();
    let changed = fs::metadata(file)
        .and_then(|meta| meta.modified())
        .with_context(|| {
            format!("not alive: {name} cannot be read\n  is it what --summary-json names, with --summary-interval?")
        })?;
    // A clock that was set back makes it younger than now.
    let age = changed.elapsed().unwrap_or_default();
    if age > within {
        bail!(
            "not alive: {name} is {:.1} s old\n  it is renewed each --summary-interval, while the core answers",
            age.as_secs_f64()
        );
    }
    let text = fs::read(file).with_context(|| name.to_string())?;
    let summary: serde_json::Value = serde_json::from_slice(&text)
        .with_context(|| format!("not alive: {name} is no summary"))?;
    let reason = &summary["reason"];
    if !reason.is_null() {
        bail!("not alive: the capture has ended: {reason}");
    }
    if !summary["duration_s"].is_number() {
        bail!("not alive: {name} is no summary");
    }
    Ok(age)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_summary_that_is_young_and_not_the_last_is_a_sign_of_life() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let why = |within: u64| age(&path, Duration::from_secs(within)).map_err(|e| e.to_string());
        assert!(why(30).unwrap_err().contains("cannot be read"));
        fs::write(&path, r#"{"duration_s": 1.0, "reason": null}"#).unwrap();
        assert!(why(30).is_ok());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(20))
            .unwrap();
        assert!(why(30).is_ok());
        assert!(why(10).unwrap_err().contains("s old"));
        file.set_modified(SystemTime::now() + Duration::from_secs(500))
            .unwrap();
        assert!(why(10).is_ok());
        for (text, want) in [
            (r#"{"duration_s": 1.0, "reason": "signal"}"#, "has ended"),
            ("{}", "no summary"),
            ("", "no summary"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(why(30).unwrap_err().contains(want), "{text}");
        }
    }
}
