#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;

use super::Inflate;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

const TEXT: &[u8] = br#"{"usage":{"prompt_tokens":3,"completion_tokens":5}}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    e.write_all(text).unwrap();
    e.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    e.write_all(text).unwrap();
    e.finish().unwrap()
}

fn raw(text: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    e.write_all(text).unwrap();
    e.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 3).unwrap()
}

/// `TEXT` by Python's `brotli` 1.2.1: the library here only decodes.
const BROTLI: &[u8] = &[
    0x1b, 0x32, 0x00, 0xf8, 0x8d, 0xd4, 0x62, 0xcd, 0x19, 0xee, 0x04, 0x72, 0xb2, 0xd4, 0x9f, 0x35,
    0xd3, 0xb2, 0x90, 0x8c, 0xa1, 0x99, 0xd0, 0x81, 0x89, 0x1c, 0x38, 0x36, 0xcf, 0x02, 0xa1, 0x83,
    0xbf, 0x4b, 0x98, 0x04, 0x97, 0x62, 0x78, 0xf8, 0x71, 0x54, 0x67, 0xd4, 0x7a, 0x30, 0x06, 0x15,
    0x3e, 0xc8, 0xfe, 0x01,
];

/// An event of 10,000 letters, flushed and not ended, by the same.
const BROTLI_EVENT: &[u8] = &[
    0x8b, 0x8b, 0x13, 0xf8, 0xa5, 0x15, 0x40, 0x74, 0xc2, 0xa4, 0x20, 0x92, 0x7c, 0x56, 0x08, 0x58,
    0xe0, 0xc9, 0x1e, 0x00, 0xb9, 0xc0, 0x00,
];

fn decode(codings: &str, parts: &[Fed<'_>]) -> (Vec<u8>, bool) {
    let mut inflate = Inflate::new(Some(codings));
    let mut out = Vec::new();
    for part in parts {
        match part {
            Fed::Data(bytes) => inflate.push(bytes, &mut |b| out.extend_from_slice(b)),
            Fed::Gap(_) => inflate.gap(),
        }
    }
    (out, inflate.is_decoding())
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(TEXT)),
        ("X-GZip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", raw(TEXT)),
        ("br", BROTLI.to_vec()),
        ("zstd", zstd(TEXT)),
        ("deflate, gzip", gzip(&zlib(TEXT))),
        ("gzip , identity, zstd", zstd(&gzip(TEXT))),
        ("identity", TEXT.to_vec()),
    ]
}

#[test]
fn every_coding_cut_anywhere_decodes_the_same() {
    for (codings, encoded) in cases() {
        let (text, decoding) = assert_split_invariant(&encoded, |parts| decode(codings, parts));
        assert_eq!(text, TEXT, "{codings}");
        assert!(decoding, "{codings}");
    }
}

#[test]
fn what_comes_before_a_hole_is_true_and_nothing_comes_after() {
    for (codings, encoded) in cases() {
        if codings == "identity" {
            continue;
        }
        assert_gap_safe(
            &encoded,
            |parts| decode(codings, parts),
            |(text, decoding), hole| {
                assert!(TEXT.starts_with(text), "{codings} {hole:?}");
                assert!(!decoding, "{codings} {hole:?}");
            },
        );
    }
    assert!(decode("identity", &[Fed::Gap(3)]).1);
}

#[test]
fn what_a_server_flushed_is_known_at_once() {
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    zstd.write_all(b"data: a\n\n").unwrap();
    zstd.flush().unwrap();
    assert_eq!(
        decode("zstd", &[Fed::Data(zstd.get_ref())]).0,
        b"data: a\n\n"
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"data: a\n\n").unwrap();
    gzip.flush().unwrap();
    assert_eq!(
        decode("gzip", &[Fed::Data(gzip.get_ref())]).0,
        b"data: a\n\n"
    );
    let event = format!("data: {}\n\n", "a".repeat(10_000));
    assert!(decode("br", &[Fed::Data(BROTLI_EVENT)]).0 == event.as_bytes());
}

#[test]
fn unknown_and_too_many_codings_give_nothing_and_say_so() {
    for codings in ["snappy", "gzip, snappy", "gzip, gzip, gzip, gzip, gzip"] {
        assert_eq!(decode(codings, &[Fed::Data(b"abc")]), (Vec::new(), false));
    }
}

#[test]
fn damaged_bytes_stop_the_decoding() {
    for codings in ["gzip", "br", "zstd", "deflate"] {
        let (_, decoding) = decode(codings, &[Fed::Data(&[0xff; 100])]);
        assert!(!decoding, "{codings}");
    }
}

#[test]
fn a_bomb_is_cut_off_however_it_comes() {
    let zeros = vec![0; 64 * 1024 * 1024];
    for (codings, encoded) in [
        ("gzip", gzip(&zeros)),
        ("zstd", zstd(&zeros)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
    ] {
        for size in [1024, encoded.len()] {
            let parts: Vec<Fed<'_>> = encoded.chunks(size).map(Fed::Data).collect();
            let (out, decoding) = decode(codings, &parts);
            assert!(!decoding, "{codings}");
            assert!(out.len() <= 4 * 1024 * 1024, "{codings}: {}", out.len());
        }
    }
}
