//! A secret: in one place of the heap from its making to its wiping, and shown by nothing.

use std::fmt;

use zeroize::Zeroize;

/// The longest: SHA-384's, and a master of TLS 1.2.
const MAX_BYTES: usize = 48;

/// 32 or 48 bytes that are wiped when it is dropped.
pub(crate) struct Secret {
    bytes: Box<[u8; MAX_BYTES]>,
    len: usize,
}

impl Secret {
    /// A copy of `bytes`; `None` where no secret is so long.
    pub(crate) fn new(bytes: &[u8]) -> Option<Secret> {
        if !matches!(bytes.len(), 32 | MAX_BYTES) {
            return None;
        }
        let mut place = Box::new([0; MAX_BYTES]);
        place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Secret {
            bytes: place,
            len: bytes.len(),
        })
    }

    /// A secret of `len` bytes that `fill` writes; `None` where it cannot, or where no secret is so long.
    pub(crate) fn filled(len: usize, fill: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<Secret> {
        let mut secret = Secret {
            bytes: Box::new([0; MAX_BYTES]),
            len,
        };
        fill(secret.bytes.get_mut(..len)?)?;
        Some(secret)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One more of the same.
    pub(crate) fn copy(&self) -> Secret {
        Secret {
            bytes: self.bytes.clone(),
            len: self.len,
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.bytes() == other.bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_secret_is_shown_by_its_length_alone() {
        let secret = Secret::new(&[0xab; 32]).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(32 bytes)");
        assert!(Secret::new(&[1; 31]).is_none());
        assert_eq!(Secret::new(&[1; 48]).unwrap().bytes(), [1; 48]);
    }
}
