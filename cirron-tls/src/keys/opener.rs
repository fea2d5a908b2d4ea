//! One key of one algorithm, and the opening of what it sealed.

use std::hint::black_box;

use ::ccm::Ccm;
use ::ccm::aead::array::Array;
use ::ccm::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use ::ccm::consts::{U8, U12, U16};
use aes::{Aes128, Aes256};
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};

use super::MAX_KEY_BYTES;
use super::cbc::Chained;
use crate::record::Header;
use crate::suite::{Aes, Cipher, Mac};

/// See the module.
pub(super) enum Opener {
    Ring(RingKey),
    Ccm128(Box<Ccm<Aes128, U16, U12>>),
    Ccm256(Box<Ccm<Aes256, U16, U12>>),
    Ccm8128(Box<Ccm<Aes128, U8, U12>>),
    Ccm8256(Box<Ccm<Aes256, U8, U12>>),
    Cbc(Box<Chained>),
}

/// A key of ring's. Ring wipes none, so another is written over it when it is dropped.
pub(super) struct RingKey(Box<LessSafeKey>);

impl RingKey {
    fn new(algorithm: &'static ring::aead::Algorithm, key: &[u8]) -> Option<RingKey> {
        let key = UnboundKey::new(algorithm, key).ok()?;
        Some(RingKey(Box::new(LessSafeKey::new(key))))
    }
}

impl Drop for RingKey {
    fn drop(&mut self) {
        let algorithm = self.0.algorithm();
        let zeros = [0; MAX_KEY_BYTES];
        let zeros = zeros.get(..algorithm.key_len()).unwrap_or_default();
        if let Ok(key) = UnboundKey::new(algorithm, zeros) {
            *self.0 = LessSafeKey::new(key);
            black_box(&*self.0);
        }
    }
}

impl Opener {
    /// Of an AEAD.
    pub(super) fn new(cipher: Cipher, key: &[u8]) -> Option<Opener> {
        use ring::aead::{AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305};
        Some(match cipher {
            Cipher::Gcm(Aes::A128) => Opener::Ring(RingKey::new(&AES_128_GCM, key)?),
            Cipher::Gcm(Aes::A256) => Opener::Ring(RingKey::new(&AES_256_GCM, key)?),
            Cipher::ChaCha20 => Opener::Ring(RingKey::new(&CHACHA20_POLY1305, key)?),
            Cipher::Ccm(Aes::A128) => Opener::Ccm128(Box::new(Ccm::new_from_slice(key).ok()?)),
            Cipher::Ccm(Aes::A256) => Opener::Ccm256(Box::new(Ccm::new_from_slice(key).ok()?)),
            Cipher::Ccm8(Aes::A128) => Opener::Ccm8128(Box::new(Ccm::new_from_slice(key).ok()?)),
            Cipher::Ccm8(Aes::A256) => Opener::Ccm8256(Box::new(Ccm::new_from_slice(key).ok()?)),
            Cipher::Cbc(..) => return None,
        })
    }

    /// Of cipher block chaining.
    pub(super) fn cbc(
        aes: Aes,
        of: Mac,
        key: &[u8],
        mac_key: &[u8],
        encrypt_then_mac: bool,
    ) -> Option<Opener> {
        let chained = Chained::new(aes, of, key, mac_key, encrypt_then_mac)?;
        Some(Opener::Cbc(Box::new(chained)))
    }

    /// Opens what an AEAD sealed, in its place; gives the plaintext, which stands at its beginning.
    pub(super) fn open<'a>(
        &self,
        nonce: [u8; 12],
        covered: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        match self {
            Opener::Ring(RingKey(key)) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let plain = key.open_in_place(nonce, Aad::from(covered), sealed).ok()?;
                Some(plain)
            }
            Opener::Ccm128(key) => open_ccm(&**key, nonce, covered, sealed),
            Opener::Ccm256(key) => open_ccm(&**key, nonce, covered, sealed),
            Opener::Ccm8128(key) => open_ccm(&**key, nonce, covered, sealed),
            Opener::Ccm8256(key) => open_ccm(&**key, nonce, covered, sealed),
            Opener::Cbc(_) => None,
        }
    }

    /// Opens a record with cipher block chaining in its place: where its plaintext begins and how long it is. The
    /// outer `None`: the key is an AEAD's.
    pub(super) fn open_cbc(
        &self,
        number: u64,
        header: Header,
        payload: &mut [u8],
    ) -> Option<Option<(usize, usize)>> {
        match self {
            Opener::Cbc(chained) => Some(chained.open(number, header, payload)),
            Opener::Ring(_)
            | Opener::Ccm128(_)
            | Opener::Ccm256(_)
            | Opener::Ccm8128(_)
            | Opener::Ccm8256(_) => None,
        }
    }
}

fn open_ccm<'a, C: AeadInOut<NonceSize = U12>>(
    key: &C,
    nonce: [u8; 12],
    covered: &[u8],
    sealed: &'a mut [u8],
) -> Option<&'a [u8]> {
    let tag_len = Array::<u8, C::TagSize>::default().len();
    let (body, tag) = sealed.split_at_mut_checked(sealed.len().checked_sub(tag_len)?)?;
    let tag = Array::try_from(&*tag).ok()?;
    let nonce = Array::from(nonce);
    key.decrypt_inout_detached(&nonce, covered, InOutBuf::from(&mut *body), &tag)
        .ok()?;
    Some(body)
}
