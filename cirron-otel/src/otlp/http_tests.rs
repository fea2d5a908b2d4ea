#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Read as _;
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};

use super::*;
use crate::otlp::env::Protocol;

/// A server that answers one request with these bytes, and gives what it read.
fn answering(answer: Vec<u8>) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut room = [0; 4096];
        while !is_whole(&read) {
            let bytes = stream.read(&mut room).unwrap();
            assert!(bytes > 0, "it ended early");
            read.extend_from_slice(&room[..bytes]);
        }
        stream.write_all(&answer).unwrap();
        read
    });
    (url, thread)
}

fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read).to_lowercase();
    let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let length = text.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    length.is_some_and(|length: usize| read.len() >= head + 4 + length)
}

fn http(url: &str, gzip: bool) -> Http {
    let settings = Settings {
        endpoint: url.to_owned(),
        protocol: Protocol::Http,
        headers: vec![("x-key".to_owned(), "k".to_owned())],
        timeout: Duration::from_secs(10),
        gzip,
        certificate: None,
        client: None,
    };
    Http::new(&settings).unwrap()
}

fn message() -> Message {
    Message::Traces(ExportTraceServiceRequest::default())
}

fn outcome(status: &str, more: &str) -> Outcome {
    let answer = format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\n\r\n");
    let (url, server) = answering(answer.into_bytes());
    let outcome = http(&url, false).send(&message());
    server.join().unwrap();
    outcome
}

#[test]
fn answers_mean_what_the_specification_says() {
    for status in [
        "429 Too Many Requests",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
    ] {
        let again = outcome(status, "retry-after: 7\r\n");
        let Outcome::Again { after, why } = again else {
            panic!("{status}: {again:?}")
        };
        assert_eq!(after, Some(Duration::from_secs(7)));
        assert!(why.contains(&status[..3]));
    }
    let refused = |status| {
        let outcome = outcome(status, "");
        let Outcome::Refused { reason, .. } = outcome else {
            panic!("{status}: {outcome:?}")
        };
        reason
    };
    assert_eq!(refused("400 Bad Request"), Reason::Refused);
    assert_eq!(refused("401 Unauthorized"), Reason::NotAllowed);
    assert_eq!(refused("413 Content Too Large"), Reason::TooLarge);
    assert_eq!(refused("500 Internal Server Error"), Reason::Unexpected);
    assert_eq!(refused("302 Found"), Reason::Unexpected);
    assert_eq!(outcome("200 OK", ""), Outcome::Taken(Taken::default()));
}

#[test]
fn what_a_collector_leaves_out_is_told() {
    let said = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too\nold".to_owned(),
        }),
    };
    let body = said.encode_to_vec();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    let (url, server) = answering(answer);
    let Outcome::Taken(taken) = http(&url, true).send(&message()) else {
        panic!("it is taken")
    };
    assert_eq!((taken.rejected, &*taken.message), (3, "too old"));
    let asked = String::from_utf8_lossy(&server.join().unwrap()).to_lowercase();
    for header in [
        "content-type: application/x-protobuf",
        "content-encoding: gzip",
        "x-key: k",
        "user-agent: cirron-agent/",
    ] {
        assert!(asked.contains(header), "{header}: {asked}");
    }
}

#[test]
fn no_answer_at_all_is_tried_again() {
    let (url, server) = answering(Vec::new());
    assert!(matches!(
        http(&url, false).send(&message()),
        Outcome::Again { .. }
    ));
    server.join().unwrap();
    // Nobody listens there any more.
    assert!(matches!(
        http(&url, false).send(&message()),
        Outcome::Again { .. }
    ));
}

#[test]
fn roots_that_are_none_are_said_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = Settings {
        endpoint: "https://h".to_owned(),
        protocol: Protocol::Http,
        headers: Vec::new(),
        timeout: Duration::from_secs(1),
        gzip: false,
        certificate: Some(file.path().to_owned()),
        client: None,
    };
    let wrong = Http::new(&settings).err().map(|e| e.to_string()).unwrap();
    assert!(
        wrong.contains("no certificate") && wrong.contains("PEM"),
        "{wrong}"
    );
}
