//! What `cirron-core` promises and no lint can say as a whole: that it reaches nothing outside
//! itself, and that its modules use only what stands before them.
//!
//! It reads the sources as text, without comments and tests. `cirron-core/clippy.toml` bans single
//! types and methods with the compiler's knowledge; this bans modules, in whatever way they are
//! named. What the core links is asked of cargo.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{paths, sh};

/// Modules of the standard library that reach outside. Addresses are values: `core::net` has them.
const BANNED_MODULES: [&str; 6] = ["env", "fs", "net", "os", "process", "thread"];

/// Words that are a clock, a console or asynchronous.
const BANNED_WORDS: [&str; 11] = [
    "Instant",
    "SystemTime",
    "async",
    "await",
    "dbg!",
    "eprintln!",
    "print!",
    "println!",
    "stderr",
    "stdin",
    "stdout",
];

/// Crates that do I/O.
const BANNED_CRATES: [&str; 10] = [
    "async-std",
    "aya",
    "chrono",
    "mio",
    "nix",
    "procfs",
    "rustix",
    "smol",
    "tokio",
    "uuid",
];

/// The order in `cirron-core/src/lib.rs`: a module uses only what stands left of it. Those of one
/// rank use each other.
const RANKS: [&[&str]; 9] = [
    &["time", "id", "limits"],
    &["record"],
    &["stream"],
    &["proto"],
    &["exchange"],
    &["body"],
    &["llm"],
    &["scope"],
    &["engine"],
];

/// Checks sources and dependencies.
pub(crate) fn check() -> Result<()> {
    let sources = paths::root().join("cirron-core/src");
    let mut broken = Vec::new();
    let mut files = Vec::new();
    rust_files(&sources, &mut files)?;
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let inside = path.strip_prefix(&sources).unwrap_or(path);
        for fault in faults(inside, &text) {
            broken.push(format!("cirron-core/src/{}: {fault}", inside.display()));
        }
    }
    let tree = sh::output(&mut sh::cargo([
        "tree",
        "--locked",
        "--package",
        "cirron-core",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{lib}",
    ]))?;
    if !tree.lines().any(|name| name == "cirron_core") {
        bail!("cargo tree does not list cirron-core itself:\n{tree}");
    }
    for name in tree.lines() {
        if BANNED_CRATES.contains(&name.replace('_', "-").as_str()) {
            broken.push(format!("cirron-core links {name}"));
        }
    }
    broken.sort();
    broken.dedup();
    if !broken.is_empty() {
        bail!("the core must be a function:\n  {}", broken.join("\n  "));
    }
    Ok(())
}

/// The sources below a directory that are not tests.
pub(super) fn rust_files(directory: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        if name == Some("tests") {
            continue;
        }
        if path.is_dir() {
            rust_files(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

/// What one file does that it must not.
fn faults(inside: &Path, text: &str) -> Vec<String> {
    let code = code_of(text);
    let mut faults = Vec::new();
    for library in ["std", "core"] {
        for module in named_under(&code, library) {
            if library == "std" && BANNED_MODULES.contains(&module) {
                faults.push(format!("uses std::{module}"));
            }
        }
    }
    for word in BANNED_WORDS {
        if has_word(&code, word) {
            faults.push(format!("uses {word}"));
        }
    }
    let first = inside.iter().next().and_then(|name| name.to_str());
    let own = first
        .map(|name| name.trim_end_matches(".rs"))
        .and_then(rank);
    for module in named_under(&code, "crate") {
        if let (Some(own), Some(other)) = (own, rank(module))
            && other > own
        {
            faults.push(format!("uses crate::{module}, which stands after it"));
        }
    }
    faults
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

/// Without comments, and without the module of tests that a file may end with.
fn code_of(text: &str) -> String {
    let tests = text
        .lines()
        .zip(text.lines().skip(1))
        .position(|(a, b)| a.trim() == "#[cfg(test)]" && b.starts_with("mod ") && b.ends_with('{'));
    text.lines()
        .take(tests.unwrap_or(usize::MAX))
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The names that follow `parent::`, whether alone or in braces.
fn named_under<'a>(code: &'a str, parent: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    let path = format!("{parent}::");
    for (at, _) in code.match_indices(&path) {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + path.len()..];
        match rest.strip_prefix('{') {
            None => names.extend(rest.split(|c| !is_word(c)).next()),
            Some(list) => {
                let mut depth = 0_usize;
                let mut begins = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && is_word(c) => {
                            names.extend(list[i..].split(|c| !is_word(c)).next());
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

/// Whether the word stands there by itself.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_word)
            && (word.ends_with('!') || !code[at + word.len()..].starts_with(is_word))
    })
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_in(text: &str) -> Vec<String> {
        faults(Path::new("stream/mod.rs"), text)
    }

    #[test]
    fn what_reaches_outside_is_found_however_it_is_named() {
        for text in [
            "use std::fs;",
            "use std::fs::File;",
            "let f = std::fs::read(p);",
            "use std::{io, fs::File};",
            "use std::{\n    collections::{BTreeMap, HashMap},\n    thread,\n};",
            "use ::std::net::TcpStream;",
            "let now = Instant::now();",
            "async fn f() {}",
            "println!(\"x\");",
            "use crate::proto::Sniff;",
            "use crate::{time::MonoNs, engine::Engine};",
        ] {
            assert_eq!(faults_in(text).len(), 1, "{text}: {:?}", faults_in(text));
        }
    }

    #[test]
    fn values_comments_and_tests_are_free() {
        for text in [
            "use std::io::Read;",
            "use core::net::IpAddr;",
            "use std::time::Duration;",
            "// std::fs would do",
            "//! no Instant here",
            "let instant = my_println!(x);",
            "use crate::time::MonoNs;",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ] {
            assert_eq!(faults_in(text), Vec::<String>::new(), "{text}");
        }
    }
}
