//! Amazon Bedrock's InvokeModel: `/model/M/invoke`, `/model/M/invoke-with-response-stream`.
//!
//! Request and response are those of the model's family: Anthropic's messages, Amazon's Nova and Titan,
//! Meta's Llama, Mistral's two forms, Cohere. A stream is AWS's event stream, whose messages hold the
//! family's events, in base64, as `bytes`; the last also has Bedrock's own counts
//! (`amazon-bedrock-invocationMetrics`), which are taken where the family's says nothing. Header fields
//! of the response have them, too. What is behind a hole inside one `bytes` is not read: where in a
//! group of four it goes on is not known.
//!
//! Source: Bedrock API reference, `InvokeModel`, `InvokeModelWithResponseStream`; Bedrock user guide,
//! "Inference request parameters and response fields for foundation models".

use super::bedrock;
use super::{anthropic, openai};
use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, ReadResponse, Route, Row, last_segment};
use crate::llm::errors::ERROR_EVENT;
use crate::llm::facts::{Content, ResponseFacts};
use crate::llm::readers::Readers;
use crate::llm::table::{self, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 2200,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    route,
    request: || table::request(&REQUEST),
    response: || Box::<Reader>::default(),
    ..bedrock::DIALECT
};

/// What the families' own documents are. The first that fits has them all.
static FAMILIES: &[Dialect] = &[
    Dialect {
        response: || table::response(&FAMILY),
        ..bedrock::DIALECT
    },
    anthropic::DIALECT,
    // Nova, whole.
    bedrock::DIALECT,
    // Models of OpenAI, and those that speak as they do.
    openai::DIALECT,
    Dialect {
        response: || table::response(&CHOICES),
        ..bedrock::DIALECT
    },
];

fn route(path: &str) -> Option<Route<'_>> {
    let (before, verb) = last_segment(path);
    let stream = match verb {
        "invoke" => false,
        "invoke-with-response-stream" => true,
        _ => return None,
    };
    let (before, model) = before.rsplit_once('/')?;
    let operation = if model.contains("embed") {
        "embeddings"
    } else if model.contains("titan-text") || model.contains("llama") {
        // What they take is a prompt; the others' is a conversation, or one written as text.
        "text_completion"
    } else {
        "chat"
    };
    before.ends_with("/model").then_some(Route {
        model: Some(model),
        stream: Some(stream),
        ..Route::to(operation)
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[
        &[Sign::Has("messages")],
        &[Sign::Has("prompt")],
        &[Sign::Has("inputText")],
        &[Sign::Has("message")],
        &[Sign::Has("texts")],
    ],
    stream: None,
};

static FAMILY: ResponseTable = ResponseTable {
    rows: &[
        // Titan, whole and in events; its embeddings.
        (&[K("results"), Any, K("outputText")], Say::Answer),
        (&[K("results"), Any, K("completionReason")], Say::Finish),
        (&[K("results"), Any, K("tokenCount")], Say::OutputEach),
        (&[K("outputText")], Say::Answer),
        (&[K("completionReason")], Say::Finish),
        (&[K("totalOutputTextTokenCount")], Say::Output),
        (&[K("inputTextTokenCount")], Say::Input),
        // Llama.
        (&[K("generation")], Say::Answer),
        (&[K("prompt_token_count")], Say::Input),
        (&[K("generation_token_count")], Say::Output),
        (&[K("stop_reason")], Say::Finish),
        // Mistral.
        (&[K("outputs"), Any, K("text")], Say::Answer),
        (&[K("outputs"), Any, K("stop_reason")], Say::Finish),
        // Cohere.
        (&[K("text")], Say::Answer),
        (&[K("generations"), Any, K("text")], Say::Answer),
        (&[K("generations"), Any, K("finish_reason")], Say::Finish),
        (&[K("finish_reason")], Say::Finish),
        // Nova in events.
        (
            &[K("contentBlockDelta"), K("delta"), K("text")],
            Say::Answer,
        ),
        (
            &[
                K("contentBlockDelta"),
                K("delta"),
                K("reasoningContent"),
                K("text"),
            ],
            Say::Reasoning,
        ),
        (
            &[K("contentBlockDelta"), K("delta"), K("toolUse"), K("input")],
            Say::Tool,
        ),
        (
            &[K("contentBlockStart"), K("start"), K("toolUse"), K("name")],
            Say::ToolCall,
        ),
        (
            &[
                K("contentBlockStart"),
                K("start"),
                K("toolUse"),
                K("toolUseId"),
            ],
            Say::ToolId,
        ),
        (
            &[K("contentBlockStart"), K("contentBlockIndex")],
            Say::ToolIndex,
        ),
        (&[K("messageStop"), K("stopReason")], Say::Finish),
        (&[K("metadata"), K("usage"), K("inputTokens")], Say::Input),
        (&[K("metadata"), K("usage"), K("outputTokens")], Say::Output),
        (&[K("metadata")], Say::Last),
        // An error, whole.
        (&[K("__type")], Say::ErrorClass),
    ],
    shapes: &[
        &[Sign::Has("results"), Sign::Has("inputTextTokenCount")],
        &[Sign::Has("embedding"), Sign::Has("inputTextTokenCount")],
        &[Sign::Has("outputText"), Sign::Has("index")],
        &[Sign::Has("generation"), Sign::Has("generation_token_count")],
        &[Sign::Has("outputs")],
        &[Sign::Has("generations")],
        &[Sign::Has("text"), Sign::Has("finish_reason")],
        &[Sign::Has("text"), Sign::Has("is_finished")],
        &[Sign::Has("contentBlockDelta")],
        &[Sign::Has("messageStop")],
    ],
    operation: None,
    resync: &[],
};

/// Choices that do not say what they are of: Mistral's chat, AI21, DeepSeek.
static CHOICES: ResponseTable = ResponseTable {
    rows: &[
        (&[K("choices"), Any, K("text")], Say::Answer),
        (
            &[K("choices"), Any, K("message"), K("content")],
            Say::Answer,
        ),
        (
            &[
                K("choices"),
                Any,
                K("message"),
                K("tool_calls"),
                Any,
                K("function"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (
            &[
                K("choices"),
                Any,
                K("message"),
                K("tool_calls"),
                Any,
                K("index"),
            ],
            Say::ToolIndex,
        ),
        (
            &[
                K("choices"),
                Any,
                K("message"),
                K("tool_calls"),
                Any,
                K("id"),
            ],
            Say::ToolId,
        ),
        (&[K("choices"), Any, K("index")], Say::Choice),
        (&[K("choices"), Any, K("stop_reason")], Say::Finish),
        (&[K("choices"), Any, K("finish_reason")], Say::Finish),
        (&[K("usage"), K("prompt_tokens")], Say::Input),
        (&[K("usage"), K("completion_tokens")], Say::Output),
        (&[K("usage"), K("total_tokens")], Say::Total),
    ],
    shapes: &[&[Sign::Has("choices")]],
    operation: None,
    resync: &[],
};

/// Bedrock's own counts, beside what the family says.
static METRICS: ResponseTable = ResponseTable {
    rows: &[
        (&[K(COUNTS), K("inputTokenCount")], Say::Input),
        (&[K(COUNTS), K("cacheReadInputTokenCount")], Say::InputMore),
        (&[K(COUNTS), K("cacheWriteInputTokenCount")], Say::InputMore),
        (&[K(COUNTS), K("cacheReadInputTokenCount")], Say::Cached),
        (&[K(COUNTS), K("outputTokenCount")], Say::Output),
        (&[K(COUNTS)], Say::Last),
    ],
    shapes: &[],
    operation: None,
    resync: &[COUNTS],
};

const COUNTS: &str = "amazon-bedrock-invocationMetrics";

/// Reads the family's documents: whole, or out of the messages of a stream.
#[derive(Debug, Default)]
struct Reader {
    /// The document as it came: the family's own, or `{"bytes": ...}`, or an exception.
    plain: Family,
    /// What stood in `bytes`.
    inner: Family,
    unwrap: Unwrap,
    /// A message had any.
    wrapped: bool,
}

/// What the family says, with Bedrock's counts.
#[derive(Debug)]
struct Family {
    readers: Option<Readers>,
    metrics: Box<dyn ReadResponse>,
    exception: Option<String>,
    facts: ResponseFacts,
    last: bool,
}

impl Default for Family {
    fn default() -> Self {
        Family {
            readers: Readers::new(FAMILIES),
            metrics: table::response(&METRICS),
            exception: None,
            facts: ResponseFacts::default(),
            last: false,
        }
    }
}

impl Family {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(readers) = &mut self.readers {
            readers.push(bytes);
        }
        self.metrics.push(bytes);
    }

    fn gap(&mut self) {
        if let Some(readers) = &mut self.readers {
            readers.gap();
        }
        self.metrics.gap();
    }

    fn finish(&mut self, name: &str) -> Content {
        let mut content = Content::default();
        self.last = false;
        if let Some(readers) = &mut self.readers {
            content = readers.finish("");
            self.facts.clone_from(readers.facts());
            self.last = readers.is_last();
        }
        self.metrics.finish("");
        self.last |= self.metrics.is_last();
        let counted = self.metrics.facts();
        self.facts.usage = self.facts.usage.or(&counted.usage);
        self.facts.reports += counted.reports;
        self.facts.report_cut |= counted.report_cut;
        if name.ends_with("Exception") || name == ERROR_EVENT {
            self.exception = Some(name.to_owned());
        }
        self.facts.error = self.facts.error.take().or(self.exception.clone());
        content
    }
}

impl Reader {
    fn family(&self) -> &Family {
        if self.wrapped {
            &self.inner
        } else {
            &self.plain
        }
    }
}

impl ReadResponse for Reader {
    fn push(&mut self, bytes: &[u8]) {
        if !self.wrapped {
            self.plain.push(bytes);
        }
        let inner = &mut self.inner;
        self.unwrap.push(bytes, &mut |bytes| inner.push(bytes));
    }

    fn gap(&mut self) {
        self.plain.gap();
        self.inner.gap();
        self.unwrap = Unwrap {
            place: Place::Lost,
            ..Unwrap::default()
        };
    }

    fn finish(&mut self, name: &str) -> Content {
        self.wrapped |= std::mem::take(&mut self.unwrap).found;
        let inner = self.inner.finish(name);
        if self.wrapped {
            inner
        } else {
            self.plain.finish(name)
        }
    }

    fn facts(&self) -> &ResponseFacts {
        &self.family().facts
    }

    fn is_last(&self) -> bool {
        self.family().last
    }
}

/// Finds the text of the member `bytes` at the top of a document, and undoes its base64 (RFC 4648,
/// section 4) as it passes.
#[derive(Debug, Default)]
struct Unwrap {
    place: Place,
    depth: u32,
    /// A string that begins now, at the top, is a key.
    before_key: bool,
    /// Bytes of the last key at the top that are those of `bytes`; `None`: it is another.
    key: Option<usize>,
    /// There is such a member.
    found: bool,
    /// Six bits of each character of the group under way.
    group: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    Key,
    Text {
        escaped: bool,
    },
    Bytes,
    /// Behind a hole, or what is no base64.
    Lost,
}

const MEMBER: &[u8] = b"bytes";

/// Decoded bytes that are handed on together: some hundred are a token's event.
const PIECE: usize = 1024;

impl Unwrap {
    fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
        let mut piece = Vec::new();
        for &b in bytes {
            match self.place {
                Place::Lost => break,
                Place::Outside => self.outside(b),
                Place::Text { escaped: true } => self.place = Place::Text { escaped: false },
                Place::Text { escaped: false } => match b {
                    b'"' => self.place = Place::Outside,
                    b'\\' => self.place = Place::Text { escaped: true },
                    _ => {}
                },
                Place::Key if b == b'"' => self.place = Place::Outside,
                Place::Key => {
                    let next = self.key.filter(|n| MEMBER.get(*n) == Some(&b));
                    self.key = next.map(|n| n + 1);
                    if b == b'\\' {
                        self.place = Place::Text { escaped: true };
                    }
                }
                Place::Bytes => self.base64(b, &mut piece),
            }
            if piece.len() >= PIECE {
                out(&piece);
                piece.clear();
            }
        }
        if !piece.is_empty() {
            out(&piece);
        }
    }

    fn outside(&mut self, b: u8) {
        match b {
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.before_key = self.depth == 1 && b == b'{';
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' => self.before_key = self.depth == 1,
            b'"' if self.before_key => {
                self.before_key = false;
                self.key = Some(0);
                self.place = Place::Key;
            }
            b'"' if self.depth == 1 && self.key == Some(MEMBER.len()) => {
                self.found = true;
                self.key = None;
                self.place = Place::Bytes;
            }
            b'"' => self.place = Place::Text { escaped: false },
            _ => {}
        }
    }

    fn base64(&mut self, b: u8, out: &mut Vec<u8>) {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            // JSON may escape a slash.
            b'\\' => return,
            b'=' | b'"' => {
                let group = self.group << (6 * (4 - self.len.min(4)));
                let whole = self.len.saturating_sub(1) as usize;
                out.extend(group.to_be_bytes().iter().skip(1).take(whole));
                (self.group, self.len) = (0, 0);
                if b == b'"' {
                    self.place = Place::Outside;
                }
                return;
            }
            _ => {
                self.place = Place::Lost;
                return;
            }
        };
        self.group = self.group << 6 | u32::from(value);
        self.len += 1;
        if self.len == 4 {
            out.extend(self.group.to_be_bytes().iter().skip(1));
            (self.group, self.len) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

    fn unwrapped(parts: &[Fed<'_>]) -> (Vec<u8>, bool) {
        let (mut unwrap, mut out) = (Unwrap::default(), Vec::new());
        for part in parts {
            match part {
                Fed::Data(bytes) => unwrap.push(bytes, &mut |b| out.extend_from_slice(b)),
                Fed::Gap(_) => unwrap.place = Place::Lost,
            }
        }
        (out, unwrap.found)
    }

    #[test]
    fn what_stands_in_bytes_is_what_the_library_says() {
        for len in 0..70_u8 {
            let data: Vec<u8> = (0..len).map(|n| n.wrapping_mul(37)).collect();
            let text = aws_smithy_types::base64::encode(&data);
            for document in [
                format!(r#"{{"bytes":"{text}","p":"abcdef"}}"#),
                format!(
                    r#"{{ "p" : "\"bytes\"", "q": [{{"bytes": "QQ=="}}], "bytes" : "{text}" }}"#
                ),
                format!(
                    r#"{{"bytes":"{}"}}"#,
                    text.trim_end_matches('=').replace('/', "\\/")
                ),
            ] {
                let got = assert_split_invariant(document.as_bytes(), unwrapped);
                assert_eq!(got, (data.clone(), true), "{document}");
            }
        }
    }

    #[test]
    fn what_is_no_such_member_is_none() {
        for document in [
            r#"{"a":{"bytes":"QUJD"}}"#,
            r#"{"byte":"QUJD","bytess":"QUJD","b\u0079tes":"QUJD"}"#,
            r#"["bytes","QUJD"]"#,
            r#"{"bytes":12,"p":"QUJD"}"#,
            r#"{"p":"bytes","q":"QUJD"}"#,
        ] {
            let got = assert_split_invariant(document.as_bytes(), unwrapped);
            assert_eq!(got, (Vec::new(), false), "{document}");
        }
    }

    #[test]
    fn behind_a_hole_nothing_is_decoded() {
        let text = aws_smithy_types::base64::encode("the quick brown fox");
        let document = format!(r#"{{"bytes":"{text}"}}"#);
        assert_gap_safe(document.as_bytes(), unwrapped, |(got, _), hole| {
            let before = hole.start.saturating_sub(10) * 3 / 4;
            assert!(b"the quick brown fox".starts_with(got), "{hole:?}");
            assert!(got.len() <= before, "{hole:?}");
        });
    }
}
