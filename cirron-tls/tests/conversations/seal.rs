//! A conversation of TLS 1.3 of our own making, for what no library here does on demand: padding, key updates in a
//! hole, holes of any size.

use cirron_tls::{Dir, Label};
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{aead, hkdf};

/// A suite with AES-128-GCM, and one with ChaCha20-Poly1305; both have secrets of 32 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Suite {
    Gcm,
    ChaCha20,
}

/// What is inside of a record.
pub(crate) const DATA: u8 = 23;
pub(crate) const HANDSHAKE: u8 = 22;

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let len_bytes = u16::try_from(len).unwrap().to_be_bytes();
    let label_len = [u8::try_from(label.len()).unwrap()];
    let info = [&len_bytes[..], &label_len, label.as_bytes(), &[0]].concat();
    let mut out = vec![0; len];
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret)
        .expand(&[&info], Len(len))
        .unwrap()
        .fill(&mut out)
        .unwrap();
    out
}

/// Seals the records of one direction.
pub(crate) struct Sealer {
    suite: Suite,
    secret: Vec<u8>,
    key: LessSafeKey,
    iv: Vec<u8>,
    number: u64,
}

impl Sealer {
    pub(crate) fn new(suite: Suite, secret: &[u8]) -> Sealer {
        let (algorithm, len) = match suite {
            Suite::Gcm => (&aead::AES_128_GCM, 16),
            Suite::ChaCha20 => (&aead::CHACHA20_POLY1305, 32),
        };
        let key = UnboundKey::new(algorithm, &expand(secret, "key", len)).unwrap();
        Sealer {
            suite,
            secret: secret.to_vec(),
            key: LessSafeKey::new(key),
            iv: expand(secret, "iv", 12),
            number: 0,
        }
    }

    /// A record, with so many bytes of padding.
    pub(crate) fn record(&mut self, kind: u8, bytes: &[u8], padding: usize) -> Vec<u8> {
        let mut inner = bytes.to_vec();
        inner.push(kind);
        inner.resize(inner.len() + padding, 0);
        let len = u16::try_from(inner.len() + 16).unwrap().to_be_bytes();
        let header = [23, 3, 3, len[0], len[1]];
        let mut nonce: [u8; 12] = self.iv[..].try_into().unwrap();
        for (byte, of_number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= of_number;
        }
        self.number += 1;
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(header),
                &mut inner,
            )
            .unwrap();
        [&header[..], &inner].concat()
    }

    /// A record of data.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.record(DATA, bytes, 0)
    }

    /// The record that says it, and from then on the next generation's keys.
    pub(crate) fn update(&mut self) -> Vec<u8> {
        let record = self.record(HANDSHAKE, &[24, 0, 0, 1, 0], 0);
        *self = Sealer::new(self.suite, &expand(&self.secret, "traffic upd", 32));
        record
    }
}

/// Both ends, behind their handshake.
pub(crate) struct Ends {
    pub(crate) client: Sealer,
    pub(crate) server: Sealer,
    /// What the handshake had, from the view of the server.
    pub(crate) handshake: Vec<(Dir, Vec<u8>)>,
    pub(crate) secrets: Vec<(Label, Vec<u8>)>,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, high, middle, low][..], body].concat()
}

fn clear(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&[22, 3, 3][..], &len, message].concat()
}

impl Ends {
    pub(crate) fn new(suite: Suite) -> Ends {
        let number: [u8; 2] = match suite {
            Suite::Gcm => [0x13, 0x01],
            Suite::ChaCha20 => [0x13, 0x03],
        };
        let client_hello = [&[3, 3][..], &[1; 32], &[0, 0, 2], &number, &[1, 0, 0, 0]].concat();
        let versions = [0, 43, 0, 2, 3, 4];
        let server_hello = [&[3, 3][..], &[2; 32], &[0], &number, &[0, 0, 6], &versions].concat();
        let secrets: Vec<_> = [
            (Label::ClientHandshake, vec![11; 32]),
            (Label::ServerHandshake, vec![12; 32]),
            (Label::ClientTraffic, vec![13; 32]),
            (Label::ServerTraffic, vec![14; 32]),
        ]
        .into();
        let finished = message(20, &[0; 32]);
        let flight = [message(8, &[0, 0]), finished.clone()].concat();
        let handshake = [
            (Dir::Received, clear(&message(1, &client_hello))),
            (Dir::Sent, clear(&message(2, &server_hello))),
            (
                Dir::Sent,
                Sealer::new(suite, &secrets[1].1).record(HANDSHAKE, &flight, 0),
            ),
            (
                Dir::Received,
                Sealer::new(suite, &secrets[0].1).record(HANDSHAKE, &finished, 0),
            ),
        ];
        Ends {
            client: Sealer::new(suite, &secrets[2].1),
            server: Sealer::new(suite, &secrets[3].1),
            handshake: handshake.into(),
            secrets,
        }
    }
}
