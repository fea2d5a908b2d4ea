//! What an exchange that begins is part of, and what was done for one that ends.
//!
//! Stands between the exchanges of a connection ([`super::sink`]) and what is known of threads ([`super::serving`],
//! [`crate::scope::Contexts`]). A call that a target makes belongs to whoever wrote its request's first byte. It decides
//! nothing by time.

use super::context::Mover;
use super::shared::Shared;
use crate::exchange::Role;
use crate::id::Id;
use crate::scope::{Context, ExchangeScope, Join, Place, evidence};
use crate::time::MonoNs;

/// What an exchange that begins is.
#[derive(Clone, Copy)]
pub(super) struct Beginning {
    pub(super) role: Role,
    pub(super) late: bool,
    pub(super) ts: MonoNs,
    pub(super) pid: u32,
    /// Who made the record that is read now, where it is an outbound one.
    pub(super) writer: Option<Mover>,
}

impl Shared {
    /// The request that a thread or a goroutine works for, as far as is known.
    pub(super) fn place(&self, context: Context) -> Place {
        if !self.serving.serves(context.pid()) {
            return Place::Nowhere;
        }
        let last = self.contexts.scope(context);
        if let Some(why) = self.serving.doubts(context, last) {
            return Place::Unknown(why);
        }
        match (last, self.contexts.work(context)) {
            (Some(_), None) => Place::Unknown(evidence::SEVERAL),
            (_, work) => {
                let origin = work.and_then(|work| self.store.origin(work.scope));
                origin.map_or(Place::Unknown(evidence::NO_REQUEST), |origin| {
                    Place::Request(origin.id, origin.start.at)
                })
            }
        }
    }

    /// Parent of an exchange that begins, and how that is known.
    pub(super) fn parent(&mut self, begins: Beginning) -> (Option<Id>, Join) {
        match begins.role {
            Role::Server => {
                self.serving.note(begins.pid);
                return (None, Join::Plain);
            }
            Role::Client => {}
        }
        let writer = begins.writer.filter(|writer| writer.made(begins.ts));
        let Some(writer) = writer.filter(|_| !begins.late) else {
            let why = match begins.late {
                true => evidence::BEGAN_BEFORE,
                false => evidence::WRITER_UNKNOWN,
            };
            let serves = self.serving.serves(begins.pid);
            let join = if serves {
                Join::Unknown(why)
            } else {
                Join::Plain
            };
            return (None, join);
        };
        let context = writer.context();
        self.probes.around(context, self.place(context))
    }

    /// An exchange that a target served is over: what was presumed to be part of it is, or is not known to be.
    pub(super) fn doubt(&mut self, id: Id) -> Option<&'static str> {
        let scope = self.store.get_mut::<ExchangeScope>(id)?;
        let is_whole = scope.is_whole();
        match scope.role() {
            Role::Server => self.serving.end(id, is_whole),
            Role::Client => Some(evidence::NO_REQUEST),
        }
    }
}
