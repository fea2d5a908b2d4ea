//! Where what a thread or a goroutine does belongs among the requests of its process.

use super::evidence;
use super::{Context, Join};
use crate::id::Id;
use crate::time::MonoNs;

/// The request that a context works for, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its process was never seen to serve one.
    Nowhere,
    /// It may work for one, and nobody knows for which, for this reason.
    Unknown(&'static str),
    /// This open one, which began then; that one's end has to confirm it.
    Request(Id, MonoNs),
}

impl Place {
    /// Parent of what begins here, and how that is known.
    pub(crate) fn parent(self, context: Context) -> (Option<Id>, Join) {
        match self {
            Place::Nowhere => (None, Join::Plain),
            Place::Unknown(why) => (None, Join::Unknown(why)),
            Place::Request(id, _) => (Some(id), Join::Presumed(by(context))),
        }
    }
}

/// How it is known what a context works for: by itself.
pub(crate) fn by(context: Context) -> &'static str {
    match context {
        Context::Thread { .. } => evidence::THREAD,
        Context::Goroutine { .. } => evidence::GOROUTINE,
    }
}
