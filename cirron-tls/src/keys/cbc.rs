//! Records of TLS 1.2 with cipher block chaining, with the HMAC inside or (RFC 7366) outside.

use std::hint::black_box;

use aes::cipher::{BlockCipherDecrypt, KeyInit};
use aes::{Aes128, Aes256, Block};
use ring::hmac;

use super::covered_12;
use crate::record::Header;
use crate::suite::{Aes, Mac};

const BLOCK_BYTES: usize = 16;

/// The keys of one direction.
pub(super) struct Chained {
    cipher: Decrypt,
    mac: hmac::Key,
    tag_len: usize,
    encrypt_then_mac: bool,
}

enum Decrypt {
    A128(Aes128),
    A256(Aes256),
}

impl Decrypt {
    fn block(&self, block: &mut Block) {
        match self {
            Decrypt::A128(cipher) => cipher.decrypt_block(block),
            Decrypt::A256(cipher) => cipher.decrypt_block(block),
        }
    }
}

impl Chained {
    pub(super) fn new(
        aes: Aes,
        of: Mac,
        key: &[u8],
        mac_key: &[u8],
        encrypt_then_mac: bool,
    ) -> Option<Chained> {
        let cipher = match aes {
            Aes::A128 => Decrypt::A128(Aes128::new_from_slice(key).ok()?),
            Aes::A256 => Decrypt::A256(Aes256::new_from_slice(key).ok()?),
        };
        Some(Chained {
            cipher,
            mac: hmac::Key::new(of.hmac(), mac_key),
            tag_len: of.len(),
            encrypt_then_mac,
        })
    }

    /// Where the plaintext begins, and how long it is.
    pub(super) fn open(
        &self,
        number: u64,
        header: Header,
        payload: &mut [u8],
    ) -> Option<(usize, usize)> {
        let end = if self.encrypt_then_mac {
            let end = payload.len().checked_sub(self.tag_len)?;
            let (sealed, tag) = payload.split_at_checked(end)?;
            self.verify(number, header, sealed, tag)?;
            end
        } else {
            payload.len()
        };
        let sealed = payload.get_mut(..end)?;
        self.decrypt(sealed)?;
        let padding = usize::from(*sealed.last()?);
        let padded = sealed.get(sealed.len().checked_sub(padding + 1)?..)?;
        if padded.iter().any(|byte| usize::from(*byte) != padding) {
            return None;
        }
        let unpadded = end - (padding + 1);
        let len = if self.encrypt_then_mac {
            unpadded.checked_sub(BLOCK_BYTES)?
        } else {
            let len = unpadded.checked_sub(BLOCK_BYTES + self.tag_len)?;
            let (plain, behind) = payload.get(BLOCK_BYTES..)?.split_at_checked(len)?;
            self.verify(number, header, plain, behind.get(..self.tag_len)?)?;
            len
        };
        Some((BLOCK_BYTES, len))
    }

    fn verify(&self, number: u64, header: Header, what: &[u8], tag: &[u8]) -> Option<()> {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(&covered_12(number, header, what.len())?);
        context.update(what);
        (context.sign().as_ref() == tag).then_some(())
    }

    /// Decrypts in place what follows the first block, from the end, since each block needs the one before as it was.
    fn decrypt(&self, sealed: &mut [u8]) -> Option<()> {
        if sealed.len() < 2 * BLOCK_BYTES || !sealed.len().is_multiple_of(BLOCK_BYTES) {
            return None;
        }
        for at in (BLOCK_BYTES..sealed.len()).step_by(BLOCK_BYTES).rev() {
            let (before, behind) = sealed.split_at_mut_checked(at)?;
            let before = before.last_chunk::<BLOCK_BYTES>()?;
            let place = behind.first_chunk_mut::<BLOCK_BYTES>()?;
            let mut block = Block::from(*place);
            self.cipher.block(&mut block);
            for ((to, from), before) in place.iter_mut().zip(&block).zip(before) {
                *to = from ^ before;
            }
        }
        Some(())
    }
}

impl Drop for Chained {
    fn drop(&mut self) {
        // Ring wipes no key, so another is written over it; the cipher wipes itself.
        let algorithm = self.mac.algorithm();
        self.mac = hmac::Key::new(algorithm, &[]);
        black_box(&self.mac);
    }
}
