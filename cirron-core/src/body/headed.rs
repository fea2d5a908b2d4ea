//! One JSON document with raw bytes behind it, whose own length a header field says: KServe's tensors over HTTP.
//!
//! Decoded bytes go in by [`Headed::push`]; the document comes out as the data of one event, what is behind it as its
//! raw bytes, and the event ends with the body. Behind a hole nobody knows where the document ends, or which tensor a
//! byte is of: the rest is not given.
//!
//! ```text
//!  Document (bytes left) --> Raw;   gap --> Lost
//! ```
//! Source: KServe's "Binary Tensor Data Extension", `Inference-Header-Content-Length`.

use super::events::{EventEnd, EventSink};

/// The header field that says how long the document is.
pub const LENGTH_FIELD: &str = "inference-header-content-length";

/// The splitter. See the module.
#[derive(Debug)]
pub struct Headed {
    /// Bytes of the document that did not come yet.
    left: usize,
    lost: bool,
}

impl Headed {
    /// With a document of the length that [`LENGTH_FIELD`] says; `None`: it does not.
    pub fn new(length: Option<&str>) -> Option<Headed> {
        let left = length?.trim().parse().ok()?;
        let lost = false;
        Some(Headed { left, lost })
    }

    /// Holes behind which something had to be passed over.
    pub fn lost_events(&self) -> u64 {
        u64::from(self.lost)
    }

    /// The next bytes, cut where the document ends.
    pub fn cut<'b>(&mut self, bytes: &'b [u8]) -> [&'b [u8]; 2] {
        if self.lost {
            return [&[], &[]];
        }
        let (document, raw) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= document.len();
        [document, raw]
    }

    /// The next bytes.
    pub fn push<S: EventSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) {
        let [document, raw] = self.cut(bytes);
        if !document.is_empty() {
            sink.data(document);
        }
        if !raw.is_empty() {
            sink.raw(raw);
        }
    }

    /// Bytes are missing here.
    pub fn gap<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        self.lose();
        sink.hole();
    }

    /// What follows is not given.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// The body's end.
    pub fn finish<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        sink.end(match self.left == 0 && !self.lost {
            true => EventEnd::Whole { name: "" },
            false => EventEnd::Damaged,
        });
        self.lost = true;
    }
}
