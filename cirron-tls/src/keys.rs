//! Keys of one direction and generation, and the opening of records with them.

use std::hint::black_box;

use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::kdf::{expand_label, next_generation};
use crate::record::{APPLICATION_DATA, Header};
use crate::secret::Secret;
use crate::suite::Suite;

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 32;

/// A key of ring's. Ring wipes none, so another is written over it when it is dropped.
struct Key(Box<LessSafeKey>);

impl Key {
    fn new(suite: Suite, key: &[u8]) -> Option<Key> {
        let key = UnboundKey::new(suite.cipher.aead(), key).ok()?;
        Some(Key(Box::new(LessSafeKey::new(key))))
    }
}

impl Drop for Key {
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

/// What a record says, and where in its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    /// The kind of record that it is inside.
    pub kind: u8,
    /// Where its plaintext begins.
    pub start: usize,
    /// And how long it is.
    pub len: usize,
}

impl Plain {
    /// Its bytes, in the payload that was opened.
    pub(crate) fn of(self, payload: &[u8]) -> &[u8] {
        payload
            .get(self.start..self.start + self.len)
            .unwrap_or_default()
    }
}

/// Keys of one direction and generation.
pub(crate) struct Keys {
    suite: Suite,
    secret: Secret,
    key: Key,
    iv: [u8; 12],
    /// Number of the next record.
    number: u64,
}

impl Keys {
    /// Those that a secret of TLS 1.3 means.
    pub(crate) fn of_13(suite: Suite, secret: &Secret) -> Option<Keys> {
        if secret.len() != suite.hash.len() {
            return None;
        }
        let mut key = [0; MAX_KEY_BYTES];
        let place = key.get_mut(..suite.cipher.key_len())?;
        expand_label(suite.hash, secret, "key", place)?;
        let made = Key::new(suite, place);
        key.zeroize();
        let mut iv = [0; 12];
        expand_label(suite.hash, secret, "iv", &mut iv)?;
        Some(Keys {
            suite,
            secret: secret.copy(),
            key: made?,
            iv,
            number: 0,
        })
    }

    /// Those behind a key update.
    pub(crate) fn next(&self) -> Option<Keys> {
        let secret = next_generation(self.suite.hash, &self.secret)?;
        Keys::of_13(self.suite, &secret)
    }

    /// Opens the next record in its place. `None`: these keys do not open it, and its bytes are gone.
    pub(crate) fn open(&mut self, header: Header, payload: &mut [u8]) -> Option<Plain> {
        let plain = self.open_as(self.number, header, payload)?;
        self.number += 1;
        Some(plain)
    }

    /// The same for the record of a number, which need not be the next.
    pub(crate) fn open_as(&self, number: u64, header: Header, payload: &mut [u8]) -> Option<Plain> {
        if header.kind() != APPLICATION_DATA {
            return None;
        }
        let nonce = Nonce::assume_unique_for_key(self.nonce(number));
        let aad = Aad::from(header.bytes);
        let inner = self.key.0.open_in_place(nonce, aad, payload).ok()?;
        // The last byte that is no padding says what it is.
        let last = inner.iter().rposition(|byte| *byte != 0)?;
        Some(Plain {
            kind: *inner.get(last)?,
            start: 0,
            len: last,
        })
    }

    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
            *byte ^= of_number;
        }
        nonce
    }
}
