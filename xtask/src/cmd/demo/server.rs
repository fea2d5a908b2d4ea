//! `cargo xtask demo-server`: an OpenAI-compatible model server without a model.
//!
//! It answers at a scripted pace, so that what an observer reports can be checked: the first token
//! [`FIRST_TOKEN`] after the request, then one each [`TOKEN`]. It streams as real servers do:
//! headers and a role-only event at once, long before the first token. One thread a connection,
//! HTTP/1.1 with keep-alive, `Content-Length` requests; nothing of it is meant for other use.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// From the request to the first token.
pub(crate) const FIRST_TOKEN: Duration = Duration::from_millis(120);
/// From each token to the next: 50 a second.
pub(crate) const TOKEN: Duration = Duration::from_millis(20);
/// How many tokens an answer has.
pub(crate) const TOKENS: u32 = 20;
/// What any prompt is said to have.
const PROMPT_TOKENS: u32 = 12;
/// A request's body; the demo's are a few hundred bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Where to listen.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// 0: any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Serves until it is killed. Prints its address first.
pub(crate) fn run(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", options.port)).context("cannot listen")?;
    println!("{}", listener.local_addr().context("the server's address")?);
    for connection in listener.incoming() {
        let connection = connection.context("accept")?;
        thread::spawn(move || {
            // A client that goes away in the middle is no concern of a demo.
            let _ = serve(connection);
        });
    }
    Ok(())
}

fn serve(connection: TcpStream) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::new(connection);
    while let Some((path, body)) = request(&mut reader)? {
        let began = Instant::now();
        let asked: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let streams = asked.get("stream").and_then(Value::as_bool) == Some(true);
        match path.as_str() {
            "/v1/chat/completions" if streams => stream(&mut writer, began)?,
            "/v1/chat/completions" => {
                thread::sleep(FIRST_TOKEN + TOKEN * (TOKENS - 1));
                answer(&mut writer, "200 OK", &completion())?;
            }
            "/v1/embeddings" => answer(&mut writer, "200 OK", &embedding())?,
            "/health" => answer(&mut writer, "200 OK", &json!({"status": "ok"}))?,
            _ => answer(
                &mut writer,
                "404 Not Found",
                &json!({"error": {"message": "no such path"}}),
            )?,
        }
    }
    Ok(())
}

/// The next request's path and body; `None` when the client has gone.
fn request(reader: &mut BufReader<TcpStream>) -> Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; MAX_BODY_BYTES.min(length)];
    reader.read_exact(&mut body)?;
    Ok(Some((path, body)))
}

fn answer(writer: &mut TcpStream, status: &str, body: &Value) -> Result<()> {
    let body = body.to_string();
    let length = body.len();
    let head = "Content-Type: application/json\r\nContent-Length";
    write!(
        writer,
        "HTTP/1.1 {status}\r\n{head}: {length}\r\n\r\n{body}"
    )?;
    Ok(())
}

fn stream(writer: &mut TcpStream, began: Instant) -> Result<()> {
    let head = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked";
    write!(writer, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n")?;
    event(
        writer,
        &delta(&json!({"role": "assistant", "content": ""}), None),
    )?;
    for n in 0..TOKENS {
        // Against the clock, not one after the other: errors do not add up.
        thread::sleep((FIRST_TOKEN + TOKEN * n).saturating_sub(began.elapsed()));
        event(
            writer,
            &delta(&json!({"content": format!(" word{n}")}), None),
        )?;
    }
    event(writer, &delta(&json!({}), Some("stop")))?;
    let mut last = chunk(json!([]));
    last["usage"] = usage();
    event(writer, &last.to_string())?;
    event(writer, "[DONE]")?;
    write!(writer, "0\r\n\r\n")?;
    Ok(())
}

/// One server-sent event in one HTTP chunk in one write.
fn event(writer: &mut TcpStream, data: &str) -> Result<()> {
    let event = format!("data: {data}\n\n");
    writer.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    Ok(())
}

fn delta(delta: &Value, finish: Option<&str>) -> String {
    chunk(json!([{"index": 0, "delta": delta, "finish_reason": finish}])).to_string()
}

fn chunk(choices: Value) -> Value {
    let mut chunk = json!({
        "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": "demo-1",
    });
    chunk["choices"] = choices;
    chunk
}

fn completion() -> Value {
    json!({
        "id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": "demo-1",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "twenty words of no meaning"},
        }],
        "usage": usage(),
    })
}

fn embedding() -> Value {
    json!({
        "object": "list", "model": "demo-embed-1",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}],
        "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
    })
}

fn usage() -> Value {
    json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": TOKENS,
        "total_tokens": PROMPT_TOKENS + TOKENS,
    })
}
