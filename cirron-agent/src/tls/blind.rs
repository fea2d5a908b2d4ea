//! TLS that we cannot read: which library it is, to name it instead of being silent.
//!
//! Told from text that the library brings along even when it is stripped: names of its source
//! files, which it puts in errors, or its file's own name. That it is there does not say that it is
//! used; the connections that nobody reads are counted apart.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use memchr::memmem::Finder;

/// Bytes of a file that are looked through. Past it the file is left: those of a TLS library that
/// is linked into an executable come long before.
const MAX_BYTES: u64 = 192 * 1024 * 1024;
/// Bytes read at once.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Text of a library in whatever file it is linked into.
const TEXTS: [(&[u8], &str); 4] = [
    (b"ssl/ssl_lib.cc", "BoringSSL"),
    (b"ssl/ssl_lib.c\0", "OpenSSL"),
    (b"/rustls-0.", "rustls"),
    (b"rustls/src/", "rustls"),
];

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

/// The library in a file in which no function of the tables was found.
pub fn library(file: &File, name: &Path) -> Option<&'static str> {
    let base = name.file_name().unwrap_or_default().to_string_lossy();
    if let Some((_, library)) = NAMES.iter().find(|(start, _)| base.starts_with(start)) {
        return Some(library);
    }
    in_text(|buffer, at| file.read_at(buffer, at).unwrap_or(0))
}

/// `read` fills a buffer from a position, and gives how much; 0 at the end.
fn in_text(read: impl Fn(&mut [u8], u64) -> usize) -> Option<&'static str> {
    let finders = TEXTS.map(|(text, library)| (Finder::new(text), library));
    let overlap = TEXTS.iter().map(|(text, _)| text.len()).max()?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    while at < MAX_BYTES {
        let n = read(&mut block, at);
        let seen = block.get(..n).unwrap_or_default();
        if let Some((_, library)) = finders.iter().find(|(f, _)| f.find(seen).is_some()) {
            return Some(library);
        }
        if n <= overlap {
            break;
        }
        at += (n - overlap) as u64;
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn of(bytes: &[u8]) -> Option<&'static str> {
        in_text(|buffer, at| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let rest = bytes.get(at..).unwrap_or_default();
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            n
        })
    }

    #[test]
    fn a_library_is_told_wherever_its_text_lies() {
        for at in [0, 5, BLOCK_BYTES - 7, BLOCK_BYTES, 2 * BLOCK_BYTES + 3] {
            for (text, library) in TEXTS {
                let bytes = [&vec![b'x'; at], text, b"yz"].concat();
                assert_eq!(of(&bytes), Some(library), "{at}");
            }
        }
    }

    #[test]
    fn a_shared_library_is_told_by_its_name() {
        let empty = File::open("/dev/null").unwrap();
        for (name, library) in [
            ("/usr/lib/jvm/x/lib/server/libjvm.so", Some("Java (JSSE)")),
            ("/lib/libmbedtls.so.14", Some("Mbed TLS")),
            ("/lib/libnss3.so", Some("NSS")),
            ("/lib/libc.so.6", None),
        ] {
            assert_eq!(super::library(&empty, Path::new(name)), library);
        }
    }

    #[test]
    fn others_are_nothing() {
        assert_eq!(of(b""), None);
        assert_eq!(of(b"a program that says rustls and ssl_lib.c"), None);
    }
}
