//! The header of a TLS record.

use crate::limits::MAX_PAYLOAD_BYTES;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 5;

/// Change cipher spec.
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
/// Alert.
pub(crate) const ALERT: u8 = 21;
/// Handshake.
pub(crate) const HANDSHAKE: u8 = 22;
/// Application data; in TLS 1.3 whatever is sealed.
pub(crate) const APPLICATION_DATA: u8 = 23;

/// A header that can be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// As it stands in the stream: sealing covers it.
    pub bytes: [u8; HEADER_BYTES],
}

impl Header {
    /// The header at the beginning of `bytes`. `None`: none can begin so.
    pub(crate) fn read(bytes: [u8; HEADER_BYTES]) -> Option<Header> {
        let [kind, major, minor, _, _] = bytes;
        let header = Header { bytes };
        let valid = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind)
            && major == 3
            && minor <= 4
            && header.payload_len() <= MAX_PAYLOAD_BYTES;
        valid.then_some(header)
    }

    /// The same at the beginning of a slice.
    pub(crate) fn read_any(bytes: &[u8]) -> Option<Header> {
        Header::read(*bytes.first_chunk()?)
    }

    /// What it says that follows.
    pub(crate) fn kind(self) -> u8 {
        let [kind, ..] = self.bytes;
        kind
    }

    /// Bytes that follow.
    pub(crate) fn payload_len(self) -> usize {
        let [_, _, _, high, low] = self.bytes;
        usize::from(u16::from_be_bytes([high, low]))
    }
}

/// Whether a connection that begins with these bytes is TLS: a record with a hello. `None`: too few bytes to say.
#[must_use]
pub fn begins_tls(bytes: &[u8]) -> Option<bool> {
    let is = |at: usize, of: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| of(*byte));
    let can_be = is(0, |kind| kind == HANDSHAKE)
        && is(1, |major| major == 3)
        && is(2, |minor| minor <= 4)
        && is(5, |message| matches!(message, 1 | 2));
    if can_be && bytes.len() <= HEADER_BYTES {
        return None;
    }
    Some(can_be)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_told_by_six_bytes_and_others_by_their_first_that_differs() {
        let hello = [22, 3, 1, 2, 0, 1];
        for few in 0..hello.len() {
            assert_eq!(begins_tls(&hello[..few]), None);
        }
        assert_eq!(begins_tls(&hello), Some(true));
        assert_eq!(begins_tls(b"G"), Some(false));
        assert_eq!(begins_tls(&[23, 3, 3]), Some(false));
    }

    #[test]
    fn a_header_that_says_too_much_is_none() {
        assert!(Header::read([23, 3, 3, 0x48, 0x00]).is_some());
        assert!(Header::read([23, 3, 3, 0x48, 0x01]).is_none());
        assert!(Header::read([24, 3, 3, 0, 1]).is_none());
        assert!(Header::read([23, 2, 0, 0, 1]).is_none());
    }
}
