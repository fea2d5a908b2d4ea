//! OpenAI's Realtime API over WebSocket: `response.created` ... `response.done` with its usage.
//!
//! Source: OpenAI's reference of Realtime client and server events, the beta's names
//! (`response.audio.delta`) and those of the general release (`response.output_audio.delta`). Azure
//! speaks the same on its own path. What is said in sounds is content as text is.

use crate::body::json::{Container, Finish, JsonSink, Path, Scalar, Scanner, Walk};
use crate::exchange::Sender;
use crate::llm::count::{count, fill};
use crate::llm::facts::{Content, ResponseFacts, Usage, say};
use crate::llm::session::{ReadSession, Said, SessionDialect};

/// The row of it.
pub(crate) const SESSION: SessionDialect = SessionDialect {
    name: "openai",
    is_path: |path| {
        let path = path.strip_suffix('/').unwrap_or(path);
        path.ends_with("/realtime")
    },
    reader: || Box::new(Reader::default()),
};

#[derive(Debug)]
struct Reader {
    client: (Scanner, Event),
    server: (Scanner, Event),
    /// The session's, as the server named it last.
    model: Option<String>,
}

impl Default for Reader {
    fn default() -> Reader {
        let new = || (Scanner::new(&[]), Event::default());
        Reader {
            client: new(),
            server: new(),
            model: None,
        }
    }
}

/// Of the message under way.
#[derive(Debug, Default)]
struct Event {
    kind: String,
    response_id: Option<String>,
    delta: bool,
    /// `response.id`
    id: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    usage: Usage,
    tool_calls: u64,
    /// `session.model`
    model: Option<String>,
}

impl ReadSession for Reader {
    fn push(&mut self, by: Sender, bytes: &[u8]) {
        let (scanner, event) = self.side(by);
        scanner.push(bytes, event);
    }

    fn gap(&mut self, by: Sender) {
        self.side(by).0.gap();
    }

    fn finish(&mut self, by: Sender, whole: bool) -> Said {
        let (scanner, event) = self.side(by);
        let finish = scanner.finish(event);
        scanner.reset();
        let event = std::mem::take(event);
        // What was cut may be anything.
        if !whole || finish != Finish::Complete {
            return Said::Nothing;
        }
        match by {
            Sender::Client if event.kind == "response.create" => Said::Asked,
            Sender::Client => Said::Nothing,
            Sender::Server => self.server_event(event),
        }
    }
}

impl Reader {
    fn side(&mut self, by: Sender) -> &mut (Scanner, Event) {
        match by {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }

    fn server_event(&mut self, event: Event) -> Said {
        if let Some(model) = event.model {
            self.model = Some(model);
        }
        match (event.kind.as_str(), event.id, event.response_id) {
            ("response.created", Some(id), _) => Said::Began {
                id,
                model: self.model.clone(),
            },
            ("response.done", Some(id), _) => {
                let mut facts = ResponseFacts {
                    shaped: true,
                    model: self.model.clone(),
                    id: Some(id.clone()),
                    operation: Some("chat"),
                    tool_calls: event.tool_calls,
                    ..ResponseFacts::default()
                };
                facts.report(&event.usage, false);
                if let Some(status) = event.status {
                    facts.note_finish(0, event.reason.as_deref().unwrap_or(&status));
                    if status == "failed" {
                        facts.error = Some(event.error.unwrap_or_else(|| "error".to_owned()));
                    }
                }
                let facts = Box::new(facts);
                Said::Ended { id, facts }
            }
            // It may be about what was asked.
            ("error", _, _) => Said::Refused,
            (kind, _, Some(id)) if kind.starts_with("response.") => Said::Piece {
                id,
                content: content(kind, event.delta),
            },
            _ => Said::Nothing,
        }
    }
}

fn content(kind: &str, delta: bool) -> Content {
    let mut content = Content::default();
    if !delta || !kind.ends_with(".delta") {
        return content;
    }
    if kind.contains("call") {
        content.tool = true;
    } else {
        content.answer = true;
    }
    content
}

impl JsonSink for Event {
    fn begin(&mut self, path: &Path, _: Container) -> Walk {
        let walk = match (path.depth(), path.key(0)) {
            (0, _) => true,
            (1, Some(b"response" | b"session")) => true,
            (2, Some(b"response")) => {
                matches!(path.key(1), Some(b"usage" | b"status_details" | b"output"))
            }
            (3.., Some(b"response")) => match path.key(1) {
                Some(b"usage") => true,
                Some(b"status_details") => path.key(2) == Some(b"error"),
                Some(b"output") => path.depth() == 3,
                _ => false,
            },
            _ => false,
        };
        if walk { Walk::Into } else { Walk::Skip }
    }

    fn end(&mut self, _: &Path, _: Container) {}

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        let key = |i| path.key(i).unwrap_or_default();
        let text = || {
            let text = value.as_str().filter(|text| !text.trim().is_empty());
            text.map(str::to_owned)
        };
        match (path.depth(), key(0), key(1)) {
            (1, b"type", _) => self.kind = text().unwrap_or_default(),
            (1, b"response_id", _) => self.response_id = text(),
            (1, b"delta", _) => self.delta = value.is_text(),
            (2, b"session", b"model") => {
                if let Scalar::Str { prefix, .. } = value {
                    say(&mut self.model, prefix);
                }
            }
            (2, b"response", b"id") => self.id = text(),
            (2, b"response", b"status") => self.status = text(),
            (3, b"response", b"status_details") if key(2) == b"reason" => self.reason = text(),
            (4, b"response", b"status_details") => match key(3) {
                b"type" => self.error = self.error.take().or(text()),
                b"code" => self.error = text().or(self.error.take()),
                _ => {}
            },
            (4, b"response", b"output") if key(3) == b"type" => {
                self.tool_calls += u64::from(value.as_str() == Some("function_call"));
            }
            (3.., b"response", b"usage") => self.usage(path, value),
            _ => {}
        }
    }
}

impl Event {
    fn usage(&mut self, path: &Path, value: Scalar<'_>) {
        let usage = &mut self.usage;
        let slot = match (path.depth(), path.key(2), path.key(3)) {
            (3, Some(b"input_tokens"), _) => &mut usage.input,
            (3, Some(b"output_tokens"), _) => &mut usage.output,
            (3, Some(b"total_tokens"), _) => &mut usage.total,
            (4, Some(b"input_token_details"), Some(b"cached_tokens")) => &mut usage.cached,
            (4, Some(b"input_token_details"), Some(b"audio_tokens")) => &mut usage.audio_input,
            (4, Some(b"output_token_details"), Some(b"audio_tokens")) => &mut usage.audio_output,
            (4, Some(b"output_token_details"), Some(b"reasoning_tokens")) => &mut usage.reasoning,
            _ => return,
        };
        fill(slot, count(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fed, assert_gap_safe, assert_split_invariant};

    fn said(by: Sender, messages: &[&str]) -> Vec<Said> {
        let mut reader = Reader::default();
        let read = |text: &&str| {
            reader.push(by, text.as_bytes());
            reader.finish(by, true)
        };
        messages.iter().map(read).collect()
    }

    const SESSION_CREATED: &str = r#"{"type":"session.created","session":{"id":"sess_1",
        "object":"realtime.session","model":"gpt-realtime","tools":[{"type":"function"}]}}"#;
    const DONE: &str = r#"{"event_id":"e","type":"response.done","response":{"object":
        "realtime.response","id":"resp_1","status":"completed","status_details":null,"output":[
        {"id":"item_1","type":"message","content":[{"type":"function_call","transcript":"hi"}]},
        {"type":"function_call","name":"f","arguments":"{}"}],"usage":{"total_tokens":275,
        "input_tokens":127,"output_tokens":148,"input_token_details":{"cached_tokens":64,
        "text_tokens":119,"audio_tokens":8,"cached_tokens_details":{"text_tokens":64,
        "audio_tokens":0}},"output_token_details":{"text_tokens":36,"audio_tokens":112}}}}"#;

    #[test]
    fn a_response_is_told_from_its_beginning_to_its_usage() {
        let got = said(
            Sender::Server,
            &[
                SESSION_CREATED,
                r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#,
                r#"{"type":"response.output_text.delta","response_id":"resp_1","delta":"hi"}"#,
                r#"{"type":"response.audio.delta","response_id":"resp_1","delta":"AAA="}"#,
                r#"{"type":"response.function_call_arguments.delta","response_id":"resp_1",
                    "delta":"{"}"#,
                r#"{"type":"response.output_item.added","response_id":"resp_1","item":{}}"#,
                DONE,
            ],
        );
        let id = || "resp_1".to_owned();
        let piece = |answer, tool| Said::Piece {
            id: id(),
            content: Content {
                answer,
                tool,
                reasoning: false,
            },
        };
        let facts = ResponseFacts {
            shaped: true,
            model: Some("gpt-realtime".to_owned()),
            id: Some(id()),
            usage: Usage {
                input: Some(127),
                output: Some(148),
                total: Some(275),
                cached: Some(64),
                reasoning: None,
                audio_input: Some(8),
                audio_output: Some(112),
            },
            finish: vec![(0, "completed".to_owned())],
            operation: Some("chat"),
            tool_calls: 1,
            reports: 1,
            ..ResponseFacts::default()
        };
        let want = [
            Said::Nothing,
            Said::Began {
                id: id(),
                model: Some("gpt-realtime".to_owned()),
            },
            piece(true, false),
            piece(true, false),
            piece(false, true),
            piece(false, false),
            Said::Ended {
                id: id(),
                facts: Box::new(facts),
            },
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn failed_and_cut_short_responses_say_why() {
        let failed = r#"{"type":"response.done","response":{"id":"r","status":"failed",
            "status_details":{"type":"failed","error":{"type":"server_error","code":"overloaded"}}}}"#;
        let cut = r#"{"type":"response.done","response":{"id":"r","status":"incomplete",
            "status_details":{"type":"incomplete","reason":"max_output_tokens"}}}"#;
        let got = said(Sender::Server, &[failed, cut]);
        let [
            Said::Ended { facts: failed, .. },
            Said::Ended { facts: cut, .. },
        ] = &got[..]
        else {
            panic!("{got:?}");
        };
        assert_eq!(failed.error.as_deref(), Some("overloaded"));
        assert_eq!(failed.finish, [(0, "failed".to_owned())]);
        assert_eq!(cut.error, None);
        assert_eq!(cut.finish, [(0, "max_output_tokens".to_owned())]);
    }

    #[test]
    fn only_a_clients_ask_is_one() {
        let ask = r#"{"type":"response.create","response":{"instructions":"x"}}"#;
        let error = r#"{"type":"error","error":{"type":"invalid_request_error"}}"#;
        assert_eq!(said(Sender::Client, &[ask]), [Said::Asked]);
        assert_eq!(said(Sender::Client, &[DONE]), [Said::Nothing]);
        assert_eq!(
            said(Sender::Server, &[ask, error, "[1]", "no JSON"]),
            [Said::Nothing, Said::Refused, Said::Nothing, Said::Nothing]
        );
    }

    #[test]
    fn a_message_cut_anywhere_says_the_same_and_one_with_a_hole_nothing() {
        let read = |parts: &[Fed<'_>]| {
            let mut reader = Reader::default();
            let mut whole = true;
            for part in parts {
                match *part {
                    Fed::Data(bytes) => reader.push(Sender::Server, bytes),
                    Fed::Gap(_) => {
                        whole = false;
                        reader.gap(Sender::Server);
                    }
                }
            }
            reader.finish(Sender::Server, whole)
        };
        assert_split_invariant(DONE.as_bytes(), read);
        assert_gap_safe(DONE.as_bytes(), read, |said, _| {
            assert_eq!(*said, Said::Nothing);
        });
    }
}
