//! What a command will map when it starts: it may be over before we could look.
//!
//! The dynamic linker itself is asked (`ld.so --list`, which is what `ldd` does): it maps what the
//! command will map, and runs none of it. A script is its interpreter. What is loaded later
//! (`dlopen`) is seen when it is mapped.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::probes::elf::Elf;
use crate::probes::quiet::Quiet;
use crate::probes::source::Source;

/// Scripts whose interpreter is a script again; the kernel's own limit is 5.
const MAX_INTERPRETERS: usize = 5;
/// Bytes of a path (`PATH_MAX`).
const MAX_PATH_BYTES: u64 = 4096;
/// Bytes of a `#!` line (`BINPRM_BUF_SIZE`).
const MAX_SCRIPT_LINE: u64 = 256;

/// The executable that `program` stands for and the libraries that are linked to it. Empty where it
/// cannot be told; the command will say why.
pub fn files(program: &OsStr) -> Vec<PathBuf> {
    let Some(executable) = executable(program) else {
        return Vec::new();
    };
    let mut found = linked(&executable);
    found.push(executable);
    found
}

/// Follows `PATH` and `#!` lines.
fn executable(program: &OsStr) -> Option<PathBuf> {
    let mut path = in_path(program)?;
    for _ in 0..MAX_INTERPRETERS {
        let mut head = Vec::new();
        let file = File::open(&path).ok()?;
        file.take(MAX_SCRIPT_LINE).read_to_end(&mut head).ok()?;
        let Some(line) = head.strip_prefix(b"#!") else {
            return Some(path);
        };
        let line = line.split(|b| *b == b'\n').next()?;
        let mut words = line
            .split(|b| matches!(b, b' ' | b'\t'))
            .filter(|word| !word.is_empty())
            .map(OsStr::from_bytes);
        let interpreter = words.next()?;
        // `#!/usr/bin/env python3`
        let by_env = Path::new(interpreter).file_name() == Some(OsStr::new("env"));
        path = match words.next().filter(|_| by_env) {
            Some(name) => in_path(name)?,
            None => PathBuf::from(interpreter),
        };
    }
    None
}

fn in_path(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    let may_run = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs)
        .map(|dir| dir.join(program))
        .find(may_run)
}

/// The libraries of an executable, as its own dynamic linker finds them.
fn linked(executable: &Path) -> Vec<PathBuf> {
    let Some(linker) = linker(executable) else {
        return Vec::new();
    };
    let output = Command::new(linker)
        .arg("--list")
        .arg(executable)
        .stdin(Stdio::null())
        .output();
    output.map_or_else(|_| Vec::new(), |output| listed(&output.stdout))
}

/// `PT_INTERP`, by its section.
fn linker(executable: &Path) -> Option<PathBuf> {
    let file = File::open(executable).ok()?;
    let file = Quiet::new(&file);
    let source = Source::new(&file);
    let elf = Elf::read(&source)?;
    let section = elf.section(".interp")?;
    if section.size > MAX_PATH_BYTES {
        return None;
    }
    let name = source.piece(section.offset, section.size)?;
    let name = name.strip_suffix(b"\0").unwrap_or(&name);
    Some(PathBuf::from(OsString::from_vec(name.to_vec())))
}

/// `\tlibssl.so.3 => /lib/libssl.so.3 (0x00007f...)`
fn listed(text: &[u8]) -> Vec<PathBuf> {
    let path = |line: &[u8]| {
        let at = line.windows(4).position(|w| w == b"=> /")?;
        let rest = line.get(at + 3..)?;
        let end = rest.windows(2).rposition(|w| w == b" (")?;
        Some(PathBuf::from(OsStr::from_bytes(rest.get(..end)?)))
    };
    text.split(|b| *b == b'\n').filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lines_of_the_linker_give_paths() {
        let text = b"\tlinux-vdso.so.1 (0x00007ffd)\n\tlibssl.so.3 => /lib/a b/libssl.so.3 (0x00007f)\n\tx.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x0000)\n";
        assert_eq!(listed(text), [PathBuf::from("/lib/a b/libssl.so.3")]);
    }

    #[test]
    fn a_program_a_path_and_a_script_are_told() {
        let shell = files(OsStr::new("sh"));
        assert!(shell.iter().any(|p| p.ends_with("sh")), "{shell:?}");
        assert!(shell.iter().any(|p| p.to_string_lossy().contains("libc.")));
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, "#! /usr/bin/env sh\ntrue\n").unwrap();
        assert_eq!(files(script.as_os_str()), shell);
        std::fs::write(&script, "#!/bin/sh -e\ntrue\n").unwrap();
        assert_eq!(files(script.as_os_str()).len(), shell.len());
        assert_eq!(
            files(OsStr::new("no-such-program-here")),
            [] as [PathBuf; 0]
        );
    }
}
