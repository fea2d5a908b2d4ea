//! What names a batch: when it was made, and its id.

use cirron_core::id::{Id, IdSource, SequentialIds};

use crate::clock;
use crate::ids::Uuid4Ids;

/// Gives each batch its `created_ns` and `batch_id`.
pub trait Stamp: Send {
    /// The next batch's.
    fn stamp(&mut self) -> (u64, Id);
}

/// Makes one for a spool that is opened.
pub type MakeStamp = fn() -> Box<dyn Stamp>;

/// The wall clock and a UUID4.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveStamp;

impl Stamp for LiveStamp {
    fn stamp(&mut self) -> (u64, Id) {
        (clock::wall_now_ns(), Uuid4Ids.next_id())
    }
}

/// Counts from a given time: a replay's, the same each time.
#[derive(Debug)]
pub struct CountingStamp {
    created_ns: u64,
    ids: SequentialIds,
}

impl CountingStamp {
    /// The first batch is made one nanosecond after `from_ns`.
    pub fn new(from_ns: u64) -> CountingStamp {
        CountingStamp {
            created_ns: from_ns,
            ids: SequentialIds::default(),
        }
    }
}

impl Stamp for CountingStamp {
    fn stamp(&mut self) -> (u64, Id) {
        self.created_ns = self.created_ns.saturating_add(1);
        (self.created_ns, self.ids.next_id())
    }
}
