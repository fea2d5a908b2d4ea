//! Multipart forms: the names and first bytes of fields, as they pass; files are passed over.
//!
//! Takes the decoded body of a `multipart/form-data` request; gives each part's name, whether it is
//! a file, and the beginning of its value. Ours, since the libraries are asynchronous readers of
//! whole bodies, and end at the first missing byte.
//!
//! ```text
//!  Preamble --boundary--> Head --empty line--> Value --CRLF boundary--> Head | Done
//!  gap -> Preamble: the next boundary begins a part; the one under way is dropped
//! ```
//! Source: RFC 7578; RFC 2046, section 5.1.

use memchr::memmem;

use crate::cut::upto;
use crate::limits::{MAX_FORM_HEAD_BYTES, MAX_JSON_SCALAR_BYTES};

/// Longest boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY_BYTES: usize = 70;

/// One part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// It has a file's name.
    pub is_file: bool,
    /// The beginning of its value; nothing of a file's.
    pub value: Vec<u8>,
    /// Nothing of it is missing, at its beginning and end.
    pub whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Head,
    Value,
    Done,
}

/// The parser. See the module.
#[derive(Debug)]
pub struct Form {
    state: State,
    delimiter: Vec<u8>,
    /// What may be the beginning of a delimiter, or the head under way.
    held: Vec<u8>,
    part: Field,
}

impl Form {
    /// Bytes that it holds.
    pub fn held_bytes(&self) -> usize {
        self.held.capacity() + self.part.value.capacity() + self.part.name.capacity()
    }

    /// For a `content-type`; `None` where it is no form, or has no boundary.
    pub fn new(content_type: &str) -> Option<Form> {
        let mut parameters = content_type.split(';').map(str::trim);
        if !parameters
            .next()?
            .eq_ignore_ascii_case("multipart/form-data")
        {
            return None;
        }
        let boundary = parameters.find_map(|p| {
            let (name, value) = p.split_once('=')?;
            name.eq_ignore_ascii_case("boundary")
                .then_some(value.trim_matches('"'))
        })?;
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY_BYTES {
            return None;
        }
        Some(Form {
            state: State::Preamble,
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter may be without a line end before it.
            held: b"\r\n".to_vec(),
            part: Field::default(),
        })
    }

    /// The next bytes. `field` gets each part at its end.
    pub fn push(&mut self, bytes: &[u8], field: &mut dyn FnMut(&Field)) {
        self.held.extend_from_slice(bytes);
        loop {
            let at = match self.state {
                State::Done => {
                    self.held.clear();
                    return;
                }
                // Behind the last delimiter stands `--`, and whatever comes then is no part.
                State::Head if self.held.starts_with(b"--") => {
                    self.state = State::Done;
                    continue;
                }
                State::Head if matches!(self.held[..], [] | [b'-']) => return,
                State::Head => match memmem::find(first(&self.held), b"\r\n\r\n") {
                    Some(end) => {
                        self.part = head(upto(&self.held, end));
                        self.state = State::Value;
                        // The line end may be that of a delimiter: the value is empty.
                        end + 2
                    }
                    None if self.held.len() >= MAX_FORM_HEAD_BYTES => {
                        self.state = State::Preamble;
                        continue;
                    }
                    None => return,
                },
                State::Preamble | State::Value => {
                    let found = memmem::find(&self.held, &self.delimiter);
                    // The beginning of a delimiter may stand at the end.
                    let keep = self.delimiter.len() - 1;
                    let sure = found.unwrap_or(self.held.len().saturating_sub(keep));
                    if self.state == State::Value && !self.part.is_file {
                        let room = (MAX_JSON_SCALAR_BYTES + 2) - self.part.value.len();
                        let value = upto(&self.held, sure.min(room));
                        self.part.value.extend_from_slice(value);
                    }
                    let Some(at) = found else {
                        self.held.drain(..sure);
                        return;
                    };
                    if self.state == State::Value {
                        // The end of the head's own empty line.
                        self.part.value.drain(..2.min(self.part.value.len()));
                        self.part.whole = true;
                        field(&self.part);
                    }
                    self.state = State::Head;
                    at + self.delimiter.len()
                }
            };
            self.held.drain(..at);
        }
    }

    /// Bytes are missing here.
    pub fn gap(&mut self) {
        if self.state != State::Done {
            self.state = State::Preamble;
            self.held.clear();
        }
    }
}

/// Where the head of a part must end.
fn first(held: &[u8]) -> &[u8] {
    upto(held, MAX_FORM_HEAD_BYTES)
}

/// A part, by its head.
fn head(bytes: &[u8]) -> Field {
    let text = String::from_utf8_lossy(bytes);
    let disposition = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    });
    let mut part = Field::default();
    for parameter in disposition.unwrap_or_default().split(';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.trim() {
            "name" => value.trim().trim_matches('"').clone_into(&mut part.name),
            "filename" | "filename*" => part.is_file = true,
            _ => {}
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

    const TYPE: &str = "multipart/form-data; boundary=\"xYz\"";
    const BODY: &[u8] = b"--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--xYz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\r\n--xY\x00\r\n\r\n--xYz\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--xYz\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--xYz--\r\nepilogue";

    fn feed(parts: &[Fed<'_>]) -> Vec<(String, bool, String)> {
        let mut form = Form::new(TYPE).expect("a form");
        let mut all = Vec::new();
        for part in parts {
            match *part {
                Fed::Data(bytes) => form.push(bytes, &mut |f| {
                    let value = String::from_utf8_lossy(&f.value).into_owned();
                    all.push((f.name.clone(), f.is_file, value));
                }),
                Fed::Gap(_) => form.gap(),
            }
        }
        all
    }

    #[test]
    fn fields_are_read_and_files_passed_over() {
        let all = assert_split_invariant(BODY, feed);
        let want = [
            ("model", false, "whisper-1"),
            ("file", true, ""),
            ("stream", false, "true"),
            ("empty", false, ""),
        ];
        let all: Vec<_> = all
            .iter()
            .map(|(n, f, v)| (n.as_str(), *f, v.as_str()))
            .collect();
        assert_eq!(all, want);
    }

    #[test]
    fn a_hole_costs_the_parts_it_touches_and_gives_none_that_was_not_there() {
        let whole = feed(&[Fed::Data(BODY)]);
        assert_gap_safe(BODY, feed, |all, hole| {
            for field in all {
                assert!(whole.contains(field), "{field:?} of {hole:?}");
            }
        });
    }

    #[test]
    fn an_epilogue_is_no_part_wherever_it_is_cut() {
        let body = b"--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--xYz--\r\nepi: logue\r\n\r\n2\r\n--xYz";
        let all = assert_split_invariant(body, feed);
        assert_eq!(all, [("a".to_owned(), false, "1".to_owned())]);
    }

    #[test]
    fn what_is_no_form_is_none() {
        for kind in [
            "application/json",
            "multipart/form-data",
            "multipart/mixed; boundary=a",
        ] {
            assert!(Form::new(kind).is_none(), "{kind}");
        }
    }

    #[test]
    fn long_values_are_cut_and_long_heads_passed_over() {
        let long = "v".repeat(5_000);
        let body = format!(
            "--xYz\r\n{long}\r\n--xYz\r\ncontent-disposition: form-data; name=a\r\n\r\n{long}\r\n--xYz--"
        );
        let all = assert_split_invariant_few(body.as_bytes());
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].2.len(), MAX_JSON_SCALAR_BYTES);
    }

    fn assert_split_invariant_few(body: &[u8]) -> Vec<(String, bool, String)> {
        let whole = feed(&[Fed::Data(body)]);
        let pieces: Vec<_> = body.chunks(37).map(Fed::Data).collect();
        assert_eq!(feed(&pieces), whole);
        whole
    }
}
