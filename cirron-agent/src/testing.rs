//! What the tests of several modules need.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps what is written, to be read meanwhile.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// All so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The same as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A program made of C in `dir`, with the header of `cirron-probe` at hand; `None`, and a SKIP, where there is no compiler.
pub(crate) fn compiled(dir: &Path, source: &str, args: &[&str]) -> Option<PathBuf> {
    let (c, program) = (dir.join("a.c"), dir.join("a.out"));
    fs::write(&c, source).unwrap();
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cirron-probe/c");
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o"]).args([&program, &c]);
    match cc.arg("-I").arg(headers).args(args).status() {
        Ok(status) => assert!(status.success(), "it does not compile"),
        Err(e) => {
            println!("SKIP no C compiler: {e}");
            return None;
        }
    }
    Some(program)
}

/// The bytes of such a program.
pub(crate) fn built(source: &str, args: &[&str]) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let program = compiled(dir.path(), source, args)?;
    Some(fs::read(program).unwrap())
}
