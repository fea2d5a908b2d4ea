//! A secret of a TLS connection, as the library that made it announces it.
//!
//! Libraries announce their secrets to a callback that an application may have set (the key log of `SSLKEYLOGFILE`), by one
//! function, which is called whether or not there is a callback. The programs stand at that function and tell what is handed
//! to it, in a record of its own. Source of the names: draft-ietf-tls-keylogfile, section 2.

/// Bytes of the longest secret: of SHA-384, and a master secret of TLS 1.2.
pub const MAX_SECRET_BYTES: usize = 48;
/// Bytes of the shortest: of SHA-256. There is none between.
pub const MIN_SECRET_BYTES: usize = 32;
/// Bytes of a name, with the 0 at its end: `CLIENT_HANDSHAKE_TRAFFIC_SECRET` is the longest.
pub const MAX_NAME_BYTES: usize = 32;

/// How the names begin that are told; the function is handed others, which open no record of a connection.
pub const STEMS: [[u8; 7]; 2] = [*b"CLIENT_", *b"SERVER_"];

/// Payload of [`crate::record::kind::SECRET`].
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    /// Address of the connection's object.
    pub object: u64,
    /// Bytes of the secret: [`MIN_SECRET_BYTES`] or [`MAX_SECRET_BYTES`].
    pub len: u64,
    /// Its name, zeros behind it.
    pub name: [u8; MAX_NAME_BYTES],
    /// The secret, zeros behind it.
    pub bytes: [u8; MAX_SECRET_BYTES],
}

/// Bytes of a [`Secret`].
pub const SECRET_LEN: usize = 96;
const _: () = {
    assert!(core::mem::size_of::<Secret>() == SECRET_LEN);
    assert!(core::mem::offset_of!(Secret, len) == 8);
    assert!(core::mem::offset_of!(Secret, name) == 16);
    assert!(core::mem::offset_of!(Secret, bytes) == 48);
};
