//! The table of protocols in `docs/coverage.md`: in each cell the tests that show it, of those that
//! passed. A whole run of the real-server suite compares the document with what it has just seen;
//! `UPDATE_DOCS=1` renews it. The table of dialects below it is the goldens' (`cirron-core`).

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

/// What is extracted, or where.
const COLUMNS: [&str; 7] = [
    "requests, status, sizes",
    "times",
    "tokens, model",
    "messages",
    "the target is the client",
    "inside TLS",
    "joined late, or holes",
];

/// A protocol: for each column the tests that show it; `golden X/Y` is a documented exchange.
struct Row(&'static str, [&'static [&'static str]; 7]);

const ROWS: &[Row] = &[
    Row(
        "HTTP/1.0, 1.1",
        [
            &[
                "fastapi_on_uvicorn_h11",
                "node_http",
                "go_net_http",
                "pipelined_requests_are_paired_in_order",
                "expect_100_continue",
            ],
            &["fastapi_on_uvicorn_httptools", "flask_on_gunicorn_sync"],
            &["llama_server_with_a_real_model", "fastapi_on_uvicorn_h11"],
            &[],
            &[
                "a_client_is_seen_from_its_first_byte",
                "a_gateway_is_both_and_never_mixed_up",
            ],
            &["https_fastapi_on_uvicorn_asyncio", "https_node", "https_go"],
            &[
                "attached_in_the_middle_of_a_stream",
                "a_connection_older_than_the_attach_is_joined",
            ],
        ],
    ),
    Row(
        "HTTP/2",
        [
            &[
                "http2_openai_client_on_hypercorn_by_prior_knowledge",
                "http2_go_server_by_prior_knowledge",
                "http2_node_server_by_prior_knowledge",
                "http2_nghttp_is_served_and_seen",
                "http2_h2load_is_served",
            ],
            &["http2_a_hundred_streams_at_once"],
            &["http2_a_hundred_streams_at_once"],
            &[],
            &["http2_go_client_is_seen", "http2_node_client_is_seen"],
            &[
                "http2_openai_client_on_hypercorn_over_https",
                "http2_curl_by_prior_knowledge_and_over_https",
                "http2_nginx_in_front_of_a_stream",
            ],
            &["grpc_kserve_is_joined_late"],
        ],
    ),
    Row(
        "HTTP/2 by an upgrade from HTTP/1 (h2c)",
        [
            &[
                "h2c_upgrade_by_curl_and_nghttp_is_served",
                "h2c_upgrade_with_a_body_through_caddy_is_served",
            ],
            &["h2c_upgrade_by_curl_and_nghttp_is_served"],
            &["h2c_upgrade_by_curl_and_nghttp_is_served"],
            &[],
            &["h2c_upgrade_of_a_client_that_is_the_target"],
            &[],
            &[],
        ],
    ),
    Row(
        "gRPC",
        [
            &["grpc_kserve_is_served", "grpc_go_with_every_kind_of_stream"],
            &["grpc_kserve_is_served"],
            &["grpc_kserve_is_served"],
            &["grpc_kserve_is_served", "grpc_go_with_every_kind_of_stream"],
            &[
                "grpc_kserve_client_is_the_target",
                "grpc_go_with_every_kind_of_stream",
            ],
            &["grpc_go_over_tls"],
            &["grpc_kserve_is_joined_late"],
        ],
    ),
    Row(
        "WebSocket on HTTP/1",
        [
            &["websocket_realtime_is_served"],
            &["websocket_realtime_is_served"],
            &["websocket_realtime_is_served"],
            &["websocket_realtime_is_served"],
            &["websocket_realtime_client_is_the_target"],
            &[
                "websocket_realtime_is_served_over_https",
                "websocket_realtime_client_is_the_target_over_https",
            ],
            &[],
        ],
    ),
    Row(
        "WebSocket on a stream of HTTP/2 (extended CONNECT)",
        [
            &["websocket_on_streams_of_http2_is_served"],
            &["websocket_on_streams_of_http2_is_served"],
            &[],
            &["websocket_on_streams_of_http2_is_served"],
            &["websocket_on_streams_of_http2_client_is_the_target"],
            &["websocket_on_streams_of_http2_is_served_over_https"],
            &[],
        ],
    ),
    Row(
        "server-sent events",
        [
            &["a_stream_of_20000_events"],
            &["fastapi_on_uvicorn_h11", "node_http"],
            &["fastapi_on_uvicorn_h11", "official_clients_are_served"],
            &[],
            &["official_clients_are_the_target"],
            &["https_fastapi_on_uvicorn_uvloop"],
            &["attached_in_the_middle_of_a_stream"],
        ],
    ),
    Row(
        "lines of JSON, arrays piece by piece",
        [
            &["official_clients_are_served"],
            &["official_clients_are_served"],
            &[
                "official_clients_are_served",
                "golden ollama/chat-stream",
                "golden gcp.gemini/stream-array",
            ],
            &[],
            &["official_clients_are_the_target"],
            &[],
            &[],
        ],
    ),
    Row(
        "AWS event stream",
        [
            &[],
            &["golden aws.bedrock/converse-stream"],
            &["golden aws.bedrock/converse-stream"],
            &[],
            &[],
            &[],
            &[],
        ],
    ),
    Row(
        "forms (sounds, pictures)",
        [
            &["official_clients_are_served"],
            &["official_clients_are_served"],
            &["official_clients_are_served"],
            &[],
            &["official_clients_are_the_target"],
            &[],
            &[],
        ],
    ),
    Row(
        "gzip, deflate, br, zstd",
        [
            &["compressed_answers_are_decoded"],
            &["compressed_answers_are_decoded"],
            &["compressed_answers_are_decoded"],
            &[],
            &[],
            &[],
            &[],
        ],
    ),
    Row(
        "Python's official clients: openai (also for Azure), anthropic, google-genai, cohere, mistralai, ollama, huggingface_hub",
        [
            &["official_clients_are_served"],
            &["official_clients_are_served"],
            &[
                "official_clients_are_served",
                "anthropic_messages_of_llama_server",
            ],
            &[],
            &["official_clients_are_the_target"],
            &["https_anthropic_client_is_seen", "https_clients_are_seen"],
            &[],
        ],
    ),
    Row(
        "Node's: openai (also for Azure), @anthropic-ai/sdk, @google/genai, cohere-ai, @mistralai/mistralai, ollama, @huggingface/inference",
        [
            &["official_node_clients_are_served"],
            &["official_node_clients_are_served"],
            &["official_node_clients_are_served"],
            &[],
            &["official_node_clients_are_the_target"],
            &["https_node_fetch_is_seen"],
            &[],
        ],
    ),
];

/// Where the documented exchanges are.
const GOLDENS: &str = "cirron-core/goldens";

const BEGIN: &str = "## Protocols\n\n";
const END: &str = "\n`output_tokens` that are counted";

fn root() -> PathBuf {
    crate::stacks::here().join("..")
}

fn named() -> impl Iterator<Item = &'static str> {
    let cells = ROWS.iter().flat_map(|Row(_, cells)| cells);
    cells.flat_map(|cell| cell.iter().copied())
}

/// Why the table cannot be checked here: in a guest there are the programs alone.
pub fn obstacle() -> Option<&'static str> {
    (!root().join(GOLDENS).is_dir()).then_some("the goldens that it names are not here")
}

/// Every test that the table names is there.
///
/// # Errors
/// Names the one that is not.
pub fn names_are_known(known: &[&str]) -> Result<()> {
    for name in named() {
        let is_there = match name.strip_prefix("golden ") {
            Some(golden) => root().join(format!("{GOLDENS}/{golden}.http")).exists(),
            None => known.contains(&name),
        };
        ensure!(
            is_there,
            "the table of protocols names `{name}`, which is not there"
        );
    }
    Ok(())
}

fn table(passed: &[&str]) -> String {
    let mut out = format!("| protocol | {} |\n", COLUMNS.join(" | "));
    out += &format!("|{}\n", " --- |".repeat(COLUMNS.len() + 1));
    for Row(protocol, cells) in ROWS {
        out += &format!("| {protocol} |");
        for cell in cells {
            let shown: Vec<String> = cell
                .iter()
                .filter(|name| name.starts_with("golden ") || passed.contains(name))
                .map(|name| match name.strip_prefix("golden ") {
                    Some(golden) => format!("golden `{golden}`"),
                    None => format!("`{name}`"),
                })
                .collect();
            out += &format!(" {} |", shown.join(", "));
        }
        out.push('\n');
    }
    out
}

/// The document has what this run, in which nothing was left out, has shown.
///
/// # Errors
/// Where it has not.
pub fn check(passed: &[&str]) -> Result<()> {
    let path = root().join("docs/coverage.md");
    let text = std::fs::read_to_string(&path).context("docs/coverage.md")?;
    let (head, rest) = text.split_once(BEGIN).context("no table of protocols")?;
    let at = rest.find(END).context("no end of the table of protocols")?;
    let (told, tail) = rest.split_at(at);
    let want = table(passed);
    if told == want {
        return Ok(());
    }
    if std::env::var_os("UPDATE_DOCS").is_none() {
        bail!(
            "docs/coverage.md says something else than this run has shown\n  UPDATE_DOCS=1 cargo test -p cirron-tests --test real"
        );
    }
    Ok(std::fs::write(path, format!("{head}{BEGIN}{want}{tail}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_sources_are_nothing_is_passed_over() {
        assert_eq!(obstacle(), None);
    }

    /// `UPDATE_DOCS=1` renews it as a run would in which all pass.
    #[test]
    fn the_document_is_what_a_run_in_which_all_pass_shows() -> Result<()> {
        check(&named().collect::<Vec<_>>())
    }
}
