//! One coding: bytes in, bytes out, with a bound on what comes out.
//!
//! zstd is the C library's. `ruzstd` gives out nothing that its window may still need until the frame ends
//! (`DecodeBuffer::can_drain_to_window_size`, 0.9): a token of a stream would be seen up to 8 MiB late.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
#[cfg(feature = "zstd")]
use zstd::stream::write::Decoder as ZstdDecoder;

/// Bytes of the brotli decoder's output buffer.
const BROTLI_BUFFER: usize = 4_096;

/// Windows of zstd above 8 MiB are refused, as RFC 9659 asks.
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG: u32 = 23;

/// Largest window of gzip and deflate (RFC 1951).
const DEFLATE_WINDOW_BYTES: u64 = 32 * 1024;
/// Largest window of brotli (RFC 7932, section 9.1).
const BROTLI_WINDOW_BYTES: u64 = 16 * 1024 * 1024;
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_BYTES: u64 = 1 << ZSTD_WINDOW_LOG;

/// Bytes of a decoder's own tables and buffers, its window aside. `tests/memory.rs` keeps these true.
const DEFLATE_TABLE_BYTES: u64 = 48 * 1024;
const BROTLI_TABLE_BYTES: u64 = 288 * 1024;
#[cfg(feature = "zstd")]
const ZSTD_TABLE_BYTES: u64 = 384 * 1024;

/// Collects what a decoder writes, and refuses what is past the bound.
#[derive(Default)]
pub(super) struct Room {
    bytes: Vec<u8>,
    left: u64,
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        if len > self.left {
            return Err(io::Error::other("the body expands too much"));
        }
        self.left -= len;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A decoder.
pub(super) enum Codec {
    Gzip(MultiGzDecoder<Room>),
    /// `deflate` before its first two bytes: zlib, as the RFC says, or raw, as some servers send.
    Deflate(Vec<u8>),
    Zlib(ZlibDecoder<Room>),
    Raw(DeflateDecoder<Room>),
    Brotli(Box<DecompressorWriter<Room>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<ZstdDecoder<'static, Room>>),
}

impl Codec {
    /// By its name in `content-encoding`, in lower case; `None` where we cannot decode it.
    pub(super) fn named(name: &str) -> Option<Codec> {
        let room = Room::default();
        Some(match name {
            "gzip" | "x-gzip" => Codec::Gzip(MultiGzDecoder::new(room)),
            "deflate" => Codec::Deflate(Vec::new()),
            "br" => Codec::Brotli(Box::new(DecompressorWriter::new(room, BROTLI_BUFFER))),
            #[cfg(feature = "zstd")]
            "zstd" => {
                let mut decoder = ZstdDecoder::new(room).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).ok()?;
                #[cfg(feature = "zstd")]
                Codec::Zstd(Box::new(decoder))
            }
            _ => return None,
        })
    }

    /// Decodes `bytes` into at most `room`; false where they are damaged or give more.
    pub(super) fn push(&mut self, bytes: &[u8], room: u64) -> (Vec<u8>, bool) {
        if let Codec::Deflate(first) = self {
            first.extend_from_slice(bytes);
            if first.len() < 2 {
                return (Vec::new(), true);
            }
            let first = std::mem::take(first);
            *self = if is_zlib(&first) {
                Codec::Zlib(ZlibDecoder::new(Room::default()))
            } else {
                Codec::Raw(DeflateDecoder::new(Room::default()))
            };
            return self.push(&first, room);
        }
        macro_rules! through {
            ($decoder:expr, $flush:path) => {{
                $decoder.get_mut().left = room;
                let whole = $decoder.write_all(bytes).and_then(|()| $flush($decoder));
                (std::mem::take(&mut $decoder.get_mut().bytes), whole.is_ok())
            }};
        }
        match self {
            Codec::Gzip(decoder) => through!(decoder, Write::flush),
            Codec::Zlib(decoder) => through!(decoder, Write::flush),
            Codec::Raw(decoder) => through!(decoder, Write::flush),
            Codec::Brotli(decoder) => through!(decoder, drain),
            #[cfg(feature = "zstd")]
            Codec::Zstd(decoder) => through!(decoder, Write::flush),
            Codec::Deflate(_) => (Vec::new(), true),
        }
    }
}

impl Codec {
    /// No more comes: whether what came was whole. Of zstd nobody can tell.
    pub(super) fn finish(&mut self) -> bool {
        match self {
            Codec::Gzip(decoder) => decoder.try_finish().is_ok(),
            Codec::Zlib(decoder) => decoder.try_finish().is_ok(),
            Codec::Raw(decoder) => decoder.try_finish().is_ok(),
            Codec::Brotli(decoder) => decoder.close().is_ok(),
            #[cfg(feature = "zstd")]
            Codec::Zstd(_) => true,
            Codec::Deflate(_) => false,
        }
    }
}

impl Codec {
    /// Bytes that it holds after it has given `out_bytes`: of its window only what was written is in memory.
    pub(super) fn held_bytes(&self, out_bytes: u64) -> u64 {
        match self {
            Codec::Deflate(first) => first.capacity() as u64,
            Codec::Gzip(_) | Codec::Zlib(_) | Codec::Raw(_) => {
                DEFLATE_TABLE_BYTES + DEFLATE_WINDOW_BYTES
            }
            Codec::Brotli(_) => BROTLI_TABLE_BYTES + out_bytes.min(BROTLI_WINDOW_BYTES),
            #[cfg(feature = "zstd")]
            Codec::Zstd(_) => ZSTD_TABLE_BYTES + out_bytes.min(ZSTD_WINDOW_BYTES),
        }
    }
}

/// The brotli decoder asks for more input while its window holds more output than its buffer takes:
/// an empty write has it go on.
fn drain(decoder: &mut DecompressorWriter<Room>) -> io::Result<()> {
    loop {
        let before = decoder.get_ref().bytes.len();
        let _taken = decoder.write(&[])?;
        if decoder.get_ref().bytes.len() == before {
            return Ok(());
        }
    }
}

/// RFC 1950, section 2.2: method 8, and the two bytes a multiple of 31.
fn is_zlib(bytes: &[u8]) -> bool {
    match *bytes {
        [cmf, flg, ..] => cmf & 0x0f == 8 && u16::from_be_bytes([cmf, flg]).is_multiple_of(31),
        _ => false,
    }
}
