//! What tungstenite says is read, and what it reads is read the same.

use std::io::{self, Read, Write};

use proptest::prelude::*;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message as Said, WebSocket};

use super::*;
use crate::testing::assert_split_invariant;

/// The other side of an end point: what it reads, and what it wrote.
#[derive(Default)]
struct Wire {
    to_read: io::Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.to_read.read(buf)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite sends for `say`.
fn written(role: Role, say: &[Said]) -> Vec<u8> {
    let mut socket = WebSocket::from_raw_socket(Wire::default(), role, None);
    for message in say {
        socket.send(message.clone()).unwrap();
    }
    socket.into_inner().written
}

/// What tungstenite reads from `bytes`: messages, pings, pongs, the close.
fn judged(role: Role, bytes: &[u8]) -> Got {
    let wire = Wire {
        to_read: io::Cursor::new(bytes.to_vec()),
        written: Vec::new(),
    };
    let config = WebSocketConfig::default();
    let mut socket = WebSocket::from_raw_socket(wire, role, Some(config));
    let mut got = Got::default();
    let push = |got: &mut Got, kind, data: Vec<u8>| {
        got.messages.push(Message {
            kind,
            compressed: false,
            seen: data.iter().map(|b| Some(*b)).collect(),
            data,
            gap: 0,
            end: None,
        });
    };
    while let Ok(message) = socket.read() {
        match message {
            Said::Text(text) => push(&mut got, Kind::Text, text.as_bytes().to_vec()),
            Said::Binary(data) => push(&mut got, Kind::Binary, data.to_vec()),
            Said::Ping(_) => got.pings += 1,
            Said::Pong(_) => got.pongs += 1,
            Said::Close(close) => got.close = Some(close.map(|c| c.code.into())),
            Said::Frame(_) => unreachable!("never read"),
        }
    }
    got
}

/// What both can tell.
fn comparable(got: &Got) -> Got {
    let mut got = got.clone();
    got.messages.iter_mut().for_each(|m| m.end = None);
    got
}

fn piece(text: &str, opcode: Data, fin: bool) -> Said {
    Said::Frame(Frame::message(
        text.as_bytes().to_vec(),
        OpCode::Data(opcode),
        fin,
    ))
}

#[test]
fn a_librarys_end_points_are_understood_on_every_split() {
    let long = "0123456789".repeat(20);
    let say = [
        Said::text("Hello"),
        Said::text(""),
        Said::Ping(b"abcd".to_vec().into()),
        piece("one ", Data::Text, false),
        Said::Ping(Vec::new().into()),
        piece("two ", Data::Continue, false),
        piece("three", Data::Continue, true),
        Said::binary(noise(1, 130)),
        Said::Pong(b"p".to_vec().into()),
        Said::text(long.as_str()),
        Said::Close(Some(CloseFrame {
            code: CloseCode::Away,
            reason: "later".into(),
        })),
    ];
    for role in [Role::Client, Role::Server] {
        let bytes = written(role, &say);
        let got = assert_split_invariant(&bytes, |parts| run(&mut Parser::new(None), parts));
        let binary = noise(1, 130);
        assert_eq!(
            got.whole(),
            [
                (Kind::Text, &b"Hello"[..]),
                (Kind::Text, b""),
                (Kind::Text, b"one two three"),
                (Kind::Binary, &binary),
                (Kind::Text, long.as_bytes()),
            ]
        );
        assert_eq!(got.messages[2].end, Some((13, 3, false)));
        assert_eq!((got.pings, got.pongs), (2, 1));
        assert_eq!((got.close, got.lost), (Some(Some(1001)), 0));
        let peer = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        assert_eq!(comparable(&got), judged(peer, &bytes));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Text(String, usize),
    Binary(Vec<u8>, usize),
    Ping(Vec<u8>),
    Pong,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (".{0,60}", 1_usize..5).prop_map(|(text, n)| Op::Text(text, n)),
        (proptest::collection::vec(any::<u8>(), 0..300), 1_usize..4)
            .prop_map(|(data, n)| Op::Binary(data, n)),
        (65_000_usize..66_500, 1_usize..3).prop_map(|(len, n)| Op::Binary(noise(3, len), n)),
        proptest::collection::vec(any::<u8>(), 0..126).prop_map(Op::Ping),
        Just(Op::Pong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_frames_are_read_as_the_library_reads_them(
        ops in proptest::collection::vec(op(), 1..8),
        mask in proptest::option::of(any::<u32>()),
        between in any::<bool>(),
        close in proptest::option::of(prop_oneof![Just(1000_u16), Just(1001), Just(1011), 3000_u16..5000]),
        cut in 1_usize..2_000,
    ) {
        let key = mask.map(u32::to_be_bytes);
        let mut bytes = Vec::new();
        for op in ops {
            let (first, data, fragments) = match op {
                Op::Text(text, n) => (0x81, text.into_bytes(), n),
                Op::Binary(data, n) => (0x82, data, n),
                Op::Ping(data) => (0x89, data, 1),
                Op::Pong => (0x8a, Vec::new(), 1),
            };
            for part in message(first, mask, &data, fragments) {
                bytes.extend(part);
                if between {
                    bytes.extend(frame(0x89, key, b"!"));
                }
            }
        }
        if let Some(code) = close {
            bytes.extend(frame(0x88, key, &code.to_be_bytes()));
        }
        let role = if mask.is_some() { Role::Server } else { Role::Client };
        let parts: Vec<Fed<'_>> = bytes.chunks(cut).map(Fed::Data).collect();
        let got = run(&mut Parser::new(None), &parts);
        prop_assert_eq!(comparable(&got), judged(role, &bytes));
        prop_assert!(got.messages.iter().all(Message::is_whole));
    }
}
