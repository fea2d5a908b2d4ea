//! The body of a request or response as far as rules want fields of it: decoded, cut into documents, looked through.
//!
//! ```text
//!  bytes -> content codings -> documents: one, one a line, or the data of events -> scanner -> FieldSet
//! ```
//! Any HTTP body, whether it is a model's or not. Nothing is held but the values. Of a stream the last value counts; a
//! hole in one may have taken a later one, so that what was seen before is forgotten. Of one document what was
//! read before a hole holds, what stands behind it is not read.

use super::sniff::Framing;
use crate::body::documents::Documents;
use crate::body::events::{EventEnd, EventSink};
use crate::body::inflate::Inflate;
use crate::body::json::Scanner;
use crate::body::sse::SseParser;
use crate::proto::message::Headers;
use crate::rules::FieldSet;
use crate::time::MonoNs;

/// How the body is cut into documents.
#[derive(Debug)]
enum Form {
    One,
    Lines(Documents),
    Events(SseParser),
}

/// A body that is looked through.
#[derive(Debug)]
pub(super) struct FieldBody {
    inflate: Inflate,
    form: Form,
    scanner: Scanner,
    fields: FieldSet,
}

/// A document at a time.
struct Parts<'a> {
    scanner: &'a mut Scanner,
    fields: &'a mut FieldSet,
}

impl EventSink for Parts<'_> {
    fn data(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, self.fields);
    }

    fn hole(&mut self) {
        self.scanner.gap();
    }

    fn end(&mut self, _: EventEnd<'_>) {
        self.scanner.finish(self.fields);
        self.scanner.reset();
    }
}

impl FieldBody {
    /// With these header fields. `None`: no field of it is wanted, or it is nothing that can have some.
    pub(super) fn new(fields: FieldSet, head: &Headers) -> Option<FieldBody> {
        let kind = head.get_str("content-type").unwrap_or_default();
        let form = match Framing::declared(&kind.to_ascii_lowercase()) {
            Some(Framing::Aws) => None,
            Some(Framing::Sse) => Some(Form::Events(SseParser::default())),
            Some(Framing::Lines) => Some(Form::Lines(Documents::lines())),
            // JSON is also sent as plain text, and with no type: what is none ends the scanner.
            Some(Framing::Values) | None => Some(Form::One),
        };
        let form = form.filter(|_| !fields.is_empty())?;
        Some(FieldBody {
            inflate: Inflate::new(Some(&head.joined("content-encoding"))),
            form,
            scanner: Scanner::new(&[]),
            fields,
        })
    }

    pub(super) fn push(&mut self, ts: MonoNs, bytes: &[u8]) {
        let FieldBody {
            inflate,
            form,
            scanner,
            fields,
        } = self;
        fields.come(ts);
        let decoding = inflate.is_decoding();
        inflate.push(bytes, &mut |bytes| {
            let mut parts = Parts { scanner, fields };
            match form {
                Form::One => parts.data(bytes),
                Form::Lines(documents) => documents.push(bytes, &mut parts),
                Form::Events(parser) => parser.push(bytes, &mut parts),
            }
        });
        if decoding && !self.inflate.is_decoding() {
            self.lose();
        }
    }

    /// Bytes are missing here.
    pub(super) fn gap(&mut self) {
        self.inflate.gap();
        self.lose();
    }

    fn lose(&mut self) {
        let FieldBody {
            form,
            scanner,
            fields,
            ..
        } = self;
        match form {
            Form::One => scanner.gap(),
            Form::Lines(documents) => {
                fields.forget();
                documents.gap(&mut Parts { scanner, fields });
            }
            Form::Events(parser) => {
                fields.forget();
                parser.gap(&mut Parts { scanner, fields });
            }
        }
    }

    /// It is read no further.
    pub(super) fn give_up(&mut self) {
        self.lose();
        self.inflate.stop();
    }

    pub(super) fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        SCANNER_BYTES
            + size_of::<FieldBody>()
            + self.inflate.held_bytes()
            + self.fields.held_bytes()
    }
}

/// A scanner's path and the beginning of one text, about.
const SCANNER_BYTES: usize = 1_024;
