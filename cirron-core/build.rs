//! Finds the dialects: one file, or one folder with a `mod.rs`, in `src/llm/dialects` each, and those
//! of the tests in `src/llm/tests/dialects`. `src/llm/dialects/mod.rs` includes the list that is
//! written here; its order says nothing, each row has its own precedence.
#![expect(
    clippy::disallowed_methods,
    reason = "the core does no I/O; what builds it reads a directory"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Directories below the package's, and what their dialects are compiled for.
const DIRECTORIES: [(&str, &str); 2] = [
    ("src/llm/dialects", ""),
    ("src/llm/tests/dialects", "#[cfg(test)] "),
];

fn main() -> io::Result<()> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let (mut modules, mut rows) = (String::new(), String::new());
    for (directory, when) in DIRECTORIES {
        println!("cargo::rerun-if-changed={directory}");
        for (name, file) in dialects(&package.join(directory))? {
            let row = writeln!(modules, "{when}#[path = {file:?}] pub mod {name};")
                .and_then(|()| writeln!(rows, "    {when}{name}::ROWS,"));
            row.map_err(io::Error::other)?;
        }
    }
    let text = format!("{modules}\nconst ROWS: &[&[Row]] = &[\n{rows}];\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("dialects.rs"), text)
}

/// Name and file of each dialect, by name.
fn dialects(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let folder = path.join("mod.rs");
        let is_rust = path.extension().is_some_and(|e| e == "rs");
        let file = match (is_rust, folder.is_file()) {
            (true, _) => path.clone(),
            (false, true) => folder,
            (false, false) => continue,
        };
        let name = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(name) = name.filter(|name| *name != "mod") {
            found.push((name.to_owned(), file));
        }
    }
    found.sort();
    Ok(found)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
