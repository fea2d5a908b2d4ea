//! `cargo xtask demo-client`: calls the demo's server as an application would, and says what it
//! saw and when. It reads the responses with its own few lines, which know only the demo's server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

/// How many requests it makes.
pub(crate) const REQUESTS: usize = 6;

const CHAT: &str = "/v1/chat/completions";
const STREAM: &str = r#"{"model":"demo-1","stream":true,"messages":[{"role":"user","content":"Say twenty words."}]}"#;
const WHOLE: &str =
    r#"{"model":"demo-1","messages":[{"role":"user","content":"Say twenty words."}]}"#;
const EMBED: &str = r#"{"model":"demo-embed-1","input":"twenty words"}"#;

/// Whom to call.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server's address
    address: String,
}

/// One stream, then two at the same time, then the rest over one connection.
pub(crate) fn run(options: &Options) -> Result<()> {
    let address = options.address.as_str();
    println!(
        "client: {}",
        Connection::open(address)?.call("POST", CHAT, STREAM)?
    );
    let both: Result<Vec<String>> = thread::scope(|scope| {
        let calls =
            [0, 1].map(|_| scope.spawn(|| Connection::open(address)?.call("POST", CHAT, STREAM)));
        calls
            .into_iter()
            .map(|call| {
                call.join()
                    .unwrap_or_else(|_| bail!("a client thread panicked"))
            })
            .collect()
    });
    for line in both? {
        println!("client: {line} (beside another)");
    }
    let mut connection = Connection::open(address)?;
    println!("client: {}", connection.call("POST", CHAT, WHOLE)?);
    println!(
        "client: {}",
        connection.call("POST", "/v1/embeddings", EMBED)?
    );
    println!("client: {}", connection.call("GET", "/health", "")?);
    Ok(())
}

struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect to the demo's server")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    /// Makes a call, reads the whole response, and says how it went.
    fn call(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        let began = Instant::now();
        let length = body.len();
        let head = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length";
        let request = format!("{method} {path} HTTP/1.1\r\n{head}: {length}\r\n\r\n{body}");
        self.reader.get_mut().write_all(request.as_bytes())?;

        let status = self.line()?;
        let mut length = None;
        loop {
            let header = self.line()?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = Some(value.trim().parse().context("Content-Length")?);
            }
        }
        let (tokens, first) = match length {
            Some(length) => {
                self.skip(length)?;
                (0, None)
            }
            None => self.events(began)?,
        };
        let took = began.elapsed().as_secs_f64() * 1e3;
        let status = status.split(' ').nth(1).unwrap_or("?");
        let first = first.map_or_else(String::new, |ms: f64| {
            format!(", first token after {ms:.1} ms, {tokens} tokens")
        });
        Ok(format!(
            "{method} {path}: {status}{first}, {took:.1} ms in all"
        ))
    }

    /// Reads the chunks of an event stream, an event in each. The number of events with content,
    /// and when the first came.
    fn events(&mut self, began: Instant) -> Result<(u32, Option<f64>)> {
        let (mut tokens, mut first) = (0, None);
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).context("a chunk's size")?;
            let event = self.skip(size)?;
            self.line()?;
            if size == 0 {
                return Ok((tokens, first));
            }
            if String::from_utf8_lossy(&event).contains(r#""content":" "#) {
                tokens += 1;
                first.get_or_insert_with(|| began.elapsed().as_secs_f64() * 1e3);
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }

    fn skip(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
