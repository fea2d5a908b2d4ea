//! Cipher suites: what each number means.

use ring::{hkdf, hmac};

/// A version of TLS that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// AES in Galois/counter mode.
    Gcm(Aes),
    /// ChaCha20-Poly1305.
    ChaCha20,
    /// AES in counter mode with CBC-MAC.
    Ccm(Aes),
    /// The same with a tag of 8 bytes.
    Ccm8(Aes),
    /// AES in cipher block chaining, with an HMAC (TLS 1.2).
    Cbc(Aes, Mac),
}

/// A length of AES's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aes {
    /// 128 bits.
    A128,
    /// 256 bits.
    A256,
}

impl Aes {
    /// Bytes of its key.
    pub(crate) const fn key_len(self) -> usize {
        match self {
            Aes::A128 => 16,
            Aes::A256 => 32,
        }
    }
}

/// The HMAC of a suite with cipher block chaining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mac {
    /// Of SHA-1.
    Sha1,
    /// Of SHA-256.
    Sha256,
    /// Of SHA-384.
    Sha384,
}

impl Mac {
    /// Bytes of its key and of its tag.
    pub(crate) const fn len(self) -> usize {
        match self {
            Mac::Sha1 => 20,
            Mac::Sha256 => 32,
            Mac::Sha384 => 48,
        }
    }

    /// Ring's algorithm for it.
    pub(crate) fn hmac(self) -> hmac::Algorithm {
        match self {
            Mac::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Mac::Sha256 => hmac::HMAC_SHA256,
            Mac::Sha384 => hmac::HMAC_SHA384,
        }
    }
}

impl Cipher {
    /// Bytes of its key.
    pub(crate) fn key_len(self) -> usize {
        match self {
            Cipher::Gcm(aes) | Cipher::Ccm(aes) | Cipher::Ccm8(aes) | Cipher::Cbc(aes, _) => {
                aes.key_len()
            }
            Cipher::ChaCha20 => 32,
        }
    }

    /// Bytes of the key of its HMAC.
    pub(crate) fn mac_len(self) -> usize {
        match self {
            Cipher::Cbc(_, mac) => mac.len(),
            Cipher::Gcm(_) | Cipher::Ccm(_) | Cipher::Ccm8(_) | Cipher::ChaCha20 => 0,
        }
    }

    /// Bytes of the key block of TLS 1.2 that are the fixed part of its nonce.
    pub(crate) fn fixed_iv_len(self) -> usize {
        match self {
            Cipher::Gcm(_) | Cipher::Ccm(_) | Cipher::Ccm8(_) => 4,
            Cipher::ChaCha20 => 12,
            Cipher::Cbc(..) => 0,
        }
    }

    /// Bytes of a nonce that stand in a record of TLS 1.2.
    pub(crate) fn explicit_len(self) -> usize {
        match self {
            Cipher::Gcm(_) | Cipher::Ccm(_) | Cipher::Ccm8(_) => 8,
            Cipher::ChaCha20 => 0,
            Cipher::Cbc(..) => 16,
        }
    }

    /// Bytes of its tag; an HMAC is none.
    pub(crate) fn tag_len(self) -> usize {
        match self {
            Cipher::Gcm(_) | Cipher::Ccm(_) | Cipher::ChaCha20 => 16,
            Cipher::Ccm8(_) => 8,
            Cipher::Cbc(..) => 0,
        }
    }
}

/// The hash of a suite's key schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Bytes that it gives, and that a secret of TLS 1.3 has.
    pub(crate) fn len(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
        }
    }

    /// For HKDF.
    pub(crate) fn hkdf(self) -> hkdf::Algorithm {
        match self {
            Hash::Sha256 => hkdf::HKDF_SHA256,
            Hash::Sha384 => hkdf::HKDF_SHA384,
        }
    }

    /// For the PRF of TLS 1.2.
    pub(crate) fn hmac(self) -> hmac::Algorithm {
        match self {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
        }
    }
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// Its version.
    pub version: Version,
    /// How records are protected.
    pub cipher: Cipher,
    /// The hash of its key schedule.
    pub hash: Hash,
}

/// Numbers of those of TLS 1.3.
const NUMBERS_13: [u16; 5] = [0x1301, 0x1302, 0x1303, 0x1304, 0x1305];

impl Suite {
    /// By its number (IANA's registry of TLS cipher suites). `None`: one that is not read, as RC4, 3DES, Camellia,
    /// ARIA and those without encryption.
    pub(crate) fn by_id(id: u16) -> Option<Suite> {
        use Aes::{A128, A256};
        use Cipher::{Cbc, Ccm, Ccm8, ChaCha20, Gcm};
        let (cipher, hash) = match id {
            0x1301 => (Gcm(A128), Hash::Sha256),
            0x1302 => (Gcm(A256), Hash::Sha384),
            0x1303 => (ChaCha20, Hash::Sha256),
            0x1304 => (Ccm(A128), Hash::Sha256),
            0x1305 => (Ccm8(A128), Hash::Sha256),
            // In rows by how keys are exchanged and who signs, of which records know nothing.
            0x009C | 0x009E | 0x00A0 | 0x00A2 | 0x00A4 | 0x00A6 | 0x00A8 | 0x00AA | 0x00AC
            | 0xC02B | 0xC02D | 0xC02F | 0xC031 | 0xD001 => (Gcm(A128), Hash::Sha256),
            0x009D | 0x009F | 0x00A1 | 0x00A3 | 0x00A5 | 0x00A7 | 0x00A9 | 0x00AB | 0x00AD
            | 0xC02C | 0xC02E | 0xC030 | 0xC032 | 0xD002 => (Gcm(A256), Hash::Sha384),
            0xCCA8..=0xCCAE => (ChaCha20, Hash::Sha256),
            0xC09C | 0xC09E | 0xC0A4 | 0xC0A6 | 0xC0AC => (Ccm(A128), Hash::Sha256),
            0xC09D | 0xC09F | 0xC0A5 | 0xC0A7 | 0xC0AD => (Ccm(A256), Hash::Sha256),
            0xC0A0 | 0xC0A2 | 0xC0A8 | 0xC0AA | 0xC0AE => (Ccm8(A128), Hash::Sha256),
            0xC0A1 | 0xC0A3 | 0xC0A9 | 0xC0AB | 0xC0AF => (Ccm8(A256), Hash::Sha256),
            0x002F..=0x0034
            | 0x008C
            | 0x0090
            | 0x0094
            | 0xC004
            | 0xC009
            | 0xC00E
            | 0xC013
            | 0xC018
            | 0xC01D
            | 0xC01E
            | 0xC01F
            | 0xC035 => (Cbc(A128, Mac::Sha1), Hash::Sha256),
            0x0035..=0x003A
            | 0x008D
            | 0x0091
            | 0x0095
            | 0xC005
            | 0xC00A
            | 0xC00F
            | 0xC014
            | 0xC019
            | 0xC020
            | 0xC021
            | 0xC022
            | 0xC036 => (Cbc(A256, Mac::Sha1), Hash::Sha256),
            0x003C | 0x003E | 0x003F | 0x0040 | 0x0067 | 0x006C | 0x00AE | 0x00B2 | 0x00B6
            | 0xC023 | 0xC025 | 0xC027 | 0xC029 | 0xC037 => (Cbc(A128, Mac::Sha256), Hash::Sha256),
            0x003D | 0x0068..=0x006B | 0x006D => (Cbc(A256, Mac::Sha256), Hash::Sha256),
            0x00AF | 0x00B3 | 0x00B7 | 0xC024 | 0xC026 | 0xC028 | 0xC02A | 0xC038 => {
                (Cbc(A256, Mac::Sha384), Hash::Sha384)
            }
            _ => return None,
        };
        let version = if NUMBERS_13.contains(&id) {
            Version::Tls13
        } else {
            Version::Tls12
        };
        Some(Suite {
            version,
            cipher,
            hash,
        })
    }

    /// Those of TLS 1.3 whose secrets have this length: for where the server's hello was lost.
    pub(crate) fn of_secret_len(len: usize) -> impl Iterator<Item = Suite> {
        (NUMBERS_13.iter())
            .filter_map(|id| Suite::by_id(*id))
            .filter(move |suite| suite.hash.len() == len)
    }

    /// Bytes of a record beside its plaintext: `None` where they depend on it.
    pub(crate) fn overhead(self) -> Option<u64> {
        let header = crate::record::HEADER_BYTES as u64;
        let tag = self.cipher.tag_len() as u64;
        match (self.version, self.cipher) {
            (_, Cipher::Cbc(..)) => None,
            // The kind of what is inside.
            (Version::Tls13, _) => Some(header + 1 + tag),
            (Version::Tls12, cipher) => Some(header + cipher.explicit_len() as u64 + tag),
        }
    }

    /// Bytes of the shortest record.
    pub(crate) fn shortest(self) -> u64 {
        // Of cipher block chaining: its nonce, and a block or more with the tag.
        self.overhead().unwrap_or(5 + 16 + 32)
    }
}
