//! OpenAI's shapes: chat completions, completions, embeddings, responses; streaming or not.
//!
//! Spoken by OpenAI and, on any path prefix, by vLLM, SGLang, llama.cpp, LiteLLM and many more.

use serde_json::Value;

/// Operations by the end of the path, with `gen_ai.operation.name`.
const PATHS: [(&str, &str); 4] = [
    ("/chat/completions", "chat"),
    ("/completions", "text_completion"),
    ("/embeddings", "embeddings"),
    ("/responses", "chat"),
];

/// `gen_ai.operation.name` of a path, `None` for paths that carry no LLM call.
pub fn operation(path: &str) -> Option<&'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    PATHS
        .iter()
        .find(|(end, _)| path.ends_with(end))
        .map(|(_, operation)| *operation)
}

/// Token counts as the server reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `prompt_tokens`, or `input_tokens` of the responses API.
    pub input: Option<i64>,
    /// `completion_tokens`, or `output_tokens`.
    pub output: Option<i64>,
    /// `total_tokens`.
    pub total: Option<i64>,
    /// `prompt_tokens_details.cached_tokens`.
    pub cached: Option<i64>,
    /// `completion_tokens_details.reasoning_tokens`.
    pub reasoning: Option<i64>,
}

impl Usage {
    /// From a `usage` object.
    pub fn from_json(usage: &Value) -> Option<Usage> {
        let int = |names: [&str; 2]| names.iter().find_map(|n| usage.get(n)?.as_i64());
        let detail = |groups: [&str; 2], name: &str| {
            groups
                .iter()
                .find_map(|g| usage.get(g)?.get(name)?.as_i64())
        };
        let usage = Usage {
            input: int(["prompt_tokens", "input_tokens"]),
            output: int(["completion_tokens", "output_tokens"]),
            total: int(["total_tokens", "total_tokens"]),
            cached: detail(
                ["prompt_tokens_details", "input_tokens_details"],
                "cached_tokens",
            ),
            reasoning: detail(
                ["completion_tokens_details", "output_tokens_details"],
                "reasoning_tokens",
            ),
        };
        (usage.input.is_some() || usage.output.is_some() || usage.total.is_some()).then_some(usage)
    }
}

/// What the request's body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// It has a body of this dialect's shape.
    pub shaped: bool,
    /// `model`
    pub model: Option<String>,
    /// `stream`
    pub stream: bool,
}

impl RequestFacts {
    /// From the request's JSON.
    pub fn from_json(body: &Value) -> RequestFacts {
        RequestFacts {
            shaped: ["messages", "prompt", "input"]
                .iter()
                .any(|k| body.get(k).is_some()),
            model: body.get("model").and_then(Value::as_str).map(str::to_owned),
            stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
        }
    }
}

/// What a response, or all events of a stream, say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
    /// It has this dialect's shape.
    pub shaped: bool,
    /// `model`
    pub model: Option<String>,
    /// `id`
    pub id: Option<String>,
    /// Last `usage` reported.
    pub usage: Option<Usage>,
    /// Finish reason by choice.
    pub finish: Vec<(i64, String)>,
    /// `error.type`, else `error.code`, else `error`.
    pub error: Option<String>,
    /// Operation, where the shape tells it.
    pub operation: Option<&'static str>,
}

impl ResponseFacts {
    /// Takes in a response body or one event. True: it carries content (text, reasoning, a refusal
    /// or a tool call), which a role, a ping or a usage report is not.
    pub fn absorb(&mut self, json: &Value) -> bool {
        self.shape(json);
        let text = |v: &Value, k: &str| v.get(k).and_then(Value::as_str).map(str::to_owned);
        // The responses API wraps the response in its events.
        let inner = json
            .get("response")
            .filter(|r| r.is_object())
            .unwrap_or(json);
        self.model = text(inner, "model").or(self.model.take());
        self.id = text(inner, "id").or(self.id.take());
        if let Some(usage) = inner.get("usage").and_then(Usage::from_json) {
            self.usage = Some(usage);
        }
        if let Some(error) = inner.get("error").filter(|e| !e.is_null()) {
            let name = ["type", "code"].iter().find_map(|k| match error.get(k)? {
                Value::String(s) if !s.is_empty() => Some(s.clone()),
                Value::Number(n) => Some(n.to_string()),
                Value::String(_)
                | Value::Null
                | Value::Bool(_)
                | Value::Array(_)
                | Value::Object(_) => None,
            });
            self.error = Some(name.unwrap_or_else(|| "error".to_owned()));
        }
        let mut content = responses_content(json);
        for choice in json
            .get("choices")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            content |= choice_content(choice);
            if let Some(reason) = text(choice, "finish_reason") {
                let index = choice.get("index").and_then(Value::as_i64).unwrap_or(0);
                self.finish.retain(|(i, _)| *i != index);
                self.finish.push((index, reason));
                self.finish.sort();
            }
        }
        content
    }

    fn shape(&mut self, json: &Value) {
        let object = json.get("object").and_then(Value::as_str).unwrap_or("");
        let kind = json.get("type").and_then(Value::as_str).unwrap_or("");
        let operation = match object {
            "chat.completion" | "chat.completion.chunk" | "response" => Some("chat"),
            "text_completion" => Some("text_completion"),
            "list" if json.pointer("/data/0/embedding").is_some() => Some("embeddings"),
            _ if kind.starts_with("response.") => Some("chat"),
            _ => None,
        };
        self.operation = operation.or(self.operation);
        self.shaped |= operation.is_some()
            || (json.get("choices").is_some_and(Value::is_array) && json.get("model").is_some());
    }
}

fn filled(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|s| !s.is_empty())
}

fn choice_content(choice: &Value) -> bool {
    let part = choice
        .get("delta")
        .or_else(|| choice.get("message"))
        .unwrap_or(choice);
    let calls = part
        .get("tool_calls")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    ["content", "reasoning_content", "reasoning", "refusal"]
        .iter()
        .any(|k| filled(part.get(k)))
        || filled(choice.get("text"))
        || calls
            .filter_map(|c| c.get("function"))
            .any(|f| filled(f.get("name")) || filled(f.get("arguments")))
}

/// `response.output_text.delta` and its kin.
fn responses_content(json: &Value) -> bool {
    let kind = json.get("type").and_then(Value::as_str).unwrap_or("");
    kind.starts_with("response.") && kind.ends_with(".delta") && filled(json.get("delta"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_with_any_prefix_are_recognised_and_control_paths_are_not() {
        assert_eq!(operation("/openai/v1/chat/completions"), Some("chat"));
        assert_eq!(operation("/v1/completions/"), Some("text_completion"));
        assert_eq!(operation("/v1/models"), None);
        assert_eq!(operation("/health"), None);
        assert_eq!(operation("/chat/completions/abc/cancel"), None);
    }

    #[test]
    fn a_role_an_empty_delta_and_a_usage_report_are_not_content() {
        let mut facts = ResponseFacts::default();
        for chunk in [
            json!({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}),
            json!({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}),
            json!({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}),
        ] {
            assert!(!facts.absorb(&chunk), "{chunk}");
        }
        assert!(facts.shaped);
        assert_eq!(facts.finish, [(0, "stop".to_owned())]);
        assert_eq!(facts.usage.and_then(|u| u.output), Some(9));
    }

    #[test]
    fn text_reasoning_refusals_and_tool_calls_are_content() {
        for delta in [
            json!({"content":"a"}),
            json!({"reasoning_content":"a"}),
            json!({"refusal":"no"}),
            json!({"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}),
        ] {
            let chunk = json!({"choices":[{"index":0,"delta":delta}]});
            assert!(ResponseFacts::default().absorb(&chunk), "{chunk}");
        }
    }

    #[test]
    fn the_responses_api_is_read() {
        let mut facts = ResponseFacts::default();
        assert!(facts.absorb(&json!({"type":"response.output_text.delta","delta":"hi"})));
        let done = json!({"type":"response.completed","response":{"id":"r1","model":"m","usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}});
        assert!(!facts.absorb(&done));
        assert_eq!(
            (facts.model.as_deref(), facts.usage.and_then(|u| u.output)),
            (Some("m"), Some(2))
        );
    }

    #[test]
    fn an_error_object_gives_its_type() {
        let mut facts = ResponseFacts::default();
        facts.absorb(
            &json!({"error":{"message":"secret","type":"invalid_request_error","code":null}}),
        );
        assert_eq!(facts.error.as_deref(), Some("invalid_request_error"));
    }
}
