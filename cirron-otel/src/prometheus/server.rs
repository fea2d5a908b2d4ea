//! The server that is scraped: one path, a thread for each connection, few of them.
//!
//! Beside the threads that follow the spool: a client that is slow, silent or hostile has a connection until
//! [`LIMIT`], and nobody waits for it. No connection is kept: a scrape comes every 15 s.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::format::Format;

/// Connections at once; what comes beyond is closed. Two Prometheus servers and a few people have one each.
pub const MAX_CONNECTIONS: usize = 16;

/// How long a connection lasts from its accept to the last byte of the answer: Prometheus' own limit of a scrape is
/// 10 s where nobody changes it.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Bytes of a request's head: Prometheus' has 300.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Fields of a request's head.
const MAX_FIELDS: usize = 64;

/// The wait after an accept that failed: for want of descriptors it fails at once, again and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const PLAIN: &str = "text/plain; charset=utf-8";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All metrics.
    Metrics(Format),
    /// Whether all is well.
    Health,
}

/// What gives the answer: whether all is well, and a body.
pub type Answer = dyn Fn(Asked) -> (bool, Vec<u8>) + Send + Sync;

/// What the server did.
#[derive(Debug, Default)]
pub struct ServerCounts {
    /// Scrapes that were answered whole.
    pub scrapes: AtomicU64,
    /// Connections that were closed since there were too many.
    pub refused: AtomicU64,
    /// Connections that ended before their answer was whole: slow, gone, or no HTTP.
    pub cut: AtomicU64,
}

/// A server that runs until the process ends.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it did.
    pub counts: Arc<ServerCounts>,
}

impl Server {
    /// Serves what comes to a listener, in threads of its own.
    pub fn start(listener: TcpListener, answer: Arc<Answer>) -> io::Result<Server> {
        Server::with_limit(listener, answer, LIMIT)
    }

    fn with_limit(
        listener: TcpListener,
        answer: Arc<Answer>,
        limit: Duration,
    ) -> io::Result<Server> {
        let address = listener.local_addr()?;
        let counts = Arc::new(ServerCounts::default());
        let shared = Arc::new(Shared {
            counts: Arc::clone(&counts),
            open: AtomicUsize::new(0),
            answer,
            limit,
        });
        thread().spawn(move || accept(&listener, &shared))?;
        Ok(Server { address, counts })
    }
}

fn thread() -> std::thread::Builder {
    std::thread::Builder::new().name("cirron-metrics".into())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let before = shared.open.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(shared));
        if before >= MAX_CONNECTIONS {
            shared.counts.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let spawned = thread().spawn(move || {
            if place.0.serve(stream).is_err() {
                place.0.counts.cut.fetch_add(1, Ordering::Relaxed);
            }
        });
        if spawned.is_err() {
            shared.counts.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(ACCEPT_PAUSE);
        }
    }
}

struct Shared {
    counts: Arc<ServerCounts>,
    open: AtomicUsize,
    answer: Arc<Answer>,
    limit: Duration,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// A connection's place, given back whatever happens to its thread.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a request's head says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    is_get: bool,
    path: String,
    accept: Option<String>,
    takes_gzip: bool,
}

struct Reply {
    status: &'static str,
    kind: &'static str,
    body: Vec<u8>,
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let until = Instant::now() + self.limit;
        stream.set_nodelay(true)?;
        let head = read_head(&mut stream, until)?;
        let reply = self.reply(&head);
        let is_scrape = head.is_get && head.path == "/metrics";
        let mut body = reply.body;
        let mut coding = "";
        if is_scrape && head.takes_gzip {
            let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
            zip.write_all(&body)?;
            body = zip.finish()?;
            coding = "Content-Encoding: gzip\r\n";
        }
        let (status, kind, length) = (reply.status, reply.kind, body.len());
        let mut out =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
        out.push_str(coding);
        out.push_str("Connection: close\r\n\r\n");
        let mut out = out.into_bytes();
        out.append(&mut body);
        write_all(&mut stream, &out, until)?;
        if is_scrape {
            self.counts.scrapes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn reply(&self, head: &Head) -> Reply {
        let plain = |status, body| Reply {
            status,
            kind: PLAIN,
            body,
        };
        match (head.is_get, &*head.path) {
            (false, _) => plain(
                "405 Method Not Allowed",
                b"only GET is understood\n".to_vec(),
            ),
            (true, "/metrics") => {
                let format = Format::asked(head.accept.as_deref());
                Reply {
                    status: "200 OK",
                    kind: format.content_type(),
                    body: (self.answer)(Asked::Metrics(format)).1,
                }
            }
            (true, "/healthz") => match (self.answer)(Asked::Health) {
                (true, body) => plain("200 OK", body),
                (false, body) => plain("503 Service Unavailable", body),
            },
            (true, _) => plain("404 Not Found", b"metrics are at /metrics\n".to_vec()),
        }
    }
}

/// A write waits for room until the end of the connection's time, however slowly it is read.
fn write_all(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

fn read_head(stream: &mut TcpStream, until: Instant) -> io::Result<Head> {
    let mut bytes = Vec::new();
    let mut room = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        let read = match stream.read(&mut room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        bytes.extend_from_slice(room.get(..read).unwrap_or_default());
        if let Some(head) = parse(&bytes)? {
            return Ok(head);
        }
        if bytes.len() > MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request
        .parse(bytes)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    if parsed.is_partial() {
        return Ok(None);
    }
    let field = |name: &str| {
        let mut fields = request.headers.iter();
        let found = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        found.and_then(|field| std::str::from_utf8(field.value).ok())
    };
    let target = request.path.unwrap_or_default();
    Ok(Some(Head {
        is_get: request.method == Some("GET"),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        accept: field("accept").map(str::to_owned),
        takes_gzip: field("accept-encoding").is_some_and(|codings| codings.contains("gzip")),
    }))
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
