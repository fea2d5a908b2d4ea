//! Against the h2 crate: what its end points say on a pipe, decoded from each direction's bytes.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::{io, pin::Pin};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::*;
use crate::proto::message::MessageEnd;
use crate::stream::Piece;
use crate::testing::h2::frame;
use crate::testing::{Fed, assert_gap_safe, assert_split_invariant};

mod interop;

/// A pipe's end that keeps what is written to it.
struct Tap(DuplexStream, Arc<Mutex<Vec<u8>>>);

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.0).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = done {
            self.1.lock().unwrap().extend_from_slice(&buf[..n]);
        }
        done
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

type Lists = BTreeMap<u32, Vec<(String, Bytes)>>;

/// What was said in one direction, and the bytes of it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) bytes: Vec<u8>,
    /// Header fields by stream, pseudo-header fields aside.
    lists: Lists,
    bodies: BTreeMap<u32, Vec<u8>>,
}

fn fields(map: &http::HeaderMap) -> Vec<(String, Bytes)> {
    let own = |(n, v): (&http::HeaderName, &http::HeaderValue)| {
        (n.to_string(), Bytes::copy_from_slice(v.as_bytes()))
    };
    map.iter().map(own).collect()
}

/// `calls` streams at once; each request's path, header and body name its stream, and each response
/// echoes them, with trailers. Client's bytes first.
pub(crate) fn conversation(calls: u32, body_bytes: usize) -> (Said, Said) {
    let rt = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let taps = [Arc::<Mutex<Vec<u8>>>::default(), Arc::default()];
    let (a, b) = tokio::io::duplex(1 << 16);
    let (client_io, server_io) = (Tap(a, taps[0].clone()), Tap(b, taps[1].clone()));
    let server = async move {
        let mut said = Said::default();
        let mut conn = h2::server::handshake(server_io).await.unwrap();
        while let Some(Ok((request, mut respond))) = conn.accept().await {
            let id = u32::from(request.body().stream_id());
            let echo = request.headers()["x-call"].clone();
            let response = http::Response::builder()
                .header("x-echo", &echo)
                .header("content-type", "text/event-stream")
                .header("x-n", id)
                .body(())
                .unwrap();
            said.lists.insert(id, fields(response.headers()));
            let mut send = respond.send_response(response, false).unwrap();
            let body = Bytes::from(format!("data: {id}\n\n").repeat(1 + body_bytes / 9));
            said.bodies.insert(id, body.to_vec());
            send.send_data(body, false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", 0.into());
            send.send_trailers(trailers).unwrap();
        }
        said
    };
    let client = async move {
        let mut said = Said::default();
        let (mut send, conn) = h2::client::handshake(client_io).await.unwrap();
        let conn = tokio::spawn(conn);
        let mut answers = Vec::new();
        for n in 0..calls {
            let request = http::Request::post(format!("http://a.test/v1/call/{n}?key=secret"))
                .header("x-call", n)
                .header("x-same", "always the same")
                .body(())
                .unwrap();
            send = send.ready().await.unwrap();
            let list = fields(request.headers());
            let (answer, mut body) = send.send_request(request, false).unwrap();
            let id = u32::from(body.stream_id());
            said.lists.insert(id, list);
            let text = format!("{{\"n\":{n}}}").repeat(1 + body_bytes / 8);
            said.bodies.insert(id, text.clone().into_bytes());
            body.send_data(text.into(), true).unwrap();
            answers.push(answer);
        }
        for answer in answers {
            let mut body = answer.await.unwrap().into_body();
            while let Some(data) = body.data().await {
                let len = data.unwrap().len();
                body.flow_control().release_capacity(len).unwrap();
            }
        }
        drop(send);
        conn.await.unwrap().unwrap();
        said
    };
    let local = tokio::task::LocalSet::new();
    let (mut a, mut b) = rt.block_on(local.run_until(async {
        let server = tokio::task::spawn_local(server);
        let client = client.await;
        (client, server.await.unwrap())
    }));
    a.bytes = taps[0].lock().unwrap().clone();
    b.bytes = taps[1].lock().unwrap().clone();
    (a, b)
}

/// What a parser made of one direction.
#[derive(Debug, Default, PartialEq)]
struct Got {
    lists: Lists,
    unknown: usize,
    bodies: BTreeMap<u32, Vec<u8>>,
    paths: BTreeMap<u32, String>,
    ended: Vec<u32>,
    lost: bool,
}

fn run(parser: &mut Parser, parts: &[Fed<'_>]) -> Got {
    let mut got = Got::default();
    for (n, part) in (1..).zip(parts) {
        let ts = MonoNs(n);
        let piece = match *part {
            Fed::Data(bytes) => Piece::Data { ts, bytes },
            Fed::Gap(len) => Piece::Gap { ts, len },
        };
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        while let Some(event) = parser.next(&mut cur) {
            match event {
                Event::Headers(heads) => {
                    if let Some(head) = heads.list.request() {
                        assert_eq!((head.method.as_str(), head.has_query), ("POST", true));
                        got.paths.insert(heads.stream, head.path);
                    }
                    got.unknown += heads.list.headers.unknown;
                    let list = heads.list.headers.fields;
                    got.lists.entry(heads.stream).or_default().extend(list);
                    got.ended.extend(heads.end.then_some(heads.stream));
                }
                Event::Data { stream, bytes } => {
                    got.bodies.entry(stream).or_default().extend(bytes);
                }
                Event::End { stream } => got.ended.push(stream),
                Event::HeadersLost { .. } | Event::DataGap { .. } | Event::Lost(_) => {
                    got.lost = true;
                }
                Event::Reset { .. } | Event::GoAway { .. } => {}
            }
        }
    }
    got
}

fn with_trailers(lists: &Lists) -> Lists {
    let mut lists = lists.clone();
    let status = ("grpc-status".to_owned(), Bytes::from_static(b"0"));
    lists.values_mut().for_each(|l| l.push(status.clone()));
    lists
}

#[test]
fn a_librarys_end_points_are_understood_on_every_split() {
    let (client, server) = conversation(5, 30);
    let got = assert_split_invariant(&client.bytes, |parts| {
        run(&mut Parser::new(false, true), parts)
    });
    assert_eq!((&got.lists, &got.bodies), (&client.lists, &client.bodies));
    assert_eq!(got.paths[&3], "/v1/call/1");
    assert!(!got.lost && got.unknown == 0 && got.ended.len() == 5);
    let got = assert_split_invariant(&server.bytes, |parts| {
        run(&mut Parser::new(false, false), parts)
    });
    assert_eq!(got.lists, with_trailers(&server.lists));
    assert_eq!(got.bodies, server.bodies);
    assert!(!got.lost && got.ended.len() == 5);
}

/// Everything that is known is true.
fn assert_true(got: &Got, said: &Said, what: &str) {
    let lists = with_trailers(&said.lists);
    for (stream, list) in &got.lists {
        let said = &lists[stream];
        for field in list {
            assert!(said.contains(field), "{what}: stream {stream}: {field:?}");
        }
    }
    for (stream, path) in &got.paths {
        assert_eq!(*path, format!("/v1/call/{}", (stream - 1) / 2), "{what}");
    }
    for (stream, body) in &got.bodies {
        let said = &said.bodies[stream];
        assert!(body.len() <= said.len(), "{what}: stream {stream}");
    }
}

#[test]
fn joined_at_any_byte_no_header_is_wrong() {
    let (client, server) = conversation(6, 30);
    for said in [&client, &server] {
        let mut found = 0;
        for from in 0..said.bytes.len() {
            let parts = [Fed::Data(&said.bytes[from..])];
            let got = run(&mut Parser::new(true, false), &parts);
            assert_true(&got, said, &format!("from {from}"));
            found += got.lists.len();
        }
        assert!(found > said.bytes.len(), "frames are found again: {found}");
    }
}

#[test]
fn a_hole_anywhere_makes_no_header_wrong_and_is_said() {
    let (client, server) = conversation(4, 20);
    for (said, preface) in [(&client, true), (&server, false)] {
        let whole = run(&mut Parser::new(false, preface), &[Fed::Data(&said.bytes)]);
        assert_gap_safe(
            &said.bytes,
            |parts| run(&mut Parser::new(false, preface), parts),
            |got, hole| {
                assert_true(got, said, &format!("{hole:?}"));
                let same = got.lists == whole.lists && got.bodies == whole.bodies;
                assert!(same || got.lost, "{hole:?} passes in silence");
            },
        );
    }
}

#[test]
fn padding_priority_and_continuation_stand_around_the_block() {
    // `:status: 200`, and `a: b` literally, cut in the middle.
    let block = [0x88, 0x00, 0x01, b'a', 0x01, b'b'];
    let first = [&[2, 0, 0, 0, 0, 9][..], &block[..3], &[0, 0]].concat();
    let bytes = [
        frame(1, 0x8 | 0x20, 1, &first),
        frame(9, 0x4, 1, &block[3..]),
        frame(0xbe, 0, 0, b"an extension"),
        frame(0, 0x8, 1, &[3, b'h', b'i', 0, 0, 0]),
        frame(0, 0x9, 1, &[0, b'!']),
        frame(3, 0, 1, &[0, 0, 0, 8]),
    ]
    .concat();
    let got = assert_split_invariant(&bytes, |parts| run(&mut Parser::new(false, false), parts));
    assert_eq!(got.lists[&1], [("a".to_owned(), Bytes::from_static(b"b"))]);
    assert_eq!(
        (got.bodies[&1].as_slice(), got.ended),
        (&b"hi!"[..], vec![1])
    );
}

/// Whose padding is not known: none of it may pass for the body.
#[test]
fn padding_whose_length_is_lost_is_no_body() {
    let bytes = [
        frame(0, 0x8, 1, &[3, b'h', b'i', 0, 0, 0]),
        frame(0, 0x9, 1, &[1, b'!', 0]),
    ]
    .concat();
    let parts = [
        Fed::Data(&bytes[..9]),
        Fed::Gap(1),
        Fed::Data(&bytes[10..24]),
        Fed::Gap(1),
        Fed::Data(&bytes[25..]),
    ];
    let got = run(&mut Parser::new(false, false), &parts);
    assert!(got.lost && got.bodies.is_empty(), "{got:?}");
    assert_eq!(got.ended, [1]);
}

#[test]
fn what_is_no_http2_is_given_up() {
    let mut parser = Parser::new(false, true);
    assert!(run(&mut parser, &[Fed::Data(b"PRI * HTTP/1.1\r\n")]).lost);
    for _ in 0..20 {
        let valid = frame(6, 0, 0, &[0; 8]);
        run(&mut parser, &[Fed::Data(&valid), Fed::Data(&[0xff; 9])]);
    }
    assert!(parser.is_misread());
}
