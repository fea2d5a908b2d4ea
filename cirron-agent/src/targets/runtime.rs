//! What a program is made with, or runs in: `go`, `node`, `python`, `java`.
//!
//! Sits beside [`super::looked`]. An interpreter is known by the name of its executable, Go by what its linker writes into
//! every program, stripped or not. Of a file that is asked for again the answer is kept.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use crate::discovery::asked;
use crate::probes::elf::Elf;
use crate::probes::go_build;
use crate::probes::quiet::Quiet;
use crate::probes::source::Source;

/// Files of which the answer is kept. A machine runs some hundred programs; past it all are asked for again.
const MAX_KNOWN: usize = 4096;

/// A file, as `stat` tells it from others and from itself before it was replaced.
type FileStamp = (u64, u64, i64, i64);

/// Answers that are known.
#[derive(Debug, Default)]
pub(super) struct Runtimes(HashMap<FileStamp, bool>);

impl Runtimes {
    /// Of a process whose executable has this base name.
    pub(super) fn runtime(&mut self, tgid: u32, executable: &str) -> Option<&'static str> {
        by_name(executable).or_else(|| self.is_go(tgid).then_some("go"))
    }

    fn is_go(&mut self, tgid: u32) -> bool {
        asked();
        let Ok(file) = File::open(format!("/proc/{tgid}/exe")) else {
            return false;
        };
        let Ok(meta) = file.metadata() else {
            return false;
        };
        let stamp = (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec());
        if let Some(is_go) = self.0.get(&stamp) {
            return *is_go;
        }
        if self.0.len() >= MAX_KNOWN {
            self.0.clear();
        }
        let file = Quiet::new(&file);
        let source = Source::new(&file);
        let is_go = Elf::read(&source).is_some_and(|elf| go_build::goid(&elf).is_some());
        self.0.insert(stamp, is_go);
        is_go
    }
}

fn by_name(executable: &str) -> Option<&'static str> {
    // `python3.11`, `python3.12d`.
    let is_version =
        |rest: &str| !rest.contains(|c: char| c.is_ascii_alphabetic() && c != 'd' && c != 't');
    match executable {
        "node" | "nodejs" | "bun" | "deno" => Some("node"),
        "java" => Some("java"),
        name => {
            let rest = name
                .strip_prefix("python")
                .or_else(|| name.strip_prefix("pypy"))?;
            is_version(rest).then_some("python")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_known_by_their_names() {
        for (name, runtime) in [
            ("python", Some("python")),
            ("python3", Some("python")),
            ("python3.13t", Some("python")),
            ("pypy3.10", Some("python")),
            ("pythonista", None),
            ("node", Some("node")),
            ("nodejs", Some("node")),
            ("node_exporter", None),
            ("java", Some("java")),
            ("javac", None),
            ("", None),
        ] {
            assert_eq!(by_name(name), runtime, "{name}");
        }
    }

    #[test]
    fn a_program_of_rust_s_is_none_of_them() {
        let mut known = Runtimes::default();
        let ours = std::process::id();
        assert_eq!(known.runtime(ours, "cirron"), None);
        assert_eq!(known.0.len(), 1);
        assert_eq!(known.runtime(ours, "cirron"), None);
        assert_eq!(known.0.len(), 1);
    }
}
