//! Reading a spool back, batch by batch: nothing of a file is kept when the next one is read.
//!
//! The directory may be anybody's: only regular files are opened, of at
//! most [`MAX_FILE_BYTES`], no link is followed and nothing is waited for. What is left out is
//! counted in [`Left`].

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::rows::{MarkRow, SpanRow, Text};

/// Bytes of a file past which it is left out. Ours have 4 MiB and one scope; the SDK's hold what
/// one process recorded between two flushes.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Files of a directory that are read; past it the oldest are left out. A spool of 1 GB has fewer
/// where a batch has 2 kB, which is one exchange.
pub const MAX_FILES: usize = 500_000;

/// What reads rows.
pub trait Take {
    /// A span of the batch.
    fn span(&mut self, row: &SpanRow<'_>);
    /// A mark of the batch.
    fn mark(&mut self, row: &MarkRow<'_>);
}

/// Files that were not read, or not to their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// No regular files: links, pipes, devices.
    pub irregular: usize,
    /// Larger than [`MAX_FILE_BYTES`].
    pub large: usize,
    /// No batches, or damaged ones: what stands before the damage was read.
    pub damaged: usize,
    /// Those that could not be opened or read.
    pub unreadable: usize,
    /// Older than the newest [`MAX_FILES`].
    pub old: usize,
}

impl std::ops::AddAssign for Left {
    fn add_assign(&mut self, other: Left) {
        let Left {
            irregular,
            large,
            damaged,
            unreadable,
            old,
        } = other;
        self.irregular += irregular;
        self.large += large;
        self.damaged += damaged;
        self.unreadable += unreadable;
        self.old += old;
    }
}

impl Left {
    /// A sentence for each that there is.
    pub fn sentences(&self) -> Vec<String> {
        let left = |what: &str| format!("left out: {what}");
        let all = [
            (self.irregular, left("batches that are no regular files")),
            (
                self.large,
                left(&format!("batches larger than {} MiB", MAX_FILE_BYTES >> 20)),
            ),
            (self.unreadable, left("batches that cannot be read")),
            (
                self.damaged,
                "read as far as it goes: damaged batches, or files that are none".to_owned(),
            ),
            (
                self.old,
                left(&format!("batches older than the newest {MAX_FILES}")),
            ),
        ];
        let there = all.into_iter().filter(|(count, _)| *count > 0);
        there
            .map(|(count, what)| format!("{what}: {count}"))
            .collect()
    }
}

/// The batches of a directory.
#[derive(Debug)]
pub struct Batches {
    dir: File,
    names: BTreeSet<String>,
    old: usize,
}

impl Batches {
    /// Those that are there now.
    pub fn list(path: &Path) -> io::Result<Batches> {
        Batches::newest(path, MAX_FILES)
    }

    fn newest(path: &Path, max: usize) -> io::Result<Batches> {
        let dir = File::open(path)?;
        let (mut names, mut old) = (BTreeSet::new(), 0);
        for entry in std::fs::read_dir(path)? {
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            if !is_batch_name(&name) {
                continue;
            }
            names.insert(name);
            if names.len() > max {
                names.pop_first();
                old += 1;
            }
        }
        Ok(Batches { dir, names, old })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Their file names, oldest first.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Hands the rows of each batch to `take`, oldest batch first.
    pub fn read<T: Take>(&self, take: &mut T) -> Left {
        self.read_files(self.names.iter(), take, |_| {})
    }

    /// The same; `begin` is called before each file.
    pub fn read_oldest_first<T: Take>(&self, take: &mut T, begin: impl FnMut(&mut T)) -> Left {
        self.read_files(self.names.iter(), take, begin)
    }

    /// The newest first; `begin` is called before each file.
    pub fn read_newest_first<T: Take>(&self, take: &mut T, begin: impl FnMut(&mut T)) -> Left {
        self.read_files(self.names.iter().rev(), take, begin)
    }

    /// Those at these places of [`Batches::names`], the oldest first; `begin` is called before each file. For several
    /// readers at once.
    pub fn read_range<T: Take>(
        &self,
        range: Range<usize>,
        take: &mut T,
        begin: impl FnMut(&mut T),
    ) -> Left {
        let names = self.names.iter().skip(range.start).take(range.len());
        let left = self.read_files(names, take, begin);
        // What is older than all of them is told once.
        let old = if range.start == 0 { left.old } else { 0 };
        Left { old, ..left }
    }

    fn read_files<'n, T: Take>(
        &self,
        names: impl Iterator<Item = &'n String>,
        take: &mut T,
        mut begin: impl FnMut(&mut T),
    ) -> Left {
        let mut left = Left {
            old: self.old,
            ..Left::default()
        };
        // Used again for each file: the largest one's size, and no more.
        let mut bytes = Vec::new();
        for name in names {
            begin(take);
            if self.load(name, &mut bytes, &mut left) {
                left.damaged += usize::from(parse(&bytes, take).is_err());
            }
        }
        left
    }

    /// Reads a batch into `bytes`, which it fills from their beginning. False: it was not read, and `left` counts why; one
    /// that was evicted since the listing is no loss.
    pub fn load(&self, name: &str, bytes: &mut Vec<u8>, left: &mut Left) -> bool {
        match load(&self.dir, name, bytes) {
            Ok(Loaded::Whole { .. }) => return true,
            Ok(Loaded::Irregular) => left.irregular += 1,
            Ok(Loaded::Large) => left.large += 1,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(_) => left.unreadable += 1,
        }
        false
    }
}

/// What became of a file that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// All of it was read.
    Whole {
        /// When it came to be as it is, nanoseconds since the epoch: when it got its name.
        changed_ns: i128,
    },
    /// It is no regular file, and was not read.
    Irregular,
    /// It is larger than [`MAX_FILE_BYTES`].
    Large,
}

/// Reads the file `name` of a directory into `bytes`, which it fills from their beginning. No link is followed, and no pipe
/// waited for.
///
/// # Errors
/// Where the file is not there, or cannot be read.
pub fn load(dir: &File, name: &str, bytes: &mut Vec<u8>) -> io::Result<Loaded> {
    bytes.clear();
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        // A link; a socket, or a device without a driver.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Ok(Loaded::Irregular),
        Err(e) => return Err(e.into()),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(Loaded::Irregular);
    }
    if meta.len() > MAX_FILE_BYTES {
        return Ok(Loaded::Large);
    }
    // It may grow while it is read.
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(bytes)?;
    if read as u64 > MAX_FILE_BYTES {
        return Ok(Loaded::Large);
    }
    let changed_ns = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
    Ok(Loaded::Whole { changed_ns })
}

/// Hands the rows of one batch's text to `take`. An error says that it is no batch, or a damaged one; what stands before
/// the damage was handed on.
pub fn parse<T: Take>(bytes: &[u8], take: &mut T) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Batch(take).deserialize(&mut json)?;
    json.end()
}

/// `^\d+-[0-9a-f]+\.json$`
pub fn is_batch_name(name: &str) -> bool {
    let Some((digits, hex)) = name
        .strip_suffix(".json")
        .and_then(|stem| stem.split_once('-'))
    else {
        return false;
    };
    let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    !digits.is_empty()
        && digits.bytes().all(|c| c.is_ascii_digit())
        && !hex.is_empty()
        && hex.bytes().all(is_hex)
}

struct Batch<'t, T>(&'t mut T);

impl<'de, T: Take> DeserializeSeed<'de> for Batch<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: Take> Visitor<'de> for Batch<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut spans, mut marks) = (false, false);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "spans" => {
                    spans = true;
                    map.next_value_seed(Spans(self.0))?;
                }
                "marks" => {
                    marks = true;
                    map.next_value_seed(Marks(self.0))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if spans && marks {
            Ok(())
        } else {
            Err(A::Error::custom("no batch"))
        }
    }
}

struct Spans<'t, T>(&'t mut T);

impl<'de, T: Take> DeserializeSeed<'de> for Spans<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: Take> Visitor<'de> for Spans<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of spans")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(row) = seq.next_element::<SpanRow<'_>>()? {
            self.0.span(&row);
        }
        Ok(())
    }
}

struct Marks<'t, T>(&'t mut T);

impl<'de, T: Take> DeserializeSeed<'de> for Marks<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: Take> Visitor<'de> for Marks<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of marks")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(row) = seq.next_element::<MarkRow<'_>>()? {
            self.0.mark(&row);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
