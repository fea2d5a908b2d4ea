//! OpenAI's shapes: chat completions, completions, embeddings, responses; streaming or not.
//!
//! Spoken by OpenAI and, on any path prefix, by vLLM, SGLang, llama.cpp, LiteLLM and many more.
//! Source: OpenAI's published OpenAPI description; `reasoning_content` is DeepSeek's and vLLM's.

mod event;
mod request;
mod response;
mod sink;

use super::dialect::Dialect;

pub use request::RequestReader;
pub use response::ResponseReader;

/// The dialect's row.
pub const DIALECT: Dialect = Dialect {
    name: "openai",
    operation,
    request: || Box::<RequestReader>::default(),
    response: || Box::<ResponseReader>::default(),
};

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
