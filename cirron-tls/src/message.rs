//! Handshake messages out of the handshake records of one direction, however they are cut into records.
//!
//! Of most messages only their kind is of interest; the bodies of hellos and of the encrypted extensions are kept.

use crate::limits::MAX_MESSAGE_BYTES;

/// A client's hello.
pub(crate) const CLIENT_HELLO: u8 = 1;
/// A server's hello.
pub(crate) const SERVER_HELLO: u8 = 2;
/// The end of early data.
pub(crate) const END_OF_EARLY_DATA: u8 = 5;
/// What a server of TLS 1.3 says of the client's extensions.
pub(crate) const ENCRYPTED_EXTENSIONS: u8 = 8;
/// A server of TLS 1.2 has said all, and wants the client's keys.
pub(crate) const SERVER_HELLO_DONE: u8 = 14;
/// They are here.
pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;
/// The last message of a handshake, in each direction.
pub(crate) const FINISHED: u8 = 20;
/// What follows is sealed under the next generation's key.
pub(crate) const KEY_UPDATE: u8 = 24;

/// A message that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it is.
    pub kind: u8,
    /// What it says, where that is of interest.
    pub body: Vec<u8>,
}

/// A message that is longer than is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// See the module.
#[derive(Default)]
pub(crate) struct Messages {
    header: [u8; 4],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the body that have not.
    left: usize,
    body: Vec<u8>,
}

impl Messages {
    /// Reads on in `bytes`, up to the end of the next message or to theirs.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Message>, TooLong> {
        while self.have < self.header.len() {
            let Some((first, rest)) = bytes.split_first() else {
                return Ok(None);
            };
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = *first;
            }
            *bytes = rest;
            self.have += 1;
            if self.have == self.header.len() {
                let [_, high, middle, low] = self.header;
                self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
            }
        }
        let kind = self.kind();
        let of_interest = matches!(kind, CLIENT_HELLO | SERVER_HELLO | ENCRYPTED_EXTENSIONS);
        if of_interest && self.body.len() + self.left > MAX_MESSAGE_BYTES {
            return Err(TooLong);
        }
        let (now, rest) = bytes.split_at(self.left.min(bytes.len()));
        if of_interest {
            self.body.extend_from_slice(now);
        }
        self.left -= now.len();
        *bytes = rest;
        if self.left > 0 {
            return Ok(None);
        }
        self.have = 0;
        let body = std::mem::take(&mut self.body);
        Ok(Some(Message { kind, body }))
    }

    /// Forgets what has begun: the next byte begins a message.
    pub(crate) fn reset(&mut self) {
        *self = Messages::default();
    }

    fn kind(&self) -> u8 {
        let [kind, ..] = self.header;
        kind
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let input = [
            1, 0, 0, 3, 7, 8, 9, 11, 0, 0, 2, 0, 0, 20, 0, 0, 0, 24, 0, 0, 1, 1,
        ];
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let mut messages = Messages::default();
                let mut seen = Vec::new();
                for mut part in [&input[..first], &input[first..second], &input[second..]] {
                    while let Some(message) = messages.next(&mut part).unwrap() {
                        seen.push((message.kind, message.body));
                    }
                }
                let expected = [(1, vec![7, 8, 9]), (11, vec![]), (20, vec![]), (24, vec![])];
                assert_eq!(seen, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_hello_that_is_too_long_is_told_and_a_certificate_is_not_kept() {
        let mut messages = Messages::default();
        assert_eq!(messages.next(&mut &[1, 1, 0, 0][..]), Err(TooLong));
        let mut messages = Messages::default();
        assert_eq!(messages.next(&mut &[11, 1, 0, 0, 5, 5][..]), Ok(None));
        assert!(messages.body.is_empty());
    }
}
