//! Keys of one direction and generation, and the opening of records with them.
//!
//! Records are opened by the number of the next one. Behind a hole the number is found ([`Keys::find`]): for
//! AES-GCM of TLS 1.3 it is computed out of the tag, for GCM and CCM of TLS 1.2 out of the nonce that stands in the
//! record, else it is searched, from what the records before let expect outwards. Whatever says a number, the tag
//! decides.

mod cbc;
mod invert;
mod opener;

use std::ops::RangeInclusive;

use zeroize::{Zeroize, Zeroizing};

use crate::kdf::{expand_label, next_generation, prf};
use crate::limits::{MAX_LATE_NUMBER, TRY_OVERHEAD_BYTES};
use crate::record::{APPLICATION_DATA, Header};
use crate::secret::Secret;
use crate::suite::{Cipher, Suite, Version};
use invert::Inverter;
use opener::Opener;

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 32;

/// The longest key block of TLS 1.2: two keys of AES-256 and of SHA-384's HMAC each.
const MAX_KEY_BLOCK_BYTES: usize = 2 * (MAX_KEY_BYTES + 48);

/// Bytes of the nonce that stands in a record of TLS 1.2 with GCM or CCM.
const EXPLICIT_BYTES: usize = 8;

/// Whose keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// What the client sends.
    Client,
    /// What the server sends.
    Server,
}

impl Side {
    /// The other one.
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
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
    pub(crate) fn bytes_in(self, payload: &[u8]) -> &[u8] {
        let bytes = payload.get(self.start..self.start + self.len);
        bytes.unwrap_or_default()
    }
}

/// What both hellos of TLS 1.2 said.
#[derive(Clone, Copy)]
pub(crate) struct Agreed12 {
    /// The client's random.
    pub client_random: [u8; 32],
    /// The server's.
    pub server_random: [u8; 32],
    /// See [`crate::hello::ServerHello`].
    pub encrypt_then_mac: bool,
}

/// How much searching is still allowed, in bytes that are tried.
pub(crate) struct Budget {
    /// What is left.
    pub bytes: u64,
    /// Numbers that were tried.
    pub tries: u64,
}

/// Keys of one direction and generation.
pub(crate) struct Keys {
    suite: Suite,
    opener: Opener,
    /// All of the nonce that is the same in each record; of GCM and CCM in TLS 1.2 its first four bytes.
    iv: [u8; 12],
    /// The secret that they are of, in TLS 1.3.
    secret: Option<Secret>,
    /// Number of the next record.
    number: u64,
    /// The nonce that stood in the last record, in TLS 1.2.
    explicit: Option<u64>,
    /// Records that were opened, and their bytes: what the next ones will be like.
    records: u64,
    bytes: u64,
    inverter: Option<Box<Inverter>>,
}

impl Keys {
    /// Those that a secret of TLS 1.3 means.
    pub(crate) fn of_13(suite: Suite, secret: &Secret) -> Option<Keys> {
        if secret.len() != suite.hash.len() || suite.version != Version::Tls13 {
            return None;
        }
        let key = raw_key(suite, secret)?;
        let opener = Opener::new(suite.cipher, key.get(..suite.cipher.key_len())?)?;
        let mut iv = [0; 12];
        expand_label(suite.hash, secret, "iv", &mut iv)?;
        Some(Keys::with(suite, opener, iv, Some(secret.copy())))
    }

    /// Those that a master of TLS 1.2 means.
    pub(crate) fn of_12(
        suite: Suite,
        agreed: &Agreed12,
        master: &Secret,
        side: Side,
    ) -> Option<Keys> {
        if master.len() != 48 || suite.version != Version::Tls12 {
            return None;
        }
        let lens = [
            suite.cipher.mac_len(),
            suite.cipher.key_len(),
            suite.cipher.fixed_iv_len(),
        ];
        let mut block = Zeroizing::new([0; MAX_KEY_BLOCK_BYTES]);
        let used = block.get_mut(..2 * lens.iter().sum::<usize>())?;
        let seed = [&agreed.server_random[..], &agreed.client_random[..]];
        prf(suite.hash, master.bytes(), "key expansion", seed, used);
        let mut rest = &*used;
        let mut next = |len: usize| {
            let (client, behind) = rest.split_at_checked(len)?;
            let (server, behind) = behind.split_at_checked(len)?;
            rest = behind;
            Some(match side {
                Side::Client => client,
                Side::Server => server,
            })
        };
        let [mac, key, fixed] = lens;
        let (mac, key, fixed) = (next(mac)?, next(key)?, next(fixed)?);
        let opener = match suite.cipher {
            Cipher::Cbc(aes, of) => Opener::cbc(aes, of, key, mac, agreed.encrypt_then_mac)?,
            Cipher::Gcm(_) | Cipher::ChaCha20 | Cipher::Ccm(_) | Cipher::Ccm8(_) => {
                Opener::new(suite.cipher, key)?
            }
        };
        let mut iv = [0; 12];
        iv.get_mut(..fixed.len())?.copy_from_slice(fixed);
        Some(Keys::with(suite, opener, iv, None))
    }

    fn with(suite: Suite, opener: Opener, iv: [u8; 12], secret: Option<Secret>) -> Keys {
        Keys {
            suite,
            opener,
            iv,
            secret,
            number: 0,
            explicit: None,
            records: 0,
            bytes: 0,
            inverter: None,
        }
    }

    /// Those behind a key update.
    pub(crate) fn next(&self) -> Option<Keys> {
        let secret = next_generation(self.suite.hash, self.secret.as_ref()?)?;
        Keys::of_13(self.suite, &secret)
    }

    /// Their suite.
    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }

    /// Number of the next record.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next record is the first one again: what was opened was a trial.
    pub(crate) fn rewind(&mut self) {
        (self.number, self.explicit, self.records, self.bytes) = (0, None, 0, 0);
    }

    /// Opens the next record in its place. `None`: these keys do not open it, and its bytes are gone.
    pub(crate) fn open(&mut self, header: Header, payload: &mut [u8]) -> Option<Plain> {
        let number = self.number;
        let explicit = explicit(payload);
        let plain = self.open_as(number, header, payload)?;
        self.opened(number, explicit, payload.len());
        Some(plain)
    }

    /// Opens the next record in a copy of its payload.
    pub(crate) fn open_copy(
        &mut self,
        header: Header,
        sealed: &[u8],
        copy: &mut Vec<u8>,
    ) -> Option<Plain> {
        copy.clear();
        copy.extend_from_slice(sealed);
        self.open(header, copy)
    }

    /// Finds which record of `numbers` this one is, and opens it in a copy of its payload. The next is the one
    /// behind it.
    pub(crate) fn find(
        &mut self,
        numbers: RangeInclusive<u64>,
        header: Header,
        sealed: &[u8],
        copy: &mut Vec<u8>,
        budget: &mut Budget,
    ) -> Option<(u64, Plain)> {
        let cost = (sealed.len() + TRY_OVERHEAD_BYTES) as u64;
        let said = self.said(header, sealed);
        let said = said.filter(|number| numbers.contains(number));
        let searches = !self.is_inverted();
        let searched = searches.then(|| self.expected(&numbers));
        let mut found = None;
        for number in said.into_iter().chain(searched.into_iter().flatten()) {
            let Some(left) = budget.bytes.checked_sub(cost) else {
                break;
            };
            budget.bytes = left;
            budget.tries += 1;
            copy.clear();
            copy.extend_from_slice(sealed);
            if let Some(plain) = self.open_as(number, header, copy) {
                found = Some((number, plain));
                break;
            }
        }
        let (number, plain) = found?;
        self.opened(number, explicit(sealed), sealed.len());
        Some((number, plain))
    }

    /// The last number that the first record of a connection joined late can be found to have.
    pub(crate) fn farthest(&self) -> u64 {
        if self.is_inverted() {
            // No peer comes so far; room is left to count on.
            u64::MAX >> 1
        } else {
            MAX_LATE_NUMBER
        }
    }

    /// The number that the record itself tells.
    fn said(&mut self, header: Header, sealed: &[u8]) -> Option<u64> {
        if self.is_inverted() {
            if self.inverter.is_none() {
                let key = raw_key(self.suite, self.secret.as_ref()?)?;
                let key = key.get(..self.suite.cipher.key_len())?;
                self.inverter = Some(Box::new(Inverter::new(key)?));
            }
            let nonce = self.inverter.as_ref()?.nonce(&header.bytes, sealed)?;
            return number_of(&self.iv, &nonce);
        }
        if self.suite.cipher.explicit_len() != EXPLICIT_BYTES {
            return None;
        }
        // Libraries count it up, wherever they begin.
        let ahead = explicit(sealed)?.checked_sub(self.explicit?)?;
        self.number.checked_sub(1)?.checked_add(ahead)
    }

    /// Whether the number can be computed out of the tag.
    fn is_inverted(&self) -> bool {
        self.suite.version == Version::Tls13 && matches!(self.suite.cipher, Cipher::Gcm(_))
    }

    /// The numbers, the most likely first: what was lost is taken to be like what was not.
    fn expected(&self, numbers: &RangeInclusive<u64>) -> impl Iterator<Item = u64> + use<> {
        let (low, high) = (*numbers.start(), *numbers.end());
        // The range is as wide as if all records were the shortest.
        let lost = (high.saturating_sub(self.number)).saturating_mul(self.suite.shortest());
        let mean = self.bytes.checked_div(self.records);
        let ahead = mean.and_then(|mean| lost.checked_div(mean));
        let likely = ahead.map_or(low, |ahead| self.number + ahead);
        let likely = likely.clamp(low, high.max(low));
        let below = (low..likely).rev().map(Some).chain(std::iter::repeat(None));
        let above = (likely..=high).map(Some).chain(std::iter::repeat(None));
        above
            .zip(below)
            .take_while(|(above, below)| above.is_some() || below.is_some())
            .flat_map(|(above, below)| [above, below])
            .flatten()
    }

    fn opened(&mut self, number: u64, explicit: Option<u64>, len: usize) {
        self.number = number + 1;
        self.explicit = explicit;
        self.records += 1;
        self.bytes += (crate::record::HEADER_BYTES + len) as u64;
    }

    /// Opens the record of a number in its place. `None`: these keys do not open it so, and its bytes are gone.
    fn open_as(&self, number: u64, header: Header, payload: &mut [u8]) -> Option<Plain> {
        match self.suite.version {
            Version::Tls13 => self.open_13(number, header, payload),
            Version::Tls12 => self.open_12(number, header, payload),
        }
    }

    fn open_13(&self, number: u64, header: Header, payload: &mut [u8]) -> Option<Plain> {
        if header.kind() != APPLICATION_DATA {
            return None;
        }
        let nonce = self.counted_nonce(number);
        let inner = self.opener.open(nonce, &header.bytes, payload)?;
        // The last byte that is no padding says what it is.
        let last = inner.iter().rposition(|byte| *byte != 0)?;
        Some(Plain {
            kind: *inner.get(last)?,
            start: 0,
            len: last,
        })
    }

    fn open_12(&self, number: u64, header: Header, payload: &mut [u8]) -> Option<Plain> {
        let kind = header.kind();
        if let Some(opened) = self.opener.open_cbc(number, header, payload) {
            let (start, len) = opened?;
            return Some(Plain { kind, start, len });
        }
        let start = self.suite.cipher.explicit_len();
        let nonce = match explicit(payload) {
            Some(explicit) if start == EXPLICIT_BYTES => {
                let [a, b, c, d, ..] = self.iv;
                let mut nonce = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0];
                nonce.get_mut(4..)?.copy_from_slice(&explicit.to_be_bytes());
                nonce
            }
            Some(_) | None => self.counted_nonce(number),
        };
        let sealed = payload.get_mut(start..)?;
        let len = sealed.len().checked_sub(self.suite.cipher.tag_len())?;
        let covered = covered_12(number, header, len)?;
        self.opener.open(nonce, &covered, sealed)?;
        Some(Plain { kind, start, len })
    }

    fn counted_nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
            *byte ^= of_number;
        }
        nonce
    }
}

/// What the tag of a record of TLS 1.2 covers beside its plaintext.
fn covered_12(number: u64, header: Header, len: usize) -> Option<[u8; 13]> {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    let [kind, major, minor, ..] = header.bytes;
    let [high, low] = u16::try_from(len).ok()?.to_be_bytes();
    Some([a, b, c, d, e, f, g, h, kind, major, minor, high, low])
}

/// The first eight bytes, as a number.
fn explicit(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().copied().map(u64::from_be_bytes)
}

/// The number that makes this nonce of that one.
fn number_of(iv: &[u8; 12], nonce: &[u8; 12]) -> Option<u64> {
    let mut number = [0; 12];
    for ((to, iv), nonce) in number.iter_mut().zip(iv).zip(nonce) {
        *to = iv ^ nonce;
    }
    let (zeros, number) = number.split_first_chunk::<4>()?;
    let number = u64::from_be_bytes(number.try_into().ok()?);
    (*zeros == [0; 4]).then_some(number)
}

fn raw_key(suite: Suite, secret: &Secret) -> Option<Zeroizing<[u8; MAX_KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; MAX_KEY_BYTES]);
    let place = key.get_mut(..suite.cipher.key_len())?;
    expand_label(suite.hash, secret, "key", place)?;
    Some(key)
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.iv.zeroize();
    }
}
