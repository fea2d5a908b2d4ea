//! Fuzz entry points of gRPC's messages and of protocol buffers. Inputs are those of
//! [`super::readers`]; the first byte of a gRPC body's rest says how its messages are compressed.

use super::readers::ways;
use crate::body::grpc::{GrpcMessages, Part};
use crate::body::protobuf::{ProtobufSink, Scanner, Want};
use crate::limits::{MAX_PROTOBUF_DEPTH, MAX_PROTOBUF_TEXT_BYTES};
use crate::llm::RPCS;
use crate::testing::Fed;

const ENCODINGS: [&str; 4] = ["", "identity", "gzip", "deflate"];

#[derive(Debug, Default, PartialEq)]
struct Messages {
    /// What was read of each, its length on the wire, and whether that is all of it.
    ended: Vec<(Option<Vec<u8>>, u64, bool)>,
    open: Vec<u8>,
    holed: bool,
    lost: bool,
}

/// Messages of a gRPC body. A cut must not matter, what is whole has no hole, and what is lost stays
/// lost.
///
/// # Panics
/// When a rule is broken.
pub fn grpc(input: &[u8]) {
    let [cut, hole, encoding, rest @ ..] = input else {
        return;
    };
    let input = [&[*cut, *hole], rest].concat();
    let Some(ways) = ways(&input) else { return };
    let encoding = ENCODINGS[usize::from(*encoding) % ENCODINGS.len()];
    let read = |parts: &[Fed<'_>]| {
        let (mut parser, mut got) = (GrpcMessages::reading(encoding), Messages::default());
        let mut take = |part: Part<'_>| {
            assert!(!got.lost, "{part:?} behind what is lost");
            match part {
                Part::Data(bytes) => got.open.extend_from_slice(bytes),
                Part::Hole => got.holed = true,
                Part::End { wire_bytes, read } => {
                    let holed = std::mem::take(&mut got.holed);
                    assert!(!(read && holed), "whole, with a hole");
                    // How far a damaged one can be decompressed depends on the cut.
                    let data = Some(std::mem::take(&mut got.open)).filter(|_| read);
                    got.ended.push((data, wire_bytes, read));
                }
                Part::Lost => got.lost = true,
            }
        };
        for part in parts {
            match part {
                Fed::Data(bytes) => parser.push(bytes, &mut take),
                Fed::Gap(len) => parser.gap(*len, &mut take),
            }
        }
        parser.finish(&mut take);
        assert_eq!(parser.is_lost(), got.lost);
        // What is lost may have been read further, where it was cut.
        if got.lost {
            got.open.clear();
        }
        got
    };
    assert_eq!(read(&ways.whole), read(&ways.cut));
}

#[derive(Debug, Default, PartialEq)]
struct Fields {
    texts: Vec<(Vec<u32>, Vec<u8>, bool)>,
    numbers: Vec<(Vec<u32>, u64)>,
}

impl ProtobufSink for Fields {
    fn field(&mut self, path: &[u32]) -> Want {
        assert!(
            !path.is_empty() && path.len() <= MAX_PROTOBUF_DEPTH,
            "{path:?}"
        );
        match path.last().map(|field| field % 3) {
            Some(0) => Want::Skip,
            Some(1) => Want::Text,
            Some(_) | None => Want::Into,
        }
    }

    fn text(&mut self, path: &[u32], text: &[u8], whole: bool) {
        assert!(text.len() <= MAX_PROTOBUF_TEXT_BYTES);
        self.texts.push((path.to_vec(), text.to_vec(), whole));
    }

    fn number(&mut self, path: &[u32], value: u64) {
        self.numbers.push((path.to_vec(), value));
    }
}

/// One message of protocol buffers, for a sink that walks where it can, and for the readers of known
/// services. A cut must not matter.
///
/// # Panics
/// When a rule is broken.
pub fn protobuf(input: &[u8]) {
    let Some(ways) = ways(input) else { return };
    let read = |parts: &[Fed<'_>]| {
        let (mut scanner, mut fields) = (Scanner::default(), Fields::default());
        for part in parts {
            match part {
                Fed::Data(bytes) => scanner.push(bytes, &mut fields),
                Fed::Gap(_) => scanner.gap(),
            }
        }
        let whole = scanner.finish();
        assert!(!(whole && ways.holed), "whole, with a hole");
        (fields, whole)
    };
    assert_eq!(read(&ways.whole), read(&ways.cut));
    for rpc in RPCS {
        let read = |parts: &[Fed<'_>]| {
            let mut request = (rpc.dialect.request)();
            let mut response = (rpc.dialect.response)();
            for part in parts {
                match part {
                    Fed::Data(bytes) => {
                        request.push(bytes);
                        response.push(bytes);
                    }
                    Fed::Gap(_) => {
                        request.gap();
                        response.gap();
                    }
                }
            }
            let content = response.finish("");
            (request.finish(), content, response.facts().clone())
        };
        assert_eq!(read(&ways.whole), read(&ways.cut));
    }
}
