//! Content decoding as the bytes stream: gzip, deflate (zlib), br.
//!
//! Other codings, stacked codings and a body with a hole are not decoded: the caller counts their
//! bytes and reads nothing from them.

use std::io::Write;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{MultiGzDecoder, ZlibDecoder};

use crate::limits::{INFLATE_FREE_BYTES, MAX_INFLATE_RATIO};

/// Bytes of the brotli decoder's output buffer.
const BROTLI_BUFFER: usize = 4_096;

enum Codec {
    Identity,
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    /// Unknown coding, damaged stream, hole, or past the bound.
    Stopped,
}

/// Decodes one body.
pub struct Inflate {
    codec: Codec,
    in_bytes: u64,
    out_bytes: u64,
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflate")
            .field("out_bytes", &self.out_bytes)
            .finish_non_exhaustive()
    }
}

impl Inflate {
    /// For the value of `content-encoding`; `None` means identity.
    pub fn new(coding: Option<&str>) -> Inflate {
        let codec = match coding.unwrap_or("identity").to_ascii_lowercase().as_str() {
            "" | "identity" => Codec::Identity,
            "gzip" | "x-gzip" => Codec::Gzip(MultiGzDecoder::new(Vec::new())),
            "deflate" => Codec::Deflate(ZlibDecoder::new(Vec::new())),
            "br" => Codec::Brotli(Box::new(DecompressorWriter::new(Vec::new(), BROTLI_BUFFER))),
            _ => Codec::Stopped,
        };
        Inflate {
            codec,
            in_bytes: 0,
            out_bytes: 0,
        }
    }

    /// Whether bytes are still being decoded.
    pub fn is_decoding(&self) -> bool {
        !matches!(self.codec, Codec::Stopped)
    }

    /// Decodes `bytes`; what can be known by now goes to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
        fn drain(buffer: &mut Vec<u8>, out: &mut dyn FnMut(&[u8])) -> u64 {
            let decoded = buffer.len() as u64;
            if decoded > 0 {
                out(buffer);
                buffer.clear();
            }
            decoded
        }
        self.in_bytes += bytes.len() as u64;
        let (ok, decoded) = match &mut self.codec {
            Codec::Identity => {
                out(bytes);
                return;
            }
            Codec::Stopped => return,
            Codec::Gzip(d) => (
                d.write_all(bytes).and_then(|()| d.flush()),
                drain(d.get_mut(), out),
            ),
            Codec::Deflate(d) => (
                d.write_all(bytes).and_then(|()| d.flush()),
                drain(d.get_mut(), out),
            ),
            Codec::Brotli(d) => (
                d.write_all(bytes).and_then(|()| d.flush()),
                drain(d.get_mut(), out),
            ),
        };
        self.out_bytes += decoded;
        let too_much = self.out_bytes > INFLATE_FREE_BYTES
            && self.out_bytes > self.in_bytes.saturating_mul(MAX_INFLATE_RATIO);
        if ok.is_err() || too_much {
            self.codec = Codec::Stopped;
        }
    }

    /// Bytes were lost: an encoded body cannot be read past them.
    pub fn gap(&mut self) {
        if !matches!(self.codec, Codec::Identity) {
            self.codec = Codec::Stopped;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        e.write_all(text).unwrap();
        e.finish().unwrap()
    }

    fn decode(coding: Option<&str>, pieces: &[&[u8]]) -> Vec<u8> {
        let mut inflate = Inflate::new(coding);
        let mut out = Vec::new();
        for piece in pieces {
            inflate.push(piece, &mut |b| out.extend_from_slice(b));
        }
        out
    }

    #[test]
    fn gzip_cut_anywhere_decodes_the_same() {
        let text = br#"{"usage":{"prompt_tokens":3,"completion_tokens":5}}"#;
        let encoded = gzip(text);
        for cut in 0..=encoded.len() {
            assert_eq!(
                decode(Some("gzip"), &[&encoded[..cut], &encoded[cut..]]),
                text
            );
        }
    }

    #[test]
    fn an_unknown_coding_gives_nothing() {
        assert!(decode(Some("snappy"), &[b"abc"]).is_empty());
    }

    #[test]
    fn a_bomb_is_cut_off() {
        let encoded = gzip(&vec![0; 64 * 1024 * 1024]);
        let mut inflate = Inflate::new(Some("gzip"));
        let mut out = 0;
        for piece in encoded.chunks(1024) {
            inflate.push(piece, &mut |b| out += b.len());
        }
        assert!(!inflate.is_decoding());
        assert!(out < 4 * 1024 * 1024, "{out}");
    }

    #[test]
    fn a_hole_stops_an_encoded_body_and_not_a_plain_one() {
        let mut plain = Inflate::new(None);
        plain.gap();
        assert!(plain.is_decoding());
        let mut encoded = Inflate::new(Some("gzip"));
        encoded.gap();
        assert!(!encoded.is_decoding());
    }
}
