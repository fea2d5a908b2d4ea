//! SHA-256, by the program that whoever checks them has too.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::layout::files;
use crate::sh;

/// The file with the sums of all products.
pub(super) const NAME: &str = "SHA256SUMS";

/// Makes it: `sha256sum -c SHA256SUMS` in that folder.
pub(super) fn make(out: &Path) -> Result<()> {
    let _ = fs::remove_file(out.join(NAME));
    let mut sum = sh::command("sha256sum");
    sum.current_dir(out).arg("--");
    for file in files(out)? {
        sum.arg(file.file_name().context("a product without a name")?);
    }
    fs::write(out.join(NAME), sh::output(&mut sum)?)?;
    Ok(())
}

/// The sum of one file, in hexadecimal digits.
pub(super) fn sha256(path: &Path) -> Result<String> {
    let text = sh::output(sh::command("sha256sum").arg("--").arg(path))?;
    let sum = text
        .split_whitespace()
        .next()
        .context("sha256sum's output")?;
    Ok(sum.trim_start_matches('\\').to_owned())
}
