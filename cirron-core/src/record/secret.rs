//! The view of a secret's record. Its layout is `cirron_common::secret`'s. What it shows of itself is its name and length.

use std::fmt;
use std::mem::offset_of;

use cirron_common::secret::{self as abi, MAX_NAME_BYTES, MAX_SECRET_BYTES, SECRET_LEN};

use super::{DecodeError, Fixed, fixed};

/// A secret of a TLS connection, as its library announced it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a> {
    /// Address of the connection's object.
    pub object: u64,
    /// Its name, as in a key log.
    pub name: &'a [u8],
    /// The secret.
    pub bytes: &'a [u8],
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("object", &self.object)
            .field("name", &self.name.escape_ascii().to_string())
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Secret<'a> {
    pub(super) fn decode(payload: &'a [u8]) -> Result<Secret<'a>, DecodeError> {
        let (Fixed(secret), _) = fixed(payload, SECRET_LEN)?;
        let part = |at: usize, len: usize| secret.get(at..at + len).unwrap_or_default();
        let number = |at| Fixed(secret).u64(at);
        let name = part(offset_of!(abi::Secret, name), MAX_NAME_BYTES);
        let len = usize::try_from(number(offset_of!(abi::Secret, len))).unwrap_or(usize::MAX);
        Ok(Secret {
            object: number(offset_of!(abi::Secret, object)),
            name: name.split(|byte| *byte == 0).next().unwrap_or_default(),
            bytes: part(offset_of!(abi::Secret, bytes), len.min(MAX_SECRET_BYTES)),
        })
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SECRET_LEN);
        out.extend(self.object.to_ne_bytes());
        out.extend((self.bytes.len() as u64).to_ne_bytes());
        for (bytes, room) in [(self.name, MAX_NAME_BYTES), (self.bytes, MAX_SECRET_BYTES)] {
            let end = out.len() + room;
            out.extend(bytes.iter().take(room));
            out.resize(end, 0);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;
    use crate::record::{Body, Head, Record, encode};

    #[test]
    fn a_secret_is_read_as_it_was_written_and_not_shown() {
        let secret = Secret {
            object: 7,
            name: b"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            bytes: &[0xab; 48],
        };
        let record = Record {
            head: Head::default(),
            body: Body::Secret(secret),
        };
        let bytes = encode(&record);
        assert_eq!(Record::decode(&bytes), Ok(record));
        let shown = format!("{record:?}");
        assert!(shown.contains("CLIENT_HANDSHAKE_TRAFFIC_SECRET"));
        assert!(!shown.contains("171"), "{shown}");
        for cut in 0..bytes.len() {
            assert!(Record::decode(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
