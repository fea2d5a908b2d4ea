//! A span's id as a number: 16 bytes, whatever the file says.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Contract ids (32 lowercase hexadecimal digits) are their own number; any other text is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u128);

impl Key {
    /// The key of an id.
    pub fn new(id: &str) -> Key {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let number = (id.len() == 32 && id.bytes().all(is_hex))
            .then(|| u128::from_str_radix(id, 16).ok())
            .flatten();
        Key(number.unwrap_or_else(|| {
            let half = |salt: u8| {
                let mut hasher = DefaultHasher::new();
                (salt, id).hash(&mut hasher);
                u128::from(hasher.finish())
            };
            half(0) << 64 | half(1)
        }))
    }

    /// Its bytes, the first digit's first.
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_ids_have_different_keys() {
        let hex = "00000000000000000000000000000001";
        assert_eq!(Key::new(hex), Key(1));
        for other in ["1", "", "+0000000000000000000000000000001", "a", "A"] {
            assert_ne!(Key::new(other), Key::new(hex), "{other}");
        }
        assert_ne!(Key::new("a"), Key::new("A"));
    }
}
