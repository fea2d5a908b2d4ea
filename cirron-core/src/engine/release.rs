//! A process that is a target no more, though it lives.
//!
//! Its connections close with what is known of them, as at the agent's end, and its session closes. A socket that
//! another target uses as well is to that one a connection which was joined late.

use super::Engine;
use super::shared::Shared;
use crate::scope::Rows;
use crate::time::MonoNs;

impl Engine {
    /// What `Body::Release` asks for.
    pub(super) fn release(&mut self, tgid: u32, ts: MonoNs) {
        let its = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.tgid == tgid || conn.serves(tgid, &self.shared.store));
        let mut keys: Vec<_> = its.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        for key in keys {
            if let Some(conn) = self.conns.get_mut(&key) {
                conn.handle_end(ts, &mut self.shared);
            }
            self.forget(key);
        }
        self.shared.release_child(tgid);
        self.shared.end_process(tgid, ts);
        let Shared {
            sessions,
            outputs,
            store,
            ..
        } = &mut self.shared;
        sessions.release(tgid, ts, store, outputs);
        self.budget.set_shared(self.shared.held_bytes());
    }

    /// Scopes that are open now: the oldest `at_most`, and how many others there are. From here on `Changed` is told
    /// of those again.
    pub fn open_scopes(&mut self, at_most: usize) -> Rows {
        self.shared.store.rows(at_most)
    }
}
