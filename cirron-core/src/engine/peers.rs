//! The two sockets of one connection, where targets hold both: which request is which call's.
//!
//! ```text
//!  [alone] --a socket that has the same in common, of the other side--> [paired]
//!     an exchange begins on a socket that is paired, at a spot --the same spot is open at the other one--> joined
//! ```
//! What two sockets have in common is proof, and no guess: of TCP the network namespace, the mirrored addresses and the
//! sequence number at which the connection began, so that neither addresses that are given again nor another namespace's
//! nor those behind a translation of addresses fit; of Unix sockets the socket that connected, which the kernel names to the
//! one that was accepted. Both must have been seen from their accept or connect. An exchange is known again by its spot, the
//! position of its request on the connection ([`Spot`]), which bytes that were lost do not move, while it is open on both.
//! Inside of TLS the positions are those of the plaintext. What is not certain stays unknown, and is counted.

use std::hash::BuildHasher as _;

use cirron_common::conn::{ConnInfo, role};

use super::shared::Shared;
use super::{Engine, Key, Map};
use crate::exchange::{Role, Spot};
use crate::id::Id;
use crate::scope::ExchangeScope;

const UNIX: u16 = 1;
const INET: u16 = 2;
const INET6: u16 = 10;

/// Bytes of a socket in the tables, about.
const ALONE_BYTES: usize = 2 * size_of::<(u64, Key)>();
const PAIRED_BYTES: usize = 2 * size_of::<(Key, Socket)>();
const NOTED_BYTES: usize = size_of::<Noted>();

/// An address as IPv6 has it, and a port.
type Address = ([u8; 16], u16);

/// What both sockets of a connection know, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Common {
    Tcp {
        netns: u32,
        first_seq: u32,
        connected: Address,
        accepted: Address,
    },
    /// Inode number of the socket that connected.
    Unix(u64),
}

impl Common {
    /// Of a socket, and whether it was accepted; `None`: its beginning was not seen, or its kind has nothing.
    fn read(key: Key, info: &ConnInfo) -> Option<(Common, bool)> {
        let accepted = match info.role {
            role::ACCEPTED => true,
            role::CONNECTED => false,
            _ => return None,
        };
        if info.late != 0 {
            return None;
        }
        let common = match info.family {
            UNIX if accepted => {
                let inode = info.peer_addr.first_chunk();
                let inode = inode.copied().map_or(0, u64::from_ne_bytes);
                (inode != 0).then_some(Common::Unix(inode))?
            }
            UNIX => Common::Unix(key.0),
            INET | INET6 if info.netns != 0 && info.first_seq != 0 => {
                let local = (address(info.family, &info.local_addr), info.local_port);
                let peer = (address(info.family, &info.peer_addr), info.peer_port);
                let (connected, accepted) = match accepted {
                    true => (peer, local),
                    false => (local, peer),
                };
                Common::Tcp {
                    netns: info.netns,
                    first_seq: info.first_seq,
                    connected,
                    accepted,
                }
            }
            _ => return None,
        };
        Some((common, accepted))
    }
}

/// IPv4 is mapped (RFC 4291, section 2.5.5.2): one socket of a connection may say it the one way, and the other the other.
fn address(family: u16, bytes: &[u8; 16]) -> [u8; 16] {
    let [a, b, c, d, ..] = *bytes;
    match family {
        INET => core::net::Ipv4Addr::new(a, b, c, d)
            .to_ipv6_mapped()
            .octets(),
        _ => *bytes,
    }
}

/// An exchange that is open on a socket whose peer is known.
#[derive(Clone, Copy, Debug)]
struct Noted {
    place: SocketSpot,
    role: Role,
    scope: Id,
    joined: bool,
}

/// The spot of an exchange on a socket: in the plaintext of the TLS that it carries, or in its own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketSpot {
    pub(super) tls: bool,
    pub(super) spot: Spot,
}

/// A socket whose peer is known.
#[derive(Debug)]
struct Socket {
    peer: Key,
    open: Vec<Noted>,
}

/// All sockets that may have a peer here.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Those whose peer was not seen, by the hash of what both have in common.
    alone: Map<u64, Key>,
    paired: Map<Key, Socket>,
    /// Exchanges that are noted.
    noted: usize,
}

impl Peers {
    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.alone.len() * ALONE_BYTES + self.paired.len() * PAIRED_BYTES + self.noted * NOTED_BYTES
    }

    fn hash(&self, common: &Common) -> u64 {
        self.alone.hasher().hash_one(common)
    }

    /// The socket is known no more.
    pub(super) fn forget(&mut self, key: Key, info: &ConnInfo) {
        if let Some(socket) = self.paired.remove(&key) {
            self.noted -= socket.open.len();
        } else if let Some((common, _)) = Common::read(key, info) {
            let hash = self.hash(&common);
            if self.alone.get(&hash) == Some(&key) {
                self.alone.remove(&hash);
            }
        }
    }

    fn pair(&mut self, one: Key, other: Key) {
        for (key, peer) in [(one, other), (other, one)] {
            let open = Vec::new();
            if let Some(before) = self.paired.insert(key, Socket { peer, open }) {
                self.noted -= before.open.len();
            }
        }
    }

    /// An exchange is open on a socket. Gives the other half of it, where that is.
    fn note(&mut self, socket: Key, place: SocketSpot, role: Role, scope: Id) -> Option<Id> {
        let own = self.paired.get_mut(&socket)?;
        if own.open.iter().all(|noted| noted.scope != scope) {
            self.noted += 1;
            own.open.push(Noted {
                place,
                role,
                scope,
                joined: false,
            });
        }
        let peer = own.peer;
        let peer = self.paired.get(&peer)?;
        let mut halves = peer.open.iter().filter(|other| {
            let is_half = other.place == place && other.role != role;
            is_half && !other.joined
        });
        match (halves.next(), halves.next()) {
            (Some(half), None) => Some(half.scope),
            _ => None,
        }
    }

    fn joined(&mut self, socket: Key, scopes: [Id; 2]) {
        let peer = self.paired.get(&socket).map(|own| own.peer);
        for key in std::iter::once(socket).chain(peer) {
            let open = self.paired.get_mut(&key).map(|socket| &mut socket.open);
            let noted = open.into_iter().flatten();
            noted
                .filter(|noted| scopes.contains(&noted.scope))
                .for_each(|noted| noted.joined = true);
        }
    }

    /// An exchange on a socket is over. Whether it was joined; `None`: nothing of it was noted.
    pub(super) fn end(&mut self, socket: Key, scope: Id) -> Option<bool> {
        let own = self.paired.get_mut(&socket)?;
        let at = own.open.iter().position(|noted| noted.scope == scope)?;
        self.noted -= 1;
        Some(own.open.swap_remove(at).joined)
    }
}

impl Shared {
    /// An exchange stands at this place of a socket: it is joined to the other half of it, where that is open.
    pub(super) fn note_exchange(&mut self, socket: Key, place: SocketSpot, role: Role, scope: Id) {
        let Some(half) = self.peers.note(socket, place, role, scope) else {
            return;
        };
        let (call, request) = match role {
            Role::Client => (scope, half),
            Role::Server => (half, scope),
        };
        let head = |id| self.store.get::<ExchangeScope>(id)?.first_line();
        let is_one = head(call).is_some_and(|asked| head(request) == Some(asked));
        if !is_one {
            self.stats.ends_refused += 1;
        } else if self.store.join_ends(call, request) {
            self.peers.joined(socket, [call, request]);
            self.stats.callers_known += 1;
        }
    }
}

impl Engine {
    /// The socket's beginning was told: finds the other socket of its connection, where it is a target's.
    pub(super) fn find_peer(&mut self, key: Key) {
        let read = |engine: &Engine, key| {
            let conn = engine.conns.get(&key).filter(|conn| conn.is_socket())?;
            Common::read(key, conn.info())
        };
        let Some((common, accepted)) = read(self, key) else {
            return;
        };
        let hash = self.shared.peers.hash(&common);
        let other = self.shared.peers.alone.get(&hash).copied();
        let is_peer = |other: &Key| read(self, *other) == Some((common, !accepted));
        let Some(other) = other.filter(is_peer) else {
            self.shared.peers.alone.insert(hash, key);
            return;
        };
        self.shared.peers.alone.remove(&hash);
        self.shared.peers.pair(key, other);
        self.shared.stats.paired_connections += 1;
        for socket in [key, other] {
            self.note_open(socket, socket);
            if let Some(object) = self.links.get(&socket).copied() {
                self.note_open(object, socket);
            }
        }
    }

    /// Exchanges that are open on a socket, or on an object of a TLS library that uses it.
    pub(super) fn note_open(&mut self, conn: Key, socket: Key) {
        if let Some(conn) = self.conns.get(&conn) {
            conn.note_open(socket, &mut self.shared);
        }
    }
}
