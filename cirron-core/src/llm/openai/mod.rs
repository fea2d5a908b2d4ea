//! OpenAI's shapes: chat completions, completions, embeddings, responses; streaming or not.
//!
//! Spoken by OpenAI and, on any path prefix, by vLLM, SGLang, llama.cpp, LiteLLM and many more.
//! Source: OpenAI's published OpenAPI description; `reasoning_content` is DeepSeek's and vLLM's.

mod request;
mod response;

pub use request::RequestReader;
pub use response::ResponseReader;

/// `gen_ai.provider.name`, and the `source` of the marks.
pub const NAME: &str = "openai";

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

#[cfg(test)]
mod tests;
