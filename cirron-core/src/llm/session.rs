//! Dialects of sessions: a connection of messages on which many calls are made, one after the other
//! or side by side. One file each, and one row of [`super::SESSIONS`].
//!
//! ```text
//!  client: Asked?  server: Began -> Piece* -> Ended     by the response's id
//! ```

use std::fmt::Debug;

use super::facts::{Content, ResponseFacts};
use crate::exchange::Sender;

/// What one message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing of calls.
    Nothing,
    /// The client asks for a response.
    Asked,
    /// A response that was asked for does not come, or nobody can tell whether it does.
    Refused,
    /// A response begins.
    Began {
        /// Its id.
        id: String,
        /// The model that answers, where the session has named it.
        model: Option<String>,
    },
    /// A part of a response.
    Piece {
        /// Its id.
        id: String,
        /// What it carries.
        content: Content,
    },
    /// A response is complete.
    Ended {
        /// Its id.
        id: String,
        /// What it says of itself.
        facts: Box<ResponseFacts>,
    },
}

/// Reads the text messages of one session as they pass. Those of one end do not interleave.
pub(crate) trait ReadSession: Debug + Send {
    /// The next bytes of a message.
    fn push(&mut self, by: Sender, bytes: &[u8]);
    /// Bytes of the message are missing here.
    fn gap(&mut self, by: Sender);
    /// The message's end, and the beginning of the next. `whole`: nothing of it is missing.
    fn finish(&mut self, by: Sender, whole: bool) -> Said;
}

/// One dialect of sessions.
#[derive(Debug)]
pub(crate) struct SessionDialect {
    /// `gen_ai.provider.name`, and the `source` of marks.
    pub name: &'static str,
    /// Whether sessions of it may be on this path.
    pub is_path: fn(&str) -> bool,
    /// A reader for one session.
    pub reader: fn() -> Box<dyn ReadSession>,
}
