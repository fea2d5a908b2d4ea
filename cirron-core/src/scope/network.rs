//! Addresses of a connection, as attributes of an exchange or of what was done on it.
//!
//! An IPv4 peer of an IPv6 socket has a mapped address (RFC 4291, section 2.5.5.2): what travels is
//! IPv4, and so is what is written. A socket of which no address is known may carry either.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cirron_common::conn::ConnInfo;

use super::names as n;
use super::span::Attrs;
use crate::exchange::Role;

/// `AF_UNIX`, `AF_INET` and `AF_INET6`.
const UNIX: u16 = 1;
const INET: u16 = 2;
const INET6: u16 = 10;

/// Writes what is known of the connection: no key for what another key says.
///
/// TCP is what a port or an address says, and an address says its own type (`network.type`).
pub(super) fn network(conn: &ConnInfo, role: Role, attrs: &mut Attrs) {
    let local = (address(conn.family, &conn.local_addr), conn.local_port);
    let peer = (address(conn.family, &conn.peer_addr), conn.peer_port);
    let addressed = local.0.or(peer.0).is_some();
    let is_bare = !addressed && local.1 == 0 && peer.1 == 0;
    match conn.family {
        UNIX => {
            attrs.insert(n::TRANSPORT, "unix".into());
            return;
        }
        INET | INET6 if is_bare => {
            attrs.insert(n::TRANSPORT, "tcp".into());
        }
        INET | INET6 => {}
        _ => return,
    }
    // A socket of IPv6 alone does not tell.
    if conn.family == INET && !addressed {
        attrs.insert(n::NETWORK_TYPE, "ipv4".into());
    }
    let (server, client) = match role {
        Role::Server => (local, peer),
        Role::Client => (peer, local),
    };
    for ((address, port), names) in [
        (server, (n::SERVER_ADDRESS, n::SERVER_PORT)),
        (client, (n::CLIENT_ADDRESS, n::CLIENT_PORT)),
    ] {
        if let Some(address) = address {
            attrs.insert(names.0, address.to_string().into());
        }
        if port != 0 {
            attrs.insert(names.1, i64::from(port).into());
        }
    }
}

/// The address that travels; `None`: it is not known.
fn address(family: u16, bytes: &[u8; 16]) -> Option<IpAddr> {
    let address = match family {
        INET => {
            let [a, b, c, d, ..] = *bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        INET6 => IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical(),
        _ => return None,
    };
    Some(address).filter(|a| !a.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::span::AttrValue;

    /// `network.type`, the server's and the client's address of a socket of this family.
    fn written(family: u16, local: &str, peer: &str, role: Role) -> [Option<String>; 3] {
        let attrs = of_socket(family, local, peer, [80, 40_000], role);
        [n::NETWORK_TYPE, n::SERVER_ADDRESS, n::CLIENT_ADDRESS].map(|name| said(&attrs, name))
    }

    fn said(attrs: &Attrs, name: &str) -> Option<String> {
        match attrs.get(name) {
            Some(AttrValue::Str(text)) => Some(text.to_string()),
            Some(_) | None => None,
        }
    }

    fn of_socket(family: u16, local: &str, peer: &str, ports: [u16; 2], role: Role) -> Attrs {
        let bytes = |text: &str| match text.parse() {
            Ok(IpAddr::V4(v4)) if family == INET => {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&v4.octets());
                bytes
            }
            Ok(IpAddr::V4(v4)) => v4.to_ipv6_mapped().octets(),
            Ok(IpAddr::V6(v6)) => v6.octets(),
            Err(_) => [0; 16],
        };
        let conn = ConnInfo {
            family,
            local_addr: bytes(local),
            peer_addr: bytes(peer),
            local_port: ports[0],
            peer_port: ports[1],
            ..ConnInfo::default()
        };
        let mut attrs = Attrs::new();
        network(&conn, role, &mut attrs);
        attrs
    }

    fn texts(want: [&str; 3]) -> [Option<String>; 3] {
        want.map(|text| Some(text.to_owned()).filter(|t| !t.is_empty()))
    }

    #[test]
    fn a_mapped_address_is_one_of_ipv4() {
        for (family, local, peer, want) in [
            (INET, "10.0.0.1", "10.0.0.2", ["", "10.0.0.1", "10.0.0.2"]),
            (
                INET6,
                "::ffff:127.0.0.1",
                "::ffff:127.0.0.1",
                ["", "127.0.0.1", "127.0.0.1"],
            ),
            // A server that listens on all addresses, whose own is not known yet.
            (INET6, "::", "::ffff:10.0.0.2", ["", "", "10.0.0.2"]),
            (INET6, "::ffff:10.0.0.1", "::", ["", "10.0.0.1", ""]),
            (
                INET6,
                "::ffff:0.0.0.0",
                "::ffff:10.0.0.2",
                ["", "", "10.0.0.2"],
            ),
            (INET6, "fe80::1", "fe80::2", ["", "fe80::1", "fe80::2"]),
            (INET6, "::1", "::1", ["", "::1", "::1"]),
            // Compatible addresses (deprecated) and translated ones are no mapped ones.
            (
                INET6,
                "::1.2.3.4",
                "64:ff9b::1.2.3.4",
                ["", "::102:304", "64:ff9b::102:304"],
            ),
            (INET6, "", "", ["", "", ""]),
            (INET, "", "", ["ipv4", "", ""]),
            (UNIX, "", "", ["", "", ""]),
        ] {
            assert_eq!(
                written(family, local, peer, Role::Server),
                texts(want),
                "{local} {peer}"
            );
            let [kind, server, client] = want;
            let turned = [kind, client, server];
            assert_eq!(
                written(family, local, peer, Role::Client),
                texts(turned),
                "{local} {peer}"
            );
        }
    }

    #[test]
    fn what_ports_and_addresses_say_is_not_said_again() {
        let keys = |family, addresses: [&str; 2], ports| {
            let attrs = of_socket(family, addresses[0], addresses[1], ports, Role::Server);
            [n::TRANSPORT, n::NETWORK_TYPE].map(|name| said(&attrs, name))
        };
        let words = |want: [&str; 2]| want.map(|w| Some(w.to_owned()).filter(|w| !w.is_empty()));
        let ports = [80, 40_000];
        for (family, addresses, ports, want) in [
            (INET, ["10.0.0.1", "10.0.0.2"], ports, ["", ""]),
            (INET, ["10.0.0.1", ""], [0, 0], ["", ""]),
            (INET6, ["", "::1"], [0, 0], ["", ""]),
            // A port is one of TCP, and of no type.
            (INET6, ["", ""], [80, 0], ["", ""]),
            (INET, ["", ""], [0, 40_000], ["", "ipv4"]),
            // Nothing else would say it.
            (INET, ["", ""], [0, 0], ["tcp", "ipv4"]),
            (INET6, ["", ""], [0, 0], ["tcp", ""]),
            (UNIX, ["", ""], [0, 0], ["unix", ""]),
            (0, ["", ""], [0, 0], ["", ""]),
        ] {
            assert_eq!(
                keys(family, addresses, ports),
                words(want),
                "{family} {addresses:?} {ports:?}"
            );
        }
    }
}
