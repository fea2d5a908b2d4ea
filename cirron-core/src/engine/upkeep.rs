//! What is kept true of a connection whenever it was touched: that it is known, its time-out, its share of the budget,
//! and that the kernel side copies no bytes of it that nobody reads.

use cirron_common::record::close;

use super::conn::{Conn, GaveUp};
use super::lineage::Moment;
use super::shared::Shared;
use super::{Engine, Key};
use crate::exchange::Protocol;
use crate::record::Head;

impl Shared {
    /// Where the target is its client, and what it does as one is wanted.
    pub(super) fn measure_where_wanted(&self, conn: &mut Conn) {
        let wanting = self.sessions.rules(conn.tgid);
        if conn.was_connected() && wanting.is_some_and(|rules| rules.wants_net_scopes()) {
            conn.measure();
        }
    }
}

impl Engine {
    /// A connection is seen for the first time. What stood in its place before has ended.
    pub(super) fn begin(&mut self, key: Key, mut conn: Conn, head: &Head) {
        self.shared.count_connection(head.source, head.tgid);
        // Processes have objects at the same addresses.
        let process = if conn.is_socket() { 0 } else { head.tgid };
        conn.slot = (key.0, process);
        conn.epoch = key.1;
        self.shared.lineage.forget_connection(conn.slot);
        self.shared.measure_where_wanted(&mut conn);
        if let Some(moment) = Moment::new(head).filter(|_| conn.was_accepted()) {
            self.shared.lineage.accept(conn.slot, moment);
        }
        let before = self.newest.insert(conn.slot, key);
        self.conns.insert(key, Box::new(conn));
        if let Some(before) = before.filter(|before| *before != key) {
            self.close(before, close::LOST, None, head.ts);
        }
    }

    /// A connection is over, or is not to be known any more.
    pub(super) fn forget(&mut self, key: Key) {
        if let Some(mut conn) = self.conns.remove(&key) {
            conn.end_net(&mut self.shared);
            self.shared.count_end(&conn);
            if conn.is_socket() {
                self.shared.peers.forget(key, conn.info());
            }
            self.budget.set(key, conn.budgeted, None);
            if self.newest.get(&conn.slot) == Some(&key) {
                self.shared.lineage.forget_connection(conn.slot);
                self.newest.remove(&conn.slot);
            }
            if let Some(socket) = conn.socket {
                self.links.remove(&socket);
            }
        }
        self.timers.set(key, None);
    }

    /// The least useful give up, until all hold no more than they may.
    pub(super) fn keep_within_budget(&mut self) {
        self.budget.set_shared(self.shared.held_bytes());
        while let Some(key) = self.budget.too_much() {
            let Some(conn) = self.conns.get_mut(&key) else {
                return;
            };
            match conn.give_up(self.now, &mut self.shared) {
                GaveUp::Bodies(bodies) => self.shared.stats.given_up_bodies += bodies,
                GaveUp::Connection => {
                    self.shared.stats.given_up_connections += 1;
                    self.shared.mute(key);
                }
                GaveUp::Nothing => {
                    self.shared.stats.forgotten_connections += 1;
                    self.forget(key);
                    continue;
                }
            }
            self.account(key);
        }
    }

    pub(super) fn account(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(&key) {
            let share = Some(conn.share());
            self.budget.set(key, conn.budgeted, share);
            conn.budgeted = share;
        }
    }

    /// Keeps the time-outs true after a connection was touched, and mutes what is of no use.
    pub(super) fn after(&mut self, key: (u64, u64)) {
        let Some(conn) = self.conns.get_mut(&key) else {
            return;
        };
        self.timers.set(key, conn.poll_timeout());
        self.account(key);
        self.mute(key);
        self.keep_within_budget();
    }

    /// The kernel side need not copy the bytes of a connection that is not read.
    pub(super) fn mute(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(&key) else {
            return;
        };
        if let Some(protocol) = conn.turned_opaque() {
            match protocol {
                Protocol::Tls => {
                    self.shared.stats.tls_sockets += 1;
                    self.shared.sessions.tls(conn.tgid, 1, 0);
                }
                Protocol::Unknown
                | Protocol::Http1
                | Protocol::Http2
                | Protocol::WebSocket
                | Protocol::Opaque => {
                    self.shared.stats.opaque_connections += 1;
                }
            }
            // The kernel side knows no way to tell lengths alone: of one that is measured it goes on to copy.
            if !conn.is_measured() {
                self.shared.mute(key);
            }
        }
    }
}
