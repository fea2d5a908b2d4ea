//! A spool to test with.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use crate::batch::Name;
use crate::place::Place;

pub(crate) struct Spool {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) place: Arc<Place>,
}

impl Spool {
    pub(crate) fn new() -> Spool {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        let place = Arc::new(Place::open(dir.path()).unwrap());
        Spool { dir, place }
    }

    /// Seals a file, as writers do.
    pub(crate) fn put(&self, time: u64, text: &[u8]) -> Name {
        let name = format!("{time:020}-{:032x}.json", u128::from(time) + 1);
        let at = self.dir.path().join("spool").join(&name);
        let tmp = at.with_extension("json.tmp");
        std::fs::write(&tmp, text).unwrap();
        std::fs::rename(tmp, at).unwrap();
        Name::parse(&name).unwrap()
    }

    /// A batch of that time.
    pub(crate) fn batch(&self, time: u64) -> Name {
        let id = u128::from(time) + 1;
        let text =
            format!(r#"{{"schema_version":1,"batch_id":"{id:032x}","spans":[],"marks":[]}}"#);
        self.put(time, text.as_bytes())
    }
}
