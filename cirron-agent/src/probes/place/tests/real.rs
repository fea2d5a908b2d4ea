//! Places in functions of libraries as they are shipped, each whole.
//!
//! OpenSSL 3.0 of Debian 12, Go and GnuTLS stand in the file above.

use super::{bytes, emulated, ending_in, entry, leaves, stepped};
use cirron_common::operand::Convention;

use crate::probes::place::{Choice, Place, Refusal, Ways, exits, passes_on};

/// Debian 11's `libssl.so.1.1` (1.1.1w): as 3.0's, with less behind the guard.
const OPENSSL_1_1_READ: &str = "48 83 ec 18 64 48 8b 04 25 28 00 00 00 48 89 44 24 08 31 c0 85 d2 78 26 48 89 e1 48 63 d2 e8 4d fe ff ff 85 c0 0f 4f 04 24 48 8b 4c 24 08 64 48 2b 0c 25 28 00 00 00 75 2d 48 83 c4 18 c3 41 b8 03 07 00 00 ba 0f 01 00 00 be df 00 00 00 bf 14 00 00 00 48 8d 0d d1 a7 03 00 e8 b1 63 fe ff b8 ff ff ff ff eb c3 e8 55 61 fe ff";
const OPENSSL_1_1_READ_EX: &str =
    "48 83 ec 08 e8 f7 fd ff ff ba 00 00 00 00 85 c0 0f 48 c2 48 83 c4 08 c3";
/// Its last instruction but one is `jmp *%rax`: into whatever the object's method is.
const OPENSSL_1_1_HANDSHAKE: &str = "55 48 83 ec 30 64 48 8b 04 25 28 00 00 00 48 89 44 24 28 31 c0 48 83 7f 30 00 0f 84 b0 00 00 00 48 89 fd be ff ff ff ff e8 13 47 01 00 48 8b 45 08 31 f6 48 89 ef ff 50 60 48 89 ef e8 ff 42 fe ff 85 c0 74 2b f6 85 d9 05 00 00 01 75 52 48 8b 44 24 28 64 48 2b 04 25 28 00 00 00 0f 85 96 00 00 00 48 8b 45 30 48 83 c4 30 48 89 ef 5d ff e0 48 89 ef e8 88 36 fe ff 85 c0 75 c9 b8 01 00 00 00 48 8b 4c 24 28 64 48 2b 0c 25 28 00 00 00 75 67 48 83 c4 30 5d c3 66 0f 1f 84 00 00 00 00 00 e8 2b 2b fe ff 48 85 c0 75 a4 66 0f ef c0 48 89 e6 48 89 ef 48 89 2c 24 48 8d 15 81 b8 ff ff 0f 11 44 24 08 0f 11 44 24 18 e8 32 b9 ff ff eb b1 41 b8 83 0e 00 00 ba 90 00 00 00 be b4 00 00 00 bf 14 00 00 00 48 8d 0d 7f 84 03 00 e8 5f 40 fe ff b8 ff ff ff ff eb 89 e8 03 3e fe ff";

/// OpenSSL 1.0.2e, inside a module of nassl 5.4.0: `jmp *0x30(%rax)`, as old LibreSSL's too.
pub(in crate::probes) const OPENSSL_1_0_READ: &str = "48 83 7f 30 00 74 1b f6 47 44 02 75 0b 48 8b 47 08 ff 60 30 0f 1f 40 00 c7 47 28 01 00 00 00 31 c0 c3 48 83 ec 08 41 b8 f2 03 00 00 ba 14 01 00 00 be df 00 00 00 48 8d 0d a3 cf 0e 00 bf 14 00 00 00 e8 f9 5f 03 00 b8 ff ff ff ff 48 83 c4 08 c3";

/// Debian unstable's `libssl.so.3` (3.6.5), which begins its functions with `endbr64`.
pub(in crate::probes) const OPENSSL_3_6_READ: &str = "f3 0f 1e fa 48 83 ec 18 64 48 8b 04 25 28 00 00 00 48 89 44 24 08 31 c0 85 d2 78 2d 48 89 e1 89 d2 e8 3a fd ff ff 85 c0 0f 4f 04 24 48 8b 54 24 08 64 48 2b 14 25 28 00 00 00 75 44 48 83 c4 18 31 d2 31 c9 31 f6 31 ff c3 e8 32 2e fe ff 48 8d 15 b3 9a 0a 00 be 42 09 00 00 48 8d 3d c6 f6 09 00 e8 ea 34 fe ff 31 c0 31 d2 be 0f 01 00 00 bf 14 00 00 00 e8 37 33 fe ff b8 ff ff ff ff eb ac e8 5b 3e fe ff";
pub(in crate::probes) const OPENSSL_3_6_READ_EX: &str = "f3 0f 1e fa 48 83 ec 08 e8 c3 fc ff ff 31 d2 85 c0 0f 48 c2 48 83 c4 08 31 d2 31 c9 31 f6 31 ff c3";
/// `endbr64; mov %rcx,%r8; xor %ecx,%ecx; jmp SSL_write_ex2`.
pub(in crate::probes) const OPENSSL_3_6_WRITE_EX: &str =
    "f3 0f 1e fa 49 89 c8 31 c9 e9 c2 ff ff ff";
/// It lies 0x30 bytes before the one above.
pub(in crate::probes) const OPENSSL_3_6_WRITE_EX2: &str = "f3 0f 1e fa 48 83 ec 08 e8 03 f9 ff ff 31 d2 85 c0 0f 48 c2 48 83 c4 08 31 d2 31 c9 31 f6 31 ff 45 31 c0 c3";

/// Debian 12's `libssl.so.3` (3.0), and unstable's.
const OPENSSL_3_0_SENDFILE: &str = "41 56 41 55 41 54 55 53 48 83 ec 10 64 48 8b 04 25 28 00 00 00 48 89 44 24 08 31 c0 48 83 7f 30 00 0f 84 ce 01 00 00 48 89 fb f6 47 44 01 0f 85 24 01 00 00 48 8b 7f 18 41 89 f4 49 89 d6 49 89 cd 31 d2 31 c9 be 49 00 00 00 e8 a1 9c fe ff 48 85 c0 0f 8e 5e 01 00 00 8b 83 a4 01 00 00 85 c0 74 12 48 8b 43 08 48 89 df ff 50 78 48 63 e8 48 85 ed 7e 4c c7 43 28 02 00 00 00 48 8b 7b 18 31 c9 31 d2 be 0b 00 00 00 e8 63 9c fe ff 85 c0 0f 8e 06 01 00 00 48 89 df e8 63 9e fe ff 48 89 e2 4c 89 e9 44 89 e6 89 c7 4c 89 34 24 e8 8f b5 fe ff 48 89 c5 48 85 c0 78 37 c7 43 28 01 00 00 00 48 8b 44 24 08 64 48 2b 04 25 28 00 00 00 0f 85 34 01 00 00 48 83 c4 10 48 89 e8 5b 5d 41 5c 41 5d 41 5e 31 d2 31 c9 31 f6 31 ff c3 0f 1f 40 00 e8 7b 98 fe ff 8b 00 83 f8 10 77 24 48 c7 c2 ef f7 fe ff 48 0f a3 c2 72 17 48 8b 7b 18 be 0a 00 00 00 e8 e9 99 fe ff eb a7 0f 1f 80 00 00 00 00 e8 2b 9b fe ff 48 8d 15 6c d0 04 00 be 38 08 00 00 48 8d 3d 49 c8 04 00 e8 13 a2 fe ff 31 d2 be 14 01 00 00 31 c0 bf 14 00 00 00 e8 30 a0 fe ff e9 6b ff ff ff 0f 1f 00 c7 47 28 01 00 00 00 e8 ec 9a fe ff 48 8d 15 2d d0 04 00 be 0d 08 00 00 48 8d 3d 0a c8 04 00 e8 d4 a1 fe ff 31 d2 be cf 00 00 00 31 c0 bf 14 00 00 00 e8 f1 9f fe ff 48 c7 c5 ff ff ff ff e9 25 ff ff ff 48 8b 7b 18 be 08 00 00 00 e8 17 b4 fe ff 85 c0 75 3b c7 43 28 01 00 00 00 eb d9 e8 95 9a fe ff 48 8d 15 d6 cf 04 00 be 12 08 00 00 48 8d 3d b3 c7 04 00 e8 7d a1 fe ff 31 d2 be 14 01 00 00 31 c0 bf 14 00 00 00 e8 9a 9f fe ff eb a7 e8 83 97 fe ff c7 00 0b 00 00 00 eb 9a e8 56 9a fe ff 48 8d 15 97 cf 04 00 be 07 08 00 00 eb bf e8 73 ac fe ff";
const OPENSSL_3_6_SENDFILE: &str = "f3 0f 1e fa 48 83 ec 48 64 48 8b 04 25 28 00 00 00 48 89 44 24 18 31 c0 48 85 ff 0f 84 14 01 00 00 48 89 5c 24 28 48 89 fb 8b 3f 85 ff 0f 85 fd 00 00 00 48 83 7b 70 00 0f 84 67 02 00 00 f6 83 84 00 00 00 01 0f 85 88 01 00 00 48 8b 7b 58 48 89 6c 24 30 48 89 cd 31 c9 4c 89 74 24 38 41 89 f6 be 49 00 00 00 4c 89 7c 24 40 49 89 d7 31 d2 e8 9b 29 fe ff 48 85 c0 0f 8e c7 01 00 00 8b 83 c4 01 00 00 85 c0 7e 15 48 8b 43 18 48 89 df ff 90 90 00 00 00 48 63 c8 48 85 c9 7e 4f c7 43 68 02 00 00 00 48 8b 7b 58 31 c9 31 d2 be 0b 00 00 00 e8 5a 29 fe ff 85 c0 0f 8e 5d 01 00 00 48 89 df e8 5a e5 ff ff 48 89 e9 48 8d 54 24 10 44 89 f6 89 c7 4c 89 7c 24 10 e8 23 41 fe ff 48 89 c1 48 85 c0 78 5b c7 43 68 01 00 00 00 48 8b 5c 24 28 48 8b 6c 24 30 4c 8b 74 24 38 4c 8b 7c 24 40 48 8b 44 24 18 64 48 2b 04 25 28 00 00 00 0f 85 c6 01 00 00 48 89 c8 48 83 c4 48 31 d2 31 c9 31 f6 31 ff 45 31 c0 c3 66 0f 1f 84 00 00 00 00 00 48 8b 5c 24 28 31 c9 eb c7 0f 1f 80 00 00 00 00 48 89 04 24 e8 47 25 fe ff 48 8b 0c 24 49 89 c0 8b 00 83 f8 10 77 39 ba 10 08 01 00 48 0f a3 c2 73 2e 48 8b 7b 58 be 0a 00 00 00 e8 c0 26 fe ff 48 8b 0c 24 48 8b 5c 24 28 48 8b 6c 24 30 4c 8b 74 24 38 4c 8b 7c 24 40 e9 73 ff ff ff 0f 1f 00 4c 89 44 24 08 48 89 0c 24 e8 d2 27 fe ff 48 8d 15 d3 93 0a 00 be 55 0a 00 00 48 8d 3d 66 f0 09 00 e8 8a 2e fe ff 4c 8b 44 24 08 48 8d 15 8c f0 09 00 31 c0 bf 02 00 00 00 41 8b 30 e8 cf 2c fe ff eb 9d c7 43 68 01 00 00 00 e8 91 27 fe ff 48 8d 15 92 93 0a 00 be 2a 0a 00 00 48 8d 3d 25 f0 09 00 e8 49 2e fe ff 31 d2 be cf 00 00 00 31 c0 bf 14 00 00 00 e8 96 2c fe ff 48 8b 5c 24 28 48 c7 c1 ff ff ff ff e9 e5 fe ff ff 48 8b 7b 58 be 08 00 00 00 e8 f7 3e fe ff 85 c0 75 59 c7 43 68 01 00 00 00 48 8b 6c 24 30 4c 8b 74 24 38 4c 8b 7c 24 40 eb c5 e8 26 27 fe ff 48 8d 15 27 93 0a 00 be 2f 0a 00 00 48 8d 3d ba ef 09 00 e8 de 2d fe ff 31 d2 be 14 01 00 00 31 c0 bf 14 00 00 00 e8 2b 2c fe ff 48 8b 6c 24 30 4c 8b 74 24 38 4c 8b 7c 24 40 eb 84 e8 05 24 fe ff 48 8b 6c 24 30 4c 8b 74 24 38 c7 00 0b 00 00 00 4c 8b 7c 24 40 e9 65 ff ff ff e8 c6 26 fe ff 48 8d 15 c7 92 0a 00 be 24 0a 00 00 48 8d 3d 5a ef 09 00 e8 7e 2d fe ff 31 d2 be 14 01 00 00 31 c0 bf 14 00 00 00 e8 cb 2b fe ff e9 30 ff ff ff 48 89 5c 24 28 48 89 6c 24 30 4c 89 74 24 38 4c 89 7c 24 40 e8 dd 36 fe ff";

/// Node 20.20.2's executable: OpenSSL inside, with a frame pointer.
const NODE_READ: &str = "55 48 89 e5 41 56 41 55 41 54 48 83 ec 48 85 d2 0f 88 37 01 00 00 48 83 7f 30 00 49 89 fd 0f 84 60 01 00 00 44 8b 67 44 41 83 e4 02 0f 85 ae 00 00 00 8b 87 84 00 00 00 83 f8 01 74 63 83 f8 08 74 5e 49 89 f6 31 f6 4c 63 e2 e8 a1 25 03 00 41 f6 85 f1 09 00 00 01 74 0e e8 12 8e 06 00 48 85 c0 0f 84 99 00 00 00 49 8b 45 08 4c 89 e2 48 8d 4d a8 4c 89 f6 4c 89 ef ff 50 38 41 89 c4 45 85 e4 44 89 e0 0f 4f 45 a8 41 89 c4 48 83 c4 48 44 89 e0 41 5c 41 5d 41 5e 5d c3 66 0f 1f 44 00 00 e8 3b 46 11 00 ba 60 fc d4 02 be 2b 07 00 00 bf 48 ef d4 02 e8 47 47 11 00 31 c0 31 d2 be 01 01 0c 00 bf 14 00 00 00 e8 34 48 11 00 48 83 c4 48 44 89 e0 41 5c 41 5d 41 5e 5d c3 0f 1f 44 00 00 c7 47 28 01 00 00 00 45 31 e4 48 83 c4 48 44 89 e0 41 5c 41 5d 41 5e 5d c3 0f 1f 80 00 00 00 00 49 8b 45 08 66 49 0f 6e ce 48 8d 75 b0 4c 89 ef 66 49 0f 6e c5 ba 80 6d a6 01 4c 89 65 c0 48 8b 40 38 66 0f 6c c1 c7 45 c8 00 00 00 00 0f 29 45 b0 48 89 45 d0 e8 86 bb ff ff 41 89 c4 49 8b 85 38 1d 00 00 48 89 45 a8 e9 31 ff ff ff e8 8e 45 11 00 ba 28 fc d4 02 be 4c 07 00 00 bf 48 ef d4 02 e8 9a 46 11 00 31 d2 be 0f 01 00 00 31 c0 bf 14 00 00 00 41 bc ff ff ff ff e8 81 47 11 00 e9 07 ff ff ff e8 57 45 11 00 ba 60 fc d4 02 be 20 07 00 00 bf 48 ef d4 02 e8 63 46 11 00 31 d2 be 14 01 00 00 31 c0 bf 14 00 00 00 41 bc ff ff ff ff e8 4a 47 11 00 e9 d0 fe ff ff";
const NODE_WRITE: &str = "55 48 89 e5 41 56 41 55 41 54 48 83 ec 48 85 d2 0f 88 1d 01 00 00 48 83 7f 30 00 49 89 fd 0f 84 84 01 00 00 44 8b 67 44 41 83 e4 01 0f 85 38 01 00 00 8b 87 84 00 00 00 89 c1 83 e1 fd 83 f9 08 0f 84 b2 00 00 00 83 f8 01 0f 84 a9 00 00 00 49 89 f6 be 01 00 00 00 4c 63 e2 e8 d1 1d 03 00 41 f6 85 f1 09 00 00 01 75 37 49 8b 45 08 4c 89 e2 48 8d 4d a8 4c 89 f6 4c 89 ef ff 50 48 41 89 c4 45 85 e4 44 89 e0 0f 4f 45 a8 41 89 c4 48 83 c4 48 44 89 e0 41 5c 41 5d 41 5e 5d c3 0f 1f 40 00 e8 0b 86 06 00 48 85 c0 75 bf 49 8b 45 08 66 49 0f 6e ce 48 8d 75 b0 4c 89 ef 66 49 0f 6e c5 ba 80 6d a6 01 4c 89 65 c0 48 8b 40 48 66 0f 6c c1 c7 45 c8 01 00 00 00 0f 29 45 b0 48 89 45 d0 e8 1c b4 ff ff 41 89 c4 49 8b 85 38 1d 00 00 48 89 45 a8 eb 8c 0f 1f 40 00 e8 23 3e 11 00 ba c0 fb d4 02 be ea 07 00 00 bf 48 ef d4 02 e8 2f 3f 11 00 31 c0 31 d2 be 01 01 0c 00 bf 14 00 00 00 e8 1c 40 11 00 48 83 c4 48 44 89 e0 41 5c 41 5d 41 5e 5d c3 e8 e8 3d 11 00 ba 98 fb d4 02 be 46 08 00 00 bf 48 ef d4 02 e8 f4 3e 11 00 31 d2 be 0f 01 00 00 31 c0 bf 14 00 00 00 41 bc ff ff ff ff e8 db 3f 11 00 e9 23 ff ff ff c7 47 28 01 00 00 00 41 bc ff ff ff ff e8 a4 3d 11 00 ba c0 fb d4 02 be e3 07 00 00 bf 48 ef d4 02 e8 b0 3e 11 00 31 d2 be cf 00 00 00 31 c0 bf 14 00 00 00 e8 9d 3f 11 00 e9 e5 fe ff ff e8 73 3d 11 00 ba c0 fb d4 02 be dd 07 00 00 bf 48 ef d4 02 e8 7f 3e 11 00 31 d2 be 14 01 00 00 31 c0 bf 14 00 00 00 41 bc ff ff ff ff e8 66 3f 11 00 e9 ae fe ff ff";

/// BoringSSL by clang, inside the module of curl_cffi 0.16.3.
const BORINGSSL_READ: &str = "55 48 89 e5 41 57 41 56 53 50 48 83 bf 98 00 00 00 00 74 30 48 8d 0d 8e 3c 1d 00 bf 10 00 00 00 31 f6 ba 42 00 00 00 41 b8 c3 03 00 00 e8 ce e6 0f 00 bb ff ff ff ff 89 d8 48 83 c4 08 5b 41 5e 41 5f 5d c3 89 d3 49 89 f6 49 89 ff e8 1f 01 00 00 85 c0 7e 69 85 db 7e de 49 8b 47 30 48 8b 88 88 00 00 00 89 db 48 39 d9 48 0f 42 d9 48 85 c9 74 53 48 8b b0 80 00 00 00 4c 89 f7 48 89 da e8 2c d6 d9 ff 49 8b 47 30 48 8b 88 88 00 00 00 48 29 d9 72 38 48 01 98 80 00 00 00 48 89 88 88 00 00 00 49 8b 7f 30 48 83 bf 88 00 00 00 00 75 87 48 83 c7 50 e8 37 3c ff ff e9 79 ff ff ff 89 c3 e9 72 ff ff ff 31 db e9 6b ff ff ff e8 1f 9e d9 ff";
const BORINGSSL_WRITE: &str = "55 48 89 e5 41 57 41 56 41 55 41 54 53 48 83 ec 18 89 d3 49 89 f6 49 89 ff 48 8b 47 30 c7 80 c4 00 00 00 00 00 00 00 e8 84 d9 0f 00 e8 3f dc 0f 00 49 83 bf 98 00 00 00 00 74 32 48 8d 0d 27 38 1d 00 bf 10 00 00 00 31 f6 ba 42 00 00 00 41 b8 d9 03 00 00 e8 67 e2 0f 00 b8 ff ff ff ff 48 83 c4 18 5b 41 5c 41 5d 41 5e 41 5f 5d c3 49 83 7f 28 00 74 78 48 c7 45 c8 00 00 00 00 c6 45 d7 00 41 89 dc 4c 8d 6d c8 66 0f 1f 84 00 00 00 00 00 49 8b 47 30 48 8b 80 18 01 00 00 48 85 c0 74 1c 0f b7 80 78 08 00 00 a9 08 20 00 00 75 0e 4c 89 ff e8 7a f6 ff ff 85 c0 78 a4 74 6c 85 db 78 4a 49 8b 07 4c 89 ff 48 8d 75 d7 4c 89 ea 4c 89 f1 4d 89 e0 ff 50 48 80 7d d7 00 75 b4 85 c0 0f 8e 7a ff ff ff 8b 45 c8 e9 72 ff ff ff 48 8d 0d 76 37 1d 00 bf 10 00 00 00 31 f6 ba e2 00 00 00 41 b8 de 03 00 00 e9 4a ff ff ff 48 8d 0d 58 37 1d 00 bf 10 00 00 00 31 f6 ba 6f 00 00 00 41 b8 f3 03 00 00 e9 2c ff ff ff 48 8d 0d 3a 37 1d 00 bf 10 00 00 00 31 f6 ba d7 00 00 00 41 b8 ed 03 00 00 e9 0e ff ff ff";

/// The entry of a function with these arguments, and its exits.
fn places(code: &str, needs: &[u8]) -> (Place, Result<Vec<Place>, Refusal>) {
    let code = bytes(code);
    (
        entry(&code, Convention::SystemV, needs, Choice::Cheapest),
        exits(&code, &Ways::default(), Choice::Cheapest),
    )
}

#[test]
fn openssl_1_1_is_entered_at_its_first_jump_and_left_at_its_stack_guard() {
    assert_eq!(
        places(OPENSSL_1_1_READ, &[0, 1]),
        (emulated(0x16, 0x18), Ok(vec![emulated(0x37, 0x18)]))
    );
    assert_eq!(
        places(OPENSSL_1_1_READ_EX, &[0, 1, 3]),
        (emulated(4, 8), Ok(vec![stepped(0x17)]))
    );
}

#[test]
fn a_handshake_that_ends_in_a_method_of_the_object_has_no_exit() {
    assert_eq!(
        places(OPENSSL_1_1_HANDSHAKE, &[0]),
        (emulated(0, 0), Err(Refusal::Pointer))
    );
}

#[test]
fn openssl_1_0_s_read_ends_in_a_method_of_the_object_and_has_no_exit() {
    let (entry, exits) = places(OPENSSL_1_0_READ, &[0, 1]);
    assert_eq!((entry, exits), (emulated(5, 0), Err(Refusal::Pointer)));
}

#[test]
fn openssl_behind_endbr64_is_entered_and_left_as_without() {
    assert_eq!(
        places(OPENSSL_3_6_READ, &[0, 1]),
        (emulated(0x1a, 0x18), Ok(vec![emulated(0x3a, 0x18)]))
    );
    assert_eq!(
        places(OPENSSL_3_6_READ_EX, &[0, 1, 3]),
        (emulated(8, 8), Ok(vec![stepped(0x20)]))
    );
}

#[test]
fn write_ex_of_openssl_3_6_is_left_where_write_ex2_is() {
    let (code, ex2) = (bytes(OPENSSL_3_6_WRITE_EX), bytes(OPENSSL_3_6_WRITE_EX2));
    // The count's pointer is moved, and its register cleared, before the jump.
    assert_eq!(
        entry(&code, Convention::SystemV, &[0, 1, 3], Choice::Cheapest),
        stepped(0)
    );
    assert_eq!(leaves(0, &code), [-0x30]);
    assert_eq!(passes_on(&code), Some(-0x30));
    assert_eq!(
        exits(&code, &Ways::default(), Choice::Cheapest),
        Err(Refusal::Leaves)
    );
    assert_eq!(
        exits(&code, &ending_in(&[(-0x30, ex2)]), Choice::Cheapest),
        Ok(vec![stepped(-0x30 + 0x23)])
    );
    assert_eq!(passes_on(&bytes(OPENSSL_3_6_WRITE_EX2)), None);
    assert_eq!(
        places(OPENSSL_3_6_WRITE_EX2, &[0, 1, 4]),
        (emulated(8, 8), Ok(vec![stepped(0x23)]))
    );
}

#[test]
fn sendfile_has_its_object_and_its_length() {
    assert_eq!(
        places(OPENSSL_3_0_SENDFILE, &[0]),
        (emulated(0, 0), Ok(vec![stepped(0xeb)]))
    );
    assert_eq!(
        places(OPENSSL_3_6_SENDFILE, &[0]),
        (emulated(0x1b, 0x48), Ok(vec![stepped(0x126)]))
    );
}

#[test]
fn node_is_entered_at_its_first_push_and_left_at_each_return() {
    let (read, read_exits) = places(NODE_READ, &[0, 1]);
    let (write, write_exits) = places(NODE_WRITE, &[0, 1]);
    assert_eq!((read, write), (emulated(0, 0), emulated(0, 0)));
    assert_eq!(
        read_exits,
        Ok(vec![stepped(0x99), stepped(0xda), stepped(0xf8)])
    );
    assert_eq!(write_exits, Ok(vec![stepped(0x9b), stepped(0x132)]));
}

#[test]
fn boringssl_is_entered_at_its_first_push_and_left_at_its_return() {
    assert_eq!(
        places(BORINGSSL_READ, &[0, 1]),
        (emulated(0, 0), Ok(vec![stepped(0x43)]))
    );
    assert_eq!(
        places(BORINGSSL_WRITE, &[0, 1]),
        (emulated(0, 0), Ok(vec![stepped(0x6c)]))
    );
}
