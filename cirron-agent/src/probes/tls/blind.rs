//! TLS that we cannot read: which library it is, to name it instead of being silent.
//!
//! Told from text that the library brings along even when it is stripped: names of its source
//! files, which it puts in errors, or its file's own name. That it is there does not say that it is
//! used: it is looked for where a process has a connection that nobody reads.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use memchr::memmem::Finder;

use crate::probes::elf::Elf;
use crate::probes::source::{ReadAt, Source};

/// Text of a library in whatever file it is linked into.
const TEXTS: [(&[u8], &str); 4] = [
    (b"ssl/ssl_lib.cc", "BoringSSL"),
    (b"ssl/ssl_lib.c\0", "OpenSSL"),
    (b"/rustls-0.", "rustls"),
    (b"rustls/src/", "rustls"),
];
/// Bytes of the longest of them, and more.
const MAX_TEXT_BYTES: usize = 16;

/// Names of shared libraries.
const NAMES: [(&str, &str); 6] = [
    ("libjvm.so", "Java (JSSE)"),
    ("libmbedtls.so", "Mbed TLS"),
    ("libwolfssl.so", "wolfSSL"),
    ("libnss3.so", "NSS"),
    ("libs2n.so", "s2n-tls"),
    ("libbotan", "Botan"),
];

/// A library whose functions are known and whose reads or writes end where we cannot follow: where they
/// return cannot be told from their code.
pub const UNFOLLOWED: &str = "a TLS library of an unknown build";

/// A library that is known, past the number of files that are watched.
pub const TOO_MANY: &str = "one TLS library too many";

/// The library in a file in which no function of the tables was found.
pub fn library(file: &dyn ReadAt, name: &Path) -> Option<&'static str> {
    let base = name.file_name().unwrap_or_default().to_string_lossy();
    if let Some((_, library)) = NAMES.iter().find(|(start, _)| base.starts_with(start)) {
        return Some(library);
    }
    let source = Source::new(file);
    let elf = Elf::read(&source)?;
    let mut parts = elf.searched_parts().into_iter();
    parts.find_map(|part| in_text(&source, part))
}

fn in_text(source: &Source<'_>, part: Range<u64>) -> Option<&'static str> {
    let finders = TEXTS.map(|(text, library)| (Finder::new(text), library));
    source.blocks(part, MAX_TEXT_BYTES, |_, block| {
        let found = finders.iter().find(|(f, _)| f.find(block).is_some());
        match found {
            Some((_, library)) => ControlFlow::Break(*library),
            None => ControlFlow::Continue(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::source::BLOCK_BYTES;

    fn library_in(bytes: &[u8]) -> Option<&'static str> {
        in_text(&Source::new(&bytes), 0..u64::MAX)
    }

    #[test]
    fn a_library_is_told_wherever_its_text_lies() {
        for at in [0, 5, BLOCK_BYTES - 7, BLOCK_BYTES, 2 * BLOCK_BYTES + 3] {
            for (text, library) in TEXTS {
                assert!(text.len() <= MAX_TEXT_BYTES);
                let bytes = [&vec![b'x'; at], text, b"yz"].concat();
                assert_eq!(library_in(&bytes), Some(library), "{at}");
            }
        }
    }

    #[test]
    fn a_shared_library_is_told_by_its_name() {
        for (name, library) in [
            ("/usr/lib/jvm/x/lib/server/libjvm.so", Some("Java (JSSE)")),
            ("/lib/libmbedtls.so.14", Some("Mbed TLS")),
            ("/lib/libnss3.so", Some("NSS")),
            ("/lib/libc.so.6", None),
        ] {
            assert_eq!(super::library(&&b""[..], Path::new(name)), library);
        }
    }

    #[test]
    fn others_are_nothing() {
        assert_eq!(library_in(b""), None);
        assert_eq!(
            library_in(b"a program that says rustls and ssl_lib.c"),
            None
        );
    }
}
