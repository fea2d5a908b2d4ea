//! Cipher suites: what each number means.

use ring::{aead, hkdf};

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
    /// AES-128-GCM.
    Aes128Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20,
}

impl Cipher {
    /// Ring's algorithm for it.
    pub(crate) fn aead(self) -> &'static aead::Algorithm {
        match self {
            Cipher::Aes128Gcm => &aead::AES_128_GCM,
            Cipher::Aes256Gcm => &aead::AES_256_GCM,
            Cipher::ChaCha20 => &aead::CHACHA20_POLY1305,
        }
    }

    /// Bytes of its key.
    pub(crate) fn key_len(self) -> usize {
        match self {
            Cipher::Aes128Gcm => 16,
            Cipher::Aes256Gcm | Cipher::ChaCha20 => 32,
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
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// Its number.
    pub id: u16,
    /// Its version.
    pub version: Version,
    /// How records are protected.
    pub cipher: Cipher,
    /// The hash of its key schedule.
    pub hash: Hash,
}

/// Those of TLS 1.3 that are read.
const SUITES_13: [Suite; 3] = [
    Suite::of_13(0x1301, Cipher::Aes128Gcm, Hash::Sha256),
    Suite::of_13(0x1302, Cipher::Aes256Gcm, Hash::Sha384),
    Suite::of_13(0x1303, Cipher::ChaCha20, Hash::Sha256),
];

impl Suite {
    const fn of_13(id: u16, cipher: Cipher, hash: Hash) -> Suite {
        Suite {
            id,
            version: Version::Tls13,
            cipher,
            hash,
        }
    }

    /// A suite of TLS 1.3 by its number.
    pub(crate) fn by_id_13(id: u16) -> Option<Suite> {
        SUITES_13.iter().find(|suite| suite.id == id).copied()
    }
}
