#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;
use std::path::Path;

use super::*;

const PODS: &str = include_str!("../testdata/pods.json");

/// Answers connections one by one with what `answer` says to the request's head.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes());
        }
    });
    format!("http://{address}/pods")
}

fn response(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn settings(url: &str) -> Settings {
    Settings {
        url: url.to_owned(),
        token_file: None,
        ca_file: None,
        insecure: false,
    }
}

fn answers(settings: &Settings, count: usize) -> Vec<Answer> {
    let (questions, ask) = io::pipe().unwrap();
    let (hear, told) = io::pipe().unwrap();
    let process = std::thread::spawn(move || run(questions, told));
    let mut asking = Asking::new(ask, hear);
    asking.set(settings).unwrap();
    let all = (0..count).map(|_| asking.ask().unwrap()).collect();
    drop(asking);
    process.join().unwrap().unwrap();
    all
}

fn trouble(settings: &Settings) -> Trouble {
    match answers(settings, 1).remove(0) {
        Answer::None(trouble) => trouble,
        Answer::Pods { .. } => panic!("there is an answer"),
    }
}

#[test]
fn each_question_has_an_answer_and_the_process_ends_with_whoever_asks() {
    let url = server(|_| response(200, PODS));
    for answer in answers(&settings(&url), 2) {
        let Answer::Pods {
            containers,
            left_out,
        } = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!((containers.len(), left_out), (6, 0));
    }
}

#[test]
fn whoever_is_named_later_is_asked_from_then_on() {
    let (questions, ask) = io::pipe().unwrap();
    let (hear, told) = io::pipe().unwrap();
    let process = std::thread::spawn(move || run(questions, told));
    let mut asking = Asking::new(ask, hear);
    // Before anybody was.
    assert!(matches!(asking.ask().unwrap(), Answer::None(_)));
    let refuses = server(|_| response(403, ""));
    asking.set(&settings(&refuses)).unwrap();
    assert!(matches!(
        asking.ask().unwrap(),
        Answer::None(Trouble { fix: Some(_), .. })
    ));
    let answers = server(|_| response(200, PODS));
    asking.set(&settings(&answers)).unwrap();
    for _ in 0..2 {
        assert!(matches!(asking.ask().unwrap(), Answer::Pods { .. }));
    }
    drop(asking);
    process.join().unwrap().unwrap();
}

#[test]
fn a_refusal_says_what_to_do_and_silence_is_waited_for() {
    for (status, fix) in [(401, "token_file"), (403, "ClusterRole"), (404, "url")] {
        let url = server(move |_| response(status, "x"));
        let said = trouble(&settings(&url));
        assert!(said.fix.as_deref().unwrap().contains(fix), "{said}");
    }
    let moved = server(|_| {
        "HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n".into()
    });
    for url in [
        server(|_| response(503, "")),
        server(|_| String::new()),
        server(|_| response(200, "{\"kind\":\"Status\"}")),
        moved,
        "http://127.0.0.1:9/pods".to_owned(),
    ] {
        let said = trouble(&settings(&url));
        assert!(said.fix.is_none() && said.what.contains(&url), "{said}");
    }
}

#[test]
fn no_token_goes_where_anybody_may_read_it() {
    let url = server(|head| {
        assert!(!head.to_lowercase().contains("authorization"));
        response(200, PODS)
    });
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "s3cr3t").unwrap();
    let settings = Settings {
        token_file: Some(token.path().to_owned()),
        ..settings(&url)
    };
    assert!(matches!(answers(&settings, 1)[0], Answer::Pods { .. }));
}

#[test]
fn a_file_that_is_missing_or_wrong_is_named_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none");
    let other = dir.path().join("other");
    std::fs::write(&other, "no\ncertificate").unwrap();
    let of = |token: Option<&Path>, ca: Option<&Path>| Settings {
        token_file: token.map(Path::to_owned),
        ca_file: ca.map(Path::to_owned),
        insecure: ca.is_none(),
        ..settings("https://127.0.0.1:9/pods")
    };
    for (settings, key) in [
        (of(None, Some(&none)), "ca_file"),
        (of(None, Some(&other)), "ca_file"),
        (of(Some(&none), None), "token_file"),
        (of(Some(&other), None), "token_file"),
    ] {
        let said = trouble(&settings);
        assert_eq!(said.fix.unwrap(), format!("set `[kubernetes] {key}`"));
    }
}

#[test]
fn one_that_has_ended_is_no_answer() {
    let (questions, ask) = io::pipe().unwrap();
    let (hear, told) = io::pipe().unwrap();
    let mut asking = Asking::new(ask, hear);
    asking.set(&settings("http://127.0.0.1:9/")).unwrap();
    drop((questions, told));
    assert!(asking.ask().is_err());
}
