//! Of a connection that was open before we looked: from when on it is known to carry no HTTP, and what it speaks.
//!
//! ```text
//!   [nothing read] --read--> [whole] --question, then answer, neither of HTTP--> [plain]
//! ```
//! Stands beside [`super::Net`], which tells it where turns begin. What is written before anything was read may go on with
//! what was asked before we looked: whose that is, and how much, nobody knows. It keeps no byte: a question and the answer
//! behind it are looked at where they pass.

use crate::proto::database::{self, Asked};
use crate::proto::h2;
use crate::proto::sniff::{Sniff, sniff};
use crate::record::Data;

/// What is known of one that was joined late.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Something was read.
    is_whole: bool,
    /// The question that is open, where its beginning was seen and is not HTTP's.
    question: Option<Question>,
    is_plain: bool,
    protocol: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    /// What it may be one of, by its whole form.
    of: Option<Asked>,
}

impl Late {
    /// What is written now may have begun before we looked.
    pub(super) fn is_torn(&self) -> bool {
        !self.is_whole
    }

    /// A question and its answer have passed, and were no HTTP.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// What it speaks, once that is certain.
    pub(super) fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    /// The first record of a question.
    pub(super) fn asks(&mut self, data: &Data<'_>) {
        let is_seen = self.is_whole && !(self.is_plain && self.protocol.is_some());
        self.question = (is_seen && !may_be_http(data.bytes)).then(|| Question {
            of: database::asked(data.bytes, data.len),
        });
    }

    /// A record that was read.
    pub(super) fn hears(&mut self, data: &Data<'_>) {
        self.is_whole = true;
        let Some(question) = self.question.take() else {
            return;
        };
        self.is_plain |= !may_be_http(data.bytes);
        if self.protocol.is_none() {
            let of = question.of;
            self.protocol = of
                .filter(|asked| asked.is_answered_by(data.bytes))
                .map(Asked::name);
        }
    }
}

/// HTTP of any version, or TLS, may begin so. The parser sees more of it, and says so.
fn may_be_http(bytes: &[u8]) -> bool {
    sniff(bytes, false) != Sniff::Other || h2::may_begin_frame(bytes)
}
