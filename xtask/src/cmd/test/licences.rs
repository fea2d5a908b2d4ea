//! Every dependency's licence must be among those that `deny.toml` allows: the same list that
//! `cargo deny` reads, checked without installing it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{paths, sh};

/// Checks the agent's workspace and the eBPF programs.
pub(crate) fn check() -> Result<()> {
    let text = fs::read_to_string(paths::root().join("deny.toml")).context("deny.toml")?;
    let allowed = allowed(&text);
    if allowed.is_empty() {
        bail!("deny.toml allows no licence at all");
    }
    let mut refused = Vec::new();
    for manifest in ["Cargo.toml", "cirron-ebpf/Cargo.toml"] {
        let metadata = sh::output(
            sh::cargo([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--manifest-path",
            ])
            .arg(manifest),
        )?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
        let packages = metadata.get("packages").and_then(Value::as_array);
        for package in packages.context("cargo metadata lists no packages")? {
            let text = |key: &str| package.get(key).and_then(Value::as_str);
            let name = text("name").unwrap_or("a package without a name");
            match text("license") {
                Some(licence) if permits(licence, &allowed) => {}
                Some(licence) => refused.push(format!("{name}: {licence}")),
                None => refused.push(format!("{name}: says no licence")),
            }
        }
    }
    refused.sort();
    refused.dedup();
    if !refused.is_empty() {
        bail!(
            "licences that deny.toml does not allow:\n  {}",
            refused.join("\n  ")
        );
    }
    Ok(())
}

/// The strings of `allow = [...]` under `[licenses]`.
fn allowed(deny: &str) -> BTreeSet<String> {
    deny.split("[licenses]")
        .nth(1)
        .and_then(|section| section.split("allow = [").nth(1))
        .and_then(|list| list.split(']').next())
        .into_iter()
        .flat_map(|list| list.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met: `AND` needs both, `OR` (and the old `/`) either; `AND`
/// binds tighter. Parentheses nest.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any_of(&mut rest, allowed);
    met && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, allowed);
    while take(words, "OR") {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, allowed);
    while take(words, "AND") {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    if take(words, "(") {
        let met = any_of(words, allowed);
        return take(words, ")") && met;
    }
    let Some((name, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    let mut name = (*name).to_owned();
    if let ["WITH", exception, rest @ ..] = *words {
        name = format!("{name} WITH {exception}");
        *words = rest;
    }
    allowed.contains(&name)
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> BTreeSet<String> {
        allowed(
            "[licenses]\n# why\nallow = [\n  \"MIT\",\n  \"Apache-2.0 WITH LLVM-exception\",\n  \"Zlib\",\n]\n",
        )
    }

    #[test]
    fn expressions_are_met_by_what_is_allowed() {
        for expression in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "(MIT OR Apache-2.0) AND Zlib",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert!(permits(expression, &list()), "{expression}");
        }
    }

    #[test]
    fn expressions_that_need_something_else_are_not() {
        for expression in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "Apache-2.0",
            "MIT GPL-3.0",
            "(MIT",
            "",
        ] {
            assert!(!permits(expression, &list()), "{expression}");
        }
    }
}
