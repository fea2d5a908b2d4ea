//! From the events of one connection's exchanges to the scopes of the store.
//!
//! ```text
//!  Start -> begin -> Store::open      any event -> hand_on -> Store::with      End -> end -> Store::close, or forget
//! ```
//! What a scope means is its content's matter, what is written the store's; here is known only which scope an
//! exchange is, who runs it, and what it holds.

use std::collections::BTreeMap;

use cirron_common::conn::ConnInfo;

use super::Key;
use super::conn::Slot;
use super::context::Mover;
use super::joins::Beginning;
use super::peers::SocketSpot;
use super::shared::Shared;
use super::unsent::Told;
use crate::exchange::{ExchangeEvent, ExchangeId, ExchangeSink, Role, Spot};
use crate::id::Id;
use crate::proto::message::Version;
use crate::rules;
use crate::scope::{ExchangeScope, ScopeContext, Start, evidence};
use crate::time::MonoNs;

/// What a step of a connection's parser writes to.
pub(super) struct Sink<'a> {
    pub(super) scopes: &'a mut BTreeMap<ExchangeId, Id>,
    pub(super) scope_bytes: &'a mut usize,
    pub(super) shared: &'a mut Shared,
    pub(super) info: &'a ConnInfo,
    /// Its socket, where that is known.
    pub(super) socket: Option<Key>,
    pub(super) unnamed: &'a mut bool,
    pub(super) given_up: bool,
    pub(super) tls: bool,
    pub(super) tls_link: Option<&'static str>,
    pub(super) tgid: u32,
    pub(super) tid: u32,
    /// The thread that accepted the connection; 0: not known.
    pub(super) acceptor: u32,
    /// Who made the record that is read now, where it is an inbound one.
    pub(super) reader: Option<Mover>,
    /// The same, where it is an outbound one.
    pub(super) writer: Option<Mover>,
    pub(super) told: &'a Told,
    pub(super) slot: Slot,
}

impl ExchangeSink for Sink<'_> {
    fn on_event(&mut self, id: ExchangeId, ts: MonoNs, event: ExchangeEvent<'_>) {
        if let ExchangeEvent::Start { role, late } = event {
            return self.begin(id, ts, role, late);
        }
        if let Some(scope) = self.scopes.get(&id).copied() {
            self.note_work(scope, ts, &event);
            self.hand_on(scope, ts, &event);
        }
        if let ExchangeEvent::End(_) = event {
            self.end(id, ts);
        }
    }

    fn on_spot(&mut self, id: ExchangeId, spot: Spot) {
        let Some(id) = self.scopes.get(&id).copied() else {
            return;
        };
        let Some(scope) = self.shared.store.get_mut::<ExchangeScope>(id) else {
            return;
        };
        scope.set_spot(spot);
        let role = scope.role();
        if let Some(socket) = self.socket {
            let tls = self.tls;
            self.shared
                .note_exchange(socket, SocketSpot { tls, spot }, role, id);
        }
    }
}

impl Sink<'_> {
    fn begin(&mut self, id: ExchangeId, ts: MonoNs, role: Role, late: bool) {
        let (parent, join) = self.shared.parent(Beginning {
            role,
            late,
            ts,
            pid: self.tgid,
            writer: self.writer,
        });
        let Shared {
            store, sessions, ..
        } = &mut *self.shared;
        let context = ScopeContext {
            tls: self.tls,
            tls_link: self.tls_link,
            conn: *self.info,
        };
        let start = Start {
            parent,
            at: ts,
            pid: self.tgid,
            tid: self.tid,
            rank: sessions.rank(self.tgid),
            evidence: match late {
                true => evidence::JOINED,
                false => evidence::BYTES,
            },
            join,
        };
        let mut scope = ExchangeScope::new(ts, store.next_id(), role, late, context);
        if let Some(rules) = sessions.rules(self.tgid) {
            scope.follow(rules, rules::hash(ts.0, self.tid, id.0));
        }
        self.told.begin(ts, &mut scope);
        if self.given_up {
            // Its head was not complete.
            scope.give_up();
        }
        let scope = store.open(start, Box::new(scope));
        *self.scope_bytes += store.held_bytes(scope);
        self.scopes.insert(id, scope);
        match role {
            Role::Server => self.shared.lineage.begin(scope, self.slot, self.tgid),
            Role::Client => self.shared.note_call(scope, join, self.writer),
        }
        self.shared.take_lives();
    }

    /// Who works for it, as far as this tells.
    fn note_work(&mut self, scope: Id, ts: MonoNs, event: &ExchangeEvent<'_>) {
        if let ExchangeEvent::RequestHead(_) | ExchangeEvent::RequestBody(_) = event {
            if let Some(reader) = self.reader {
                reader.works_for(scope, ts, self.acceptor, self.shared);
            }
            if let ExchangeEvent::RequestHead(head) = event
                && head.version == Version::Http2
            {
                self.shared.serving.doubt(scope, evidence::MULTIPLEXED);
                self.shared.lineage.refuse(scope, evidence::MULTIPLEXED);
                self.shared
                    .store
                    .give_up_parent(scope, evidence::MULTIPLEXED);
            }
        } else if let ExchangeEvent::ResponseStart = event {
            let writer = self.writer.filter(|writer| writer.made(ts));
            let moment = writer.and_then(Mover::moment);
            self.shared.lineage.answered(scope, moment);
            let writer = writer.map(Mover::context);
            if !self.shared.serving.answered(scope, writer) {
                self.shared.contexts.end_scope(scope);
            }
        }
    }

    fn hand_on(&mut self, scope: Id, ts: MonoNs, event: &ExchangeEvent<'_>) {
        let (tgid, request) = (self.tgid, scope);
        let Shared {
            store,
            routes,
            shares,
            sessions,
            ..
        } = &mut *self.shared;
        let told = self.told;
        let held = store.with(scope, |scope: &mut ExchangeScope, desk| {
            let before = scope.held();
            scope.on_event(ts, event, desk, routes);
            told.touch(ts, event, scope);
            let tells = matches!(
                event,
                ExchangeEvent::RequestHead(_) | ExchangeEvent::ResponseHead(_)
            );
            let withheld = tells.then(|| scope.withheld(false)).flatten();
            if let ExchangeEvent::RequestHead(_) = event
                && let Some(rule) = scope.rule_by_the_hour()
            {
                let deployment = sessions.deployment(tgid, rule);
                shares.begin(request, deployment, ts);
            }
            (before, scope.held(), withheld)
        });
        if let Some((before, after, withheld)) = held {
            *self.scope_bytes = *self.scope_bytes + after - before;
            if let Some(why) = withheld {
                store.withhold(scope, why);
            }
        }
        self.shared.take_lives();
    }

    fn end(&mut self, id: ExchangeId, ts: MonoNs) {
        let Some(id) = self.scopes.remove(&id) else {
            return;
        };
        if self.scopes.is_empty() {
            // An empty map keeps a node: 280 bytes of each idle connection.
            *self.scopes = BTreeMap::new();
        }
        self.shared.contexts.end_scope(id);
        let part_ns = self.shared.shares.end(id, ts);
        let doubt = self.shared.doubt(id);
        let Shared {
            store,
            stats,
            sessions,
            peers,
            ..
        } = &mut *self.shared;
        *self.scope_bytes -= store.held_bytes(id);
        let Some(pid) = store.origin(id).map(|origin| origin.start.pid) else {
            return;
        };
        let Some(scope) = store.get_mut::<ExchangeScope>(id) else {
            return;
        };
        scope.set_part(part_ns);
        let role = scope.role();
        let is_joined = self.socket.and_then(|socket| peers.end(socket, id));
        stats.callers_unknown += u64::from(is_joined == Some(false) && role == Role::Server);
        if scope.is_nameless() {
            self.shared.forget_exchange(id);
            self.count_nameless(pid);
        } else {
            stats.exchanges += 1;
            match role {
                Role::Server => stats.requests += 1,
                Role::Client => stats.client_calls += 1,
            }
            if let Some(why) = scope.withheld(true) {
                store.withhold(id, why);
            }
            if let Some(why) = store.withheld(id) {
                stats.count_withheld(why);
                sessions.count_withheld(pid, why);
            }
            self.shared.close_exchange(id, ts, doubt);
        }
        self.shared.take_lives();
    }

    /// A connection that was joined late may have thousands: they are counted, and no spans.
    fn count_nameless(&mut self, tgid: u32) {
        let first = !std::mem::replace(self.unnamed, true);
        let Shared {
            stats, sessions, ..
        } = &mut *self.shared;
        stats.unnamed_exchanges += 1;
        stats.unnamed_connections += u64::from(first);
        sessions.count_unnamed(tgid, first);
    }
}
