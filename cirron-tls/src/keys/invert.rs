//! The nonce of an AES-GCM record, out of its tag.
//!
//! The tag is GHASH of what it covers, XOR the encryption of nonce and a counter of 1. So whoever has the key can
//! decrypt tag XOR GHASH: the last four bytes must be that counter, and the first twelve are the nonce. That says
//! which record it is, at any distance, without a search. What is no record gives four bytes at random.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

const TAG_BYTES: usize = 16;

/// A key, ready for that.
pub(crate) struct Inverter {
    cipher: Cipher,
    hash: GHash,
}

enum Cipher {
    A128(Aes128),
    A256(Aes256),
}

impl Inverter {
    /// Of a key of AES-128 or AES-256.
    pub(crate) fn new(key: &[u8]) -> Option<Inverter> {
        let cipher = match key.len() {
            16 => Cipher::A128(Aes128::new_from_slice(key).ok()?),
            32 => Cipher::A256(Aes256::new_from_slice(key).ok()?),
            _ => return None,
        };
        let mut block = Block::default();
        match &cipher {
            Cipher::A128(cipher) => cipher.encrypt_block(&mut block),
            Cipher::A256(cipher) => cipher.encrypt_block(&mut block),
        }
        let hash = GHash::new_from_slice(&block).ok()?;
        Some(Inverter { cipher, hash })
    }

    /// The nonce that `sealed`, which ends with its tag, was sealed with; `None`: by no nonce with this key.
    pub(crate) fn nonce(&self, covered: &[u8], sealed: &[u8]) -> Option<[u8; 12]> {
        let (body, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
        let mut hash = self.hash.clone();
        hash.update_padded(covered);
        hash.update_padded(body);
        let bits = |bytes: &[u8]| (bytes.len() as u64 * 8).to_be_bytes();
        let mut lens = [0; 16];
        let (of_covered, of_body) = lens.split_at_mut(8);
        of_covered.copy_from_slice(&bits(covered));
        of_body.copy_from_slice(&bits(body));
        hash.update(&[lens.into()]);
        let mut block = hash.finalize();
        for (byte, of_tag) in block.iter_mut().zip(tag) {
            *byte ^= of_tag;
        }
        match &self.cipher {
            Cipher::A128(cipher) => cipher.decrypt_block(&mut block),
            Cipher::A256(cipher) => cipher.decrypt_block(&mut block),
        }
        let (nonce, counter) = block.split_at(12);
        (*counter == [0, 0, 0, 1]).then(|| nonce.try_into().ok())?
    }
}
