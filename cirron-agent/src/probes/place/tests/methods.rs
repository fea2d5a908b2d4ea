//! LibreSSL 2.0, built from its sources, and with it OpenSSL 1.0: `SSL_read` ends in a jump through the
//! method of its object.

use super::{bytes, emulated, ending_in, entry, leaves, stepped};
use cirron_common::operand::Convention;

use crate::probes::place::{Choice, Refusal, Ways, exits, jumps_by_pointer};
use crate::probes::tls::functions::named;

/// At 0x37cd0 in the file, each whole.
pub(in crate::probes) const LIBRESSL_READ: &str = "48 83 7f 30 00 74 1b f6 47 44 02 75 0b 48 8b 47 08 ff 60 30 0f 1f 40 00 c7 47 28 01 00 00 00 31 c0 c3 48 83 ec 08 41 b8 b3 03 00 00 ba 14 01 00 00 be df 00 00 00 48 8d 0d 6b 19 01 00 bf 14 00 00 00 e8 79 06 fe ff b8 ff ff ff ff 48 83 c4 08 c3";
/// At 0x22490. It ends in `jmp SSL_read@plt`.
const LIBRESSL_SSL23_READ: &str = "41 54 41 89 d4 55 48 89 f5 53 48 89 fb e8 8e 3d ff ff 48 89 df c7 00 00 00 00 00 e8 e0 3b ff ff 48 89 df f6 c4 30 74 28 8b 43 2c 85 c0 75 21 ff 53 30 85 c0 78 24 74 28 44 89 e2 48 89 ee 48 89 df 5b 5d 41 5c e9 d6 48 ff ff 66 0f 1f 44 00 00 e8 8b 5f ff ff b8 ff ff ff ff 5b 5d 41 5c c3 90 41 b8 5f 00 00 00 ba e5 00 00 00 be 78 00 00 00 bf 14 00 00 00 48 8d 0d d4 28 02 00 e8 7f 5e ff ff eb d2";
/// At 0x2c2f0: `xor %ecx,%ecx; jmp ssl3_read_internal`.
const LIBRESSL_SSL3_READ: &str = "31 c9 e9 39 ff ff ff";
/// At 0x2c230.
const LIBRESSL_SSL3_READ_INTERNAL: &str = "41 55 41 89 cd 41 54 41 89 d4 55 48 89 f5 53 48 89 fb 48 83 ec 08 e8 e5 9f fe ff c7 00 00 00 00 00 48 8b 43 78 8b 90 cc 01 00 00 85 d2 75 79 48 89 ea 45 89 e8 44 89 e1 be 17 00 00 00 c7 80 d8 01 00 00 01 00 00 00 48 8b 43 08 48 89 df ff 50 68 48 8b 53 78 83 f8 ff 74 16 c7 82 d8 01 00 00 00 00 00 00 48 83 c4 08 5b 5d 41 5c 41 5d c3 90 83 ba d8 01 00 00 02 75 e1 48 8b 43 08 83 43 2c 01 45 89 e8 44 89 e1 48 89 ea 48 89 df be 17 00 00 00 ff 50 68 83 6b 2c 01 48 83 c4 08 5b 5d 41 5c 41 5d c3 0f 1f 40 00 48 89 df e8 a0 a5 fe ff 48 8b 43 78 e9 76 ff ff ff";

const READ: i64 = 0x37cd0;
const PLT_OF_READ: i64 = 0x16db0 - READ;

fn methods() -> Vec<(i64, Vec<u8>)> {
    vec![
        (0x22490 - READ, bytes(LIBRESSL_SSL23_READ)),
        (0x2c2f0 - READ, bytes(LIBRESSL_SSL3_READ)),
        (0x2c230 - READ, bytes(LIBRESSL_SSL3_READ_INTERNAL)),
    ]
}

#[test]
fn a_read_that_ends_in_a_method_of_its_object_is_left_where_the_methods_are() {
    let code = bytes(LIBRESSL_READ);
    assert_eq!(
        entry(&code, Convention::SystemV, &[0, 1], Choice::Cheapest),
        emulated(5, 0)
    );
    assert!(jumps_by_pointer(&code));
    let ways = Ways {
        code: methods(),
        watched: vec![PLT_OF_READ],
        has_methods: true,
        ..Ways::default()
    };
    let want = [
        0x37cf1, 0x37d20, // SSL_read
        0x224ee, // ssl23_read
        0x2c29e, 0x2c2d3, // ssl3_read_internal
    ];
    assert_eq!(
        exits(&code, &ways, Choice::Cheapest).unwrap(),
        want.map(|at: i64| stepped(at - READ))
    );
}

#[test]
fn without_its_methods_or_where_one_leads_elsewhere_it_has_no_exit() {
    let code = bytes(LIBRESSL_READ);
    for (ways, why) in [
        (Ways::default(), Refusal::Pointer),
        // Where a jump of theirs leads is not known either.
        (ending_in(&methods()), Refusal::Leaves),
        // `ssl23_read` goes somewhere that is not watched.
        (
            Ways {
                code: methods(),
                watched: Vec::new(),
                has_methods: true,
                ..Ways::default()
            },
            Refusal::Leaves,
        ),
    ] {
        assert_eq!(exits(&code, &ways, Choice::Cheapest), Err(why));
    }
}

#[test]
fn what_the_methods_lead_to_is_told() {
    assert_eq!(
        leaves(0x22490 - READ, &bytes(LIBRESSL_SSL23_READ)),
        [PLT_OF_READ]
    );
    assert_eq!(
        leaves(0x2c2f0 - READ, &bytes(LIBRESSL_SSL3_READ)),
        [0x2c230 - READ]
    );
    let methods = |name| named(name).unwrap().methods();
    assert_eq!(methods("SSL_read"), ["ssl23_read", "ssl3_read"]);
    assert!(methods("SSL_write").contains(&"ssl3_write"));
    for other in ["SSL_read_ex", "SSL_do_handshake", "gnutls_record_recv"] {
        assert!(methods(other).is_empty());
    }
}
