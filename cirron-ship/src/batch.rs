//! A sealed batch: its name in the spool, and the file whole.

use std::io;

use cirron_spool::read::{Loaded, MAX_FILE_BYTES, is_batch_name, load};
use serde::{Deserialize, Serialize};

use crate::place::Place;

/// The name of a sealed batch, `<created_ns>-<batch_id>.json`. Names are in the order of their making.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// A name that the readers of a spool accept: `^\d+-[0-9a-f]+\.json$`.
    pub fn parse(name: &str) -> Option<Name> {
        is_batch_name(name).then(|| Name(name.to_owned()))
    }

    /// As the file is called.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was made, nanoseconds since the epoch; 0 where that is no time.
    pub fn created_ns(&self) -> u64 {
        let time = self.0.split('-').next().unwrap_or_default();
        time.parse().unwrap_or(0)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        let id = self.0.split_once('-').map_or("", |(_, rest)| rest);
        id.strip_suffix(".json").unwrap_or(id)
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Name, &'static str> {
        Name::parse(&name).ok_or("no name of a batch")
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

/// Why a file is no batch that could be sent.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is not there any more: the spool's cap or somebody removed it.
    #[error("it is gone")]
    Gone,
    /// It may be read another time.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// No batch is so large.
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// It is not whole, or somebody else's file.
    #[error("it is no JSON object: {0}")]
    Damaged(serde_json::Error),
    /// A link or a device.
    #[error("it is no regular file")]
    NoFile,
}

/// What of a batch is looked at. Parsing checks the syntax of the rest.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    batch_id: std::borrow::Cow<'a, str>,
}

/// A batch, in memory.
#[derive(Clone, Debug)]
pub struct Batch {
    name: Name,
    id: String,
    body: Vec<u8>,
    changed_ns: i128,
}

impl Batch {
    /// Reads it.
    ///
    /// # Errors
    /// Where the file is no whole batch.
    pub fn read(place: &Place, name: &Name) -> Result<Batch, Unusable> {
        let mut body = Vec::new();
        let changed_ns = match load(place.spool(), name.as_str(), &mut body) {
            Ok(Loaded::Whole { changed_ns }) => changed_ns,
            Ok(Loaded::Irregular) => return Err(Unusable::NoFile),
            Ok(Loaded::Large) => return Err(Unusable::TooLarge),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Unusable::Gone),
            Err(e) => return Err(Unusable::Unreadable(e)),
        };
        let head: Head<'_> = serde_json::from_slice(&body).map_err(Unusable::Damaged)?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        // It becomes a header's value. The name has an id of hexadecimal digits.
        let id = match !head.batch_id.is_empty() && head.batch_id.bytes().all(is_plain) {
            true => head.batch_id.into_owned(),
            false => name.id().to_owned(),
        };
        Ok(Batch {
            name: name.clone(),
            id,
            body,
            changed_ns,
        })
    }

    /// Its name in the spool.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// `batch_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file's bytes: one JSON object.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// When the file came to be as it is: when it was sealed.
    pub fn changed_ns(&self) -> i128 {
        self.changed_ns
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::testing::Spool;

    #[test]
    fn only_what_readers_accept_is_a_batch_s_name() {
        let name = Name::parse("00000000000000000042-0a.json").unwrap();
        assert_eq!((name.created_ns(), name.id()), (42, "0a"));
        for bad in [
            "x.json",
            "1-.json",
            "-1.json",
            "1-A.json",
            "1-1.json.tmp",
            "../1-1.json",
        ] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_whole_batch_is_not_read_as_one() {
        let spool = Spool::new();
        let read = |text: &[u8]| {
            let name = spool.put(1, text);
            Batch::read(&spool.place, &name)
        };
        assert!(matches!(read(b""), Err(Unusable::Damaged(_))));
        assert!(matches!(
            read(br#"{"batch_id":"01","spans":["#),
            Err(Unusable::Damaged(_))
        ));
        assert!(matches!(read(b"[1]"), Err(Unusable::Damaged(_))));
        let batch = read(br#"{"batch_id":"01","spans":[{"a":[1,"x"]}]}"#).unwrap();
        assert_eq!(batch.id(), "01");
        // An id that is none would be a line of a header.
        let batch = read(b"{\"batch_id\":\"a\\r\\nb: c\"}").unwrap();
        assert_eq!(batch.id(), batch.name().id());
        let gone = Name::parse("7-7.json").unwrap();
        assert!(matches!(
            Batch::read(&spool.place, &gone),
            Err(Unusable::Gone)
        ));
        std::os::unix::fs::symlink("/etc/passwd", spool.dir.path().join("spool/8-8.json")).unwrap();
        let link = Name::parse("8-8.json").unwrap();
        assert!(matches!(
            Batch::read(&spool.place, &link),
            Err(Unusable::NoFile)
        ));
    }
}
