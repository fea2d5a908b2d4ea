//! A platform's ingest route that answers as it is told, and keeps what came.

use std::collections::VecDeque;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// What is done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status.
    Status(u16),
    /// 429, and when to come back.
    Later(&'static str),
    /// The connection is reset once the request is read.
    Reset,
    /// Nothing, as long as the client waits.
    Stall,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Came {
    /// When it was read.
    pub at: Instant,
    /// Its target.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body, without its compression.
    pub body: Vec<u8>,
    /// What was done with it.
    pub answer: Answer,
}

impl Came {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The id that the header says.
    pub fn id(&self) -> &str {
        self.header("x-cirron-batch-id").unwrap_or_default()
    }

    /// Whether it was taken.
    pub fn is_taken(&self) -> bool {
        matches!(self.answer, Answer::Status(200..300))
    }

    /// Its body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("a body that is no JSON")
    }
}

#[derive(Debug, Default)]
struct Shared {
    answers: VecDeque<Answer>,
    came: Vec<Came>,
}

/// The route, on a port of its own, as long as the process lives.
#[derive(Debug)]
pub struct Ingest {
    /// Its port.
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
}

impl Ingest {
    /// Starts it: `answers` one after the other, then 200.
    pub fn start(answers: &[Answer]) -> Result<Ingest> {
        Ingest::start_at(0, answers)
    }

    /// The same, at a port.
    pub fn start_at(port: u16, answers: &[Answer]) -> Result<Ingest> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let shared = Arc::new(Mutex::new(Shared {
            answers: answers.iter().copied().collect(),
            came: Vec::new(),
        }));
        let ingest = Ingest {
            port: listener.local_addr()?.port(),
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A client that goes away is none of ours.
                std::thread::spawn(move || _ = serve(stream, &shared));
            }
        });
        Ok(ingest)
    }

    /// `CIRRON_API_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What came so far.
    pub fn came(&self) -> Vec<Came> {
        lock(&self.shared).came.clone()
    }

    /// Ids that were taken, in the order of their coming.
    pub fn taken(&self) -> Vec<String> {
        let came = self.came();
        let taken = came.iter().filter(|came| came.is_taken());
        taken.map(|came| came.id().to_owned()).collect()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Longest head that a client of the suite sends.
const MAX_HEAD_BYTES: usize = 16 * 1024;

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream.try_clone()?);
    loop {
        let (path, headers, body) = request(&mut from)?;
        let mut guard = lock(shared);
        let answer = guard.answers.pop_front().unwrap_or(Answer::Status(200));
        guard.came.push(Came {
            at: Instant::now(),
            path,
            headers,
            body,
            answer,
        });
        drop(guard);
        let head = match answer {
            Answer::Status(status) => {
                format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}")
            }
            Answer::Later(when) => format!(
                "HTTP/1.1 429 Too Many Requests\r\nretry-after: {when}\r\ncontent-length: 0\r\n\r\n"
            ),
            Answer::Reset => {
                // Bytes that are sent to a closed socket are answered with a reset.
                stream.shutdown(Shutdown::Both)?;
                return Ok(());
            }
            Answer::Stall => {
                std::thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
        };
        stream.write_all(head.as_bytes())?;
    }
}

type Request = (String, Vec<(String, String)>, Vec<u8>);

fn request(from: &mut BufReader<TcpStream>) -> Result<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.extend(byte);
        if head.len() > MAX_HEAD_BYTES {
            bail!("a head without an end");
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&head)?;
    let path = request.path.context("no path")?.to_owned();
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_lowercase(), value)
        })
        .collect();
    let value = |name: &str| {
        let found = headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    };
    let length = value("content-length")
        .context("no content-length")?
        .parse()?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    if value("content-encoding") == Some("gzip") {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut text)?;
        body = text;
    }
    Ok((path, headers, body))
}

/// Seals batches of a spool below `dir`, as writers do; their ids, in order. Every other one is large enough to be compressed.
pub fn batches(dir: &Path, from: u64, count: u64) -> Result<Vec<String>> {
    let spool = dir.join("spool");
    std::fs::create_dir_all(&spool)?;
    let mut ids = Vec::new();
    for n in from..from + count {
        let (time, id) = (1_700_000_000_000_000_000 + n, format!("{n:032x}"));
        let more = "x".repeat(if n % 2 == 0 { 3_000 } else { 1 });
        let text = format!(
            r#"{{"schema_version":1,"sdk_version":"agent/0.1.0","batch_id":"{id}","created_ns":{time},"spans":[{{"id":"{id}","name":"request","attrs":{{"note":"ä{more}","x":1.5}}}}],"marks":[],"snapshots":[]}}"#
        );
        let at = spool.join(format!("{time:020}-{id}.json"));
        let tmp = at.with_extension("json.tmp");
        std::fs::write(&tmp, text)?;
        std::fs::rename(tmp, at)?;
        ids.push(id);
    }
    Ok(ids)
}
