//! OpenAI's shapes: chat completions, completions, embeddings, responses, images, transcriptions;
//! streaming or not.
//!
//! Spoken by OpenAI and, on any path prefix, by vLLM, SGLang, llama.cpp, LiteLLM and many more; by
//! Azure on paths that name a deployment; by Mistral, whose answers may be lists of texts.
//! Source: OpenAI's published OpenAPI description; `reasoning_content` is DeepSeek's and vLLM's.

mod choices;
mod event;
mod one_by_one;
pub(crate) mod realtime;
mod request;
mod response;
mod sink;
mod usage;

use crate::llm::dialect::{Dialect, Evidence, Figure, Route, Row};

pub(crate) use request::RequestReader;
pub(crate) use response::ResponseReader;

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[
    Row {
        precedence: 100,
        dialect: DIALECT,
    },
    Row {
        precedence: 200,
        dialect: AZURE,
    },
    Row {
        precedence: 300,
        dialect: MISTRAL,
    },
];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "openai",
    route: |path| route(path).filter(|_| azure(path).is_none() && mistral(path).is_none()),
    request: || Box::<RequestReader>::default(),
    response: || Box::<ResponseReader>::default(),
    // Fireworks', of answers that are not streamed.
    headers: &[
        ("fireworks-prompt-tokens", Figure::Input),
        ("fireworks-cached-prompt-tokens", Figure::Cached),
    ],
};

/// The row of the same on Azure's paths.
pub(crate) const AZURE: Dialect = Dialect {
    name: "azure.ai.openai",
    route: azure,
    ..DIALECT
};

/// The row of Mistral's own paths.
pub(crate) const MISTRAL: Dialect = Dialect {
    name: "mistral_ai",
    route: mistral,
    ..DIALECT
};

/// Whether `name` is that of one of these dialects.
pub(crate) fn is_name(name: &str) -> bool {
    ROWS.iter().any(|row| row.dialect.name == name)
}

/// Operations by the end of the path, with `gen_ai.operation.name`.
const PATHS: [(&str, &str); 10] = [
    ("/chat/completions", "chat"),
    ("/completions", "text_completion"),
    ("/embeddings", "embeddings"),
    ("/responses", "chat"),
    ("/images/generations", "image_generation"),
    ("/images/edits", "image_generation"),
    ("/images/variations", "image_generation"),
    ("/audio/transcriptions", "transcription"),
    ("/audio/translations", "transcription"),
    ("/audio/speech", "speech"),
];

fn route(path: &str) -> Option<Route<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (_, operation) = PATHS.iter().find(|(end, _)| path.ends_with(end))?;
    let route = Route::to(operation);
    // Surveys have responses, and other services embeddings.
    let shared = path.ends_with("/responses") || path.ends_with("/embeddings");
    Some(if shared { route.weak() } else { route })
}

/// `/openai/deployments/D/...`: the deployment stands for the model.
fn azure(path: &str) -> Option<Route<'_>> {
    let (_, rest) = path.split_once("/openai/deployments/")?;
    let (deployment, _) = rest.split_once('/')?;
    Some(Route {
        model: Some(deployment),
        evidence: Evidence::Sure,
        ..route(path)?
    })
}

/// What only Mistral has: its chat completions are those of OpenAI.
fn mistral(path: &str) -> Option<Route<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let own = path.ends_with("/fim/completions") || path.ends_with("/agents/completions");
    own.then_some(Route::to("chat"))
}

#[cfg(test)]
mod tests;
