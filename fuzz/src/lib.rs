//! Fuzz targets of the core, of recordings and of TLS, a mutator, and where the corpus lies.
//!
//! A target takes any bytes and panics when a rule is broken (`cirron_core::testing::fuzz`). Under
//! `cargo test` the corpus is replayed, with some mutations of each input; `cargo xtask fuzz` looks
//! for further inputs with libFuzzer (`main.rs`), guided by what they reach. It needs no nightly and
//! no sanitizer: the core has no unsafe code, so that a panic, a parser that does not end, or memory
//! without a bound is all that can go wrong.

pub mod elf;
pub mod mutate;
pub mod recording;
pub mod tls;

use std::io;
use std::path::{Path, PathBuf};

use cirron_core::testing::fuzz;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the folder of its corpus.
    pub name: &'static str,
    /// Panics when a rule is broken.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "assembler",
        run: fuzz::assembler,
    },
    Target {
        name: "aws_events",
        run: fuzz::aws_events,
    },
    Target {
        name: "body",
        run: fuzz::body,
    },
    Target {
        name: "connection",
        run: fuzz::connection,
    },
    Target {
        name: "decode",
        run: fuzz::decode,
    },
    Target {
        name: "documents",
        run: fuzz::documents,
    },
    Target {
        name: "elf",
        run: elf::elf,
    },
    Target {
        name: "form",
        run: fuzz::form,
    },
    Target {
        name: "grpc",
        run: fuzz::grpc,
    },
    Target {
        name: "protobuf",
        run: fuzz::protobuf,
    },
    Target {
        name: "recording",
        run: recording::recording,
    },
    Target {
        name: "records",
        run: fuzz::records,
    },
    Target {
        name: "request",
        run: fuzz::request,
    },
    Target {
        name: "switched",
        run: fuzz::switched,
    },
    Target {
        name: "tls",
        run: tls::tls,
    },
    Target {
        name: "websocket",
        run: fuzz::websocket,
    },
];

/// Where the inputs of all targets lie.
pub fn corpus_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs of a target, by name.
///
/// # Errors
/// When its folder cannot be read.
pub fn corpus(target: &Target) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(corpus_dir().join(target.name))? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| std::fs::read(&path).map(|bytes| (path, bytes)))
        .collect()
}
