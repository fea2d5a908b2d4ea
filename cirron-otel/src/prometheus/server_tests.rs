#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn started(limit: Duration, body: &str) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let body = body.to_owned();
    let answer = move |asked| match asked {
        Asked::Metrics(format) => (true, format!("{format:?} {body}").into_bytes()),
        Asked::Health => (false, b"the agent is silent\n".to_vec()),
    };
    Server::with_limit(listener, Arc::new(answer), limit).unwrap()
}

fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that was refused is reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for_and_nothing_else_is_there() {
    let server = started(LIMIT, "x");
    let plain = ask(&server, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"));
    assert!(plain.ends_with("\r\n\r\nPlain x"), "{plain}");
    let open =
        "GET /metrics?a=b HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n";
    assert!(ask(&server, open).ends_with("OpenMetrics x"));
    assert!(ask(&server, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(ask(&server, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(ask(&server, "GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503 "));
    assert_eq!(server.counts.scrapes.load(Ordering::Relaxed), 2);
}

#[test]
fn a_body_is_compressed_where_that_is_asked_for() {
    let server = started(LIMIT, &"a".repeat(10_000));
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer[at + 4..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text.len(), 10_000 + "Plain ".len());
    assert!(answer.len() < 1000);
}

#[test]
fn a_slow_client_is_cut_and_those_beyond_the_bound_are_refused_while_others_are_served() {
    let server = started(Duration::from_millis(600), &"a".repeat(64 * 1024 * 1024));
    // One that says nothing, one that never reads, and as many more as there is room for.
    let silent = TcpStream::connect(server.address).unwrap();
    let mut deaf = TcpStream::connect(server.address).unwrap();
    deaf.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let more: Vec<TcpStream> = (2..MAX_CONNECTIONS)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    until(|| {
        let _ = ask(&server, "GET / HTTP/1.1\r\n\r\n");
        server.counts.refused.load(Ordering::Relaxed) > 0
    });
    until(|| server.counts.cut.load(Ordering::Relaxed) as usize >= MAX_CONNECTIONS);
    assert!(ask(&server, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert_eq!(server.counts.scrapes.load(Ordering::Relaxed), 0);
    drop((silent, deaf, more));
}

#[test]
fn what_is_no_http_is_cut() {
    let server = started(LIMIT, "x");
    assert_eq!(ask(&server, "\x16\x03\x01 hello\r\n\r\n"), "");
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_HEAD_BYTES + 1024));
    assert_eq!(ask(&server, &long), "");
    until(|| server.counts.cut.load(Ordering::Relaxed) == 2);
}
