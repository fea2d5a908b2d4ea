//! A socket, and the object of a TLS library that uses it: what is told of the one is true of the other.

use cirron_common::ConnInfo;
use cirron_common::conn::Positions;

use super::{Engine, Key};
use crate::time::MonoNs;

impl Engine {
    /// An end was told of the socket or object `key`.
    pub(super) fn close(&mut self, key: Key, why: u64, at: Option<Positions>, ts: MonoNs) {
        self.close_one(key, why, at, ts);
        // What the socket's end tells, the TLS object's may never: who closed, and how. How much plaintext had passed
        // it does not tell.
        if let Some(object) = self.links.get(&key).copied() {
            self.close_one(object, why, None, ts);
        }
    }

    fn close_one(&mut self, key: Key, why: u64, at: Option<Positions>, ts: MonoNs) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.handle_close_record(why, at, ts, &mut self.shared);
            self.after(key);
        }
    }

    /// The TLS object `key` uses `socket`, whose bytes are ciphertext.
    pub(super) fn link(&mut self, key: Key, socket: Key, info: &ConnInfo, evidence: &'static str) {
        if let Some(conn) = self.conns.get_mut(&key) {
            let had_role = conn.was_connected();
            conn.take_addresses(info, evidence, &mut self.shared);
            if !had_role && conn.is_unread() {
                self.shared.measure_where_wanted(conn);
            }
            let unlinked = conn.socket.is_none();
            let tgid = conn.tgid;
            self.shared.stats.tls_linked += u64::from(unlinked);
            if let Some(old) = conn.socket.replace(socket) {
                self.links.remove(&old);
            }
            let first = self.links.insert(socket, key).is_none();
            // Its handshake went by before: it was taken for one that nobody reads.
            let seen = self.conns.get(&socket).is_some_and(|c| c.is_muted_tls());
            self.shared.stats.tls_sockets -= u64::from(first && seen);
            let sessions = &mut self.shared.sessions;
            sessions.tls(tgid, -i64::from(first && seen), -i64::from(unlinked));
            if let Some(socket) = self.conns.get_mut(&socket) {
                socket.leave_net_to_object(&mut self.shared);
            }
            self.note_open(key, socket);
        }
    }

    pub(super) fn apply_sent(&mut self, key: Key, upto: u64, at: Option<MonoNs>, ts: MonoNs) {
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.handle_sent(upto, at, ts, &mut self.shared);
            self.after(key);
        }
    }
}
