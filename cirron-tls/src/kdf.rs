//! Keys from secrets: HKDF-Expand-Label of TLS 1.3 (RFC 8446, 7.1), and the PRF of TLS 1.2 (RFC 5246, 5).

use ring::{hkdf, hmac};

use crate::secret::Secret;
use crate::suite::Hash;

/// The longest label, "traffic upd" or "finished", with its prefix and the two lengths and the context's.
const MAX_INFO_BYTES: usize = 32;

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// Writes what `label` means of `secret`.
pub(crate) fn expand_label(hash: Hash, secret: &Secret, label: &str, out: &mut [u8]) -> Option<()> {
    let mut info = [0; MAX_INFO_BYTES];
    let mut used = 0;
    let name_len = u8::try_from(b"tls13 ".len() + label.len()).ok()?;
    let parts: [&[u8]; 5] = [
        &u16::try_from(out.len()).ok()?.to_be_bytes(),
        &[name_len],
        b"tls13 ",
        label.as_bytes(),
        &[0],
    ];
    for part in parts {
        info.get_mut(used..used + part.len())?.copy_from_slice(part);
        used += part.len();
    }
    hkdf::Prk::new_less_safe(hash.hkdf(), secret.bytes())
        .expand(&[info.get(..used)?], Len(out.len()))
        .and_then(|okm| okm.fill(out))
        .ok()
}

/// The secret of the next generation, behind a key update.
pub(crate) fn next_generation(hash: Hash, secret: &Secret) -> Option<Secret> {
    Secret::filled(hash.len(), |out| {
        expand_label(hash, secret, "traffic upd", out)
    })
}

/// Writes what a master secret of TLS 1.2 means for a label and a seed.
pub(crate) fn prf(hash: Hash, master: &[u8], label: &str, seed: [&[u8]; 2], out: &mut [u8]) {
    let key = hmac::Key::new(hash.hmac(), master);
    let seeded = |mut context: hmac::Context| {
        context.update(label.as_bytes());
        for part in seed {
            context.update(part);
        }
        context
    };
    let mut a = seeded(hmac::Context::with_key(&key)).sign();
    for block in out.chunks_mut(hash.len()) {
        let mut context = hmac::Context::with_key(&key);
        context.update(a.as_ref());
        let tag = seeded(context).sign();
        for (to, from) in block.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        a = hmac::sign(&key, a.as_ref());
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect()
    }

    /// RFC 8448, 3: the server's handshake keys.
    #[test]
    fn the_keys_of_the_trace_in_the_rfc() {
        let secret = bytes("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        let secret = Secret::new(&secret).unwrap();
        let mut key = [0; 16];
        expand_label(Hash::Sha256, &secret, "key", &mut key).unwrap();
        assert_eq!(key[..], bytes("3fce516009c21727d0f2e4e86ee403bc"));
        let mut iv = [0; 12];
        expand_label(Hash::Sha256, &secret, "iv", &mut iv).unwrap();
        assert_eq!(iv[..], bytes("5d313eb2671276ee13000b30"));
    }

    /// The vector for P_SHA256 of the IETF's list (2008).
    #[test]
    fn the_prf_of_the_published_vector() {
        let secret = bytes("9bbe436ba940f017b17652849a71db35");
        let seed = bytes("a0ba9f936cda311827a6f796ffd5198c");
        let mut out = [0; 100];
        prf(
            Hash::Sha256,
            &secret,
            "test label",
            [&seed[..8], &seed[8..]],
            &mut out,
        );
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a\
                        6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab\
                        4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
                        87347b66";
        assert_eq!(out[..], bytes(expected));
    }
}
