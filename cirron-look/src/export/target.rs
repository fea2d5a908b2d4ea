//! Where an export goes: a file that appears whole or not at all, or standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// A file in the making.
#[derive(Debug)]
pub struct Target {
    file: BufWriter<File>,
    /// Its name until it is whole; `None` for what is no regular file, a pipe or a device, which is written to as it is.
    unfinished: Option<(PathBuf, PathBuf)>,
}

impl Target {
    /// Begins the file; what has its name stays until [`Target::finish`].
    pub fn create(path: &Path) -> io::Result<Target> {
        // The file that a link leads to is the one that is meant.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            let file = File::options().write(true).open(&path)?;
            return Ok(Target::new(file, None));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let unfinished = PathBuf::from(name);
        let file = File::create_new(&unfinished)?;
        Ok(Target::new(file, Some((unfinished, path))))
    }

    fn new(file: File, unfinished: Option<(PathBuf, PathBuf)>) -> Target {
        Target {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            unfinished,
        }
    }

    /// It is whole: gives it its name.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some((from, to)) = &self.unfinished {
            fs::rename(from, to)?;
        }
        self.unfinished = None;
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Half a file helps nobody.
        if let Some((unfinished, _)) = &self.unfinished {
            let _ = fs::remove_file(unfinished);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = names
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        fs::write(&path, "old").unwrap();
        let mut target = Target::create(&path).unwrap();
        target.write_all(b"half").unwrap();
        drop(target);
        assert_eq!(
            (names(dir.path()), fs::read(&path).unwrap()),
            (vec!["out.csv".into()], b"old".to_vec())
        );
        let mut target = Target::create(&path).unwrap();
        target.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        target.finish().unwrap();
        assert_eq!(
            (names(dir.path()), fs::read(&path).unwrap()),
            (vec!["out.csv".into()], b"new".to_vec())
        );
        assert!(Target::create(&dir.path().join("none/out")).is_err());
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let mut target = Target::create(Path::new("/dev/null")).unwrap();
        target.write_all(b"x").unwrap();
        target.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
