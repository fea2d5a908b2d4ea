//! What of the hellos decides how records are opened: randoms, suite, version, extensions.

use crate::suite::Version;

/// The random of a ServerHello that asks for another ClientHello (RFC 8446, 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
    0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
];

const ENCRYPT_THEN_MAC: u16 = 22;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;

/// A client's hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientHello {
    /// Its random.
    pub random: [u8; 32],
    /// It sends data before the server has answered.
    pub offers_early: bool,
}

/// A server's hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    /// Its random.
    pub random: [u8; 32],
    /// The suite that it chose.
    pub suite: u16,
    /// The version that it chose; `None` for one before TLS 1.2.
    pub version: Option<Version>,
    /// It asks for another ClientHello.
    pub is_retry: bool,
    /// Records of CBC suites are encrypted first, and then the tag is made.
    pub encrypt_then_mac: bool,
}

/// Reads in order; `None` behind the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (now, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(now)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Bytes behind their length of one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let n = self.u8()?;
        self.bytes(usize::from(n))
    }

    /// Bytes behind their length of two.
    fn long(&mut self) -> Option<&'a [u8]> {
        let n = self.u16()?;
        self.bytes(usize::from(n))
    }
}

/// Each extension of a list, by its number. What is cut off ends it.
fn extensions(list: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut reader = Reader(list);
    std::iter::from_fn(move || Some((reader.u16()?, reader.long()?)))
}

impl ClientHello {
    /// Its body.
    pub(crate) fn read(body: &[u8]) -> Option<ClientHello> {
        let mut reader = Reader(body);
        reader.u16()?;
        let random = reader.bytes(32)?.try_into().ok()?;
        let _session = reader.short()?;
        let _suites = reader.long()?;
        let _compressions = reader.short()?;
        let list = reader.long().unwrap_or_default();
        Some(ClientHello {
            random,
            offers_early: extensions(list).any(|(kind, _)| kind == EARLY_DATA),
        })
    }
}

impl ServerHello {
    /// Its body.
    pub(crate) fn read(body: &[u8]) -> Option<ServerHello> {
        let mut reader = Reader(body);
        let legacy = reader.u16()?;
        let random = reader.bytes(32)?.try_into().ok()?;
        let _session = reader.short()?;
        let suite = reader.u16()?;
        let _compression = reader.u8()?;
        let list = reader.long().unwrap_or_default();
        let chosen = extensions(list).find(|(kind, _)| *kind == SUPPORTED_VERSIONS);
        let version = match (legacy, chosen) {
            (0x0303, Some((_, [3, 4]))) => Some(Version::Tls13),
            (0x0303, None) => Some(Version::Tls12),
            _ => None,
        };
        Some(ServerHello {
            random,
            suite,
            version,
            is_retry: random == RETRY_RANDOM,
            encrypt_then_mac: extensions(list).any(|(kind, _)| kind == ENCRYPT_THEN_MAC),
        })
    }
}

/// Whether the encrypted extensions say that early data was accepted.
pub(crate) fn accepts_early(encrypted_extensions: &[u8]) -> bool {
    let list = Reader(encrypted_extensions).long().unwrap_or_default();
    extensions(list).any(|(kind, _)| kind == EARLY_DATA)
}
