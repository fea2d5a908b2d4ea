//! The paths of the requests that a spool has.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// `url.path` of each `request` in the batches of a directory.
pub(super) fn paths(dir: &Path) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(dir).context("there is no spool")? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let batch: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let spans = batch["spans"].as_array().into_iter().flatten();
        let served = spans.filter(|span| span["name"] == "request");
        paths.extend(
            served.filter_map(|span| span["attrs"]["url.path"].as_str().map(str::to_owned)),
        );
    }
    Ok(paths)
}
