//! A process that is a target no more, though it lives.
//!
//! Its connections close with what is known of them, as at the agent's end, and its session closes. A socket that
//! another target uses as well is to that one a connection which was joined late.

use super::{Engine, Shared};
use crate::time::MonoNs;

/// An exchange that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenScope {
    /// The process that it is of.
    pub tgid: u32,
    /// When it began.
    pub start: MonoNs,
}

impl Engine {
    /// What `Body::Release` asks for.
    pub(super) fn release(&mut self, tgid: u32, ts: MonoNs) {
        let its = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.tgid == tgid || conn.serves(tgid));
        let mut keys: Vec<_> = its.map(|(key, _)| *key).collect();
        keys.sort_unstable();
        for key in keys {
            if let Some(conn) = self.conns.get_mut(&key) {
                conn.handle_end(ts, &mut self.shared);
            }
            self.forget(key);
        }
        let Shared {
            sessions,
            outputs,
            ids,
            ..
        } = &mut self.shared;
        sessions.release(tgid, ts, ids.as_mut(), outputs);
        self.budget.set_sessions(self.shared.sessions.held_bytes());
    }

    /// Exchanges that go on now, the oldest first.
    pub fn open_scopes(&self) -> Vec<OpenScope> {
        let mut open: Vec<OpenScope> = self.conns.values().flat_map(|c| c.open_scopes()).collect();
        open.sort_unstable_by_key(|scope| (scope.start, scope.tgid));
        open
    }
}
