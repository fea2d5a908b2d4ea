//! A connection that may carry no HTTP: from its records to what is measured of it ([`super::super::net`]).
//!
//! Stands before the assemblers. Until the parser knows what the connection speaks both see its records; from then on one
//! of them alone does. It costs a null pointer where nobody asked for it.

use cirron_common::conn::{Positions, role};

use super::Conn;
use crate::engine::net::Net;
use crate::engine::shared::Shared;
use crate::exchange::Protocol;
use crate::record::{Data, Head};

impl Conn {
    /// The target is its client, by the record of its opening.
    pub(in crate::engine) fn was_connected(&self) -> bool {
        self.info.role == role::CONNECTED
    }

    /// It is not known yet what it speaks.
    pub(in crate::engine) fn is_unread(&self) -> bool {
        self.parser.protocol() == Protocol::Unknown
    }

    /// What is done on it is wanted, if it carries no HTTP.
    pub(in crate::engine) fn measure(&mut self) {
        self.net = Some(Box::new(Net::new(self.info.late != 0, self.tls)));
    }

    /// It carries no HTTP, and is measured.
    pub(in crate::engine) fn is_measured(&self) -> bool {
        self.net.as_ref().is_some_and(|net| net.is_measured())
    }

    /// True: nothing else reads the record.
    pub(super) fn handle_measured(
        &mut self,
        head: &Head,
        data: &Data<'_>,
        shared: &mut Shared,
    ) -> bool {
        let Some(net) = &mut self.net else {
            return false;
        };
        net.handle(head, data, &self.info, shared);
        net.is_measured()
    }

    /// The parser has seen more of it.
    pub(super) fn look_for_http(&mut self, shared: &mut Shared) {
        if self.net.as_ref().is_some_and(|net| net.is_certain()) {
            self.parser.leave_to_others();
        }
        let protocol = self.parser.protocol();
        let (tls, tgid) = (self.tls, self.tgid);
        if let Some(net) = &mut self.net
            && !net.learn(protocol, tls, tgid, shared)
        {
            self.net = None;
        }
    }

    /// An object of a TLS library uses it.
    pub(in crate::engine) fn leave_net_to_object(&mut self, shared: &mut Shared) {
        match &mut self.net {
            Some(net) if net.is_measured() => net.leave_to_object(shared),
            _ => self.forget_net(shared),
        }
    }

    /// An end was told, and where the bytes stood then.
    pub(in crate::engine) fn note_net_end(&mut self, at: Option<Positions>) {
        if let Some((net, at)) = self.net.as_mut().zip(at) {
            net.note_end(at);
        }
    }

    /// It is over, or is not to be known any more.
    pub(in crate::engine) fn end_net(&mut self, shared: &mut Shared) {
        if let Some(net) = &mut self.net {
            net.end(shared);
        }
    }

    /// Nothing of it is read any more.
    pub(super) fn forget_net(&mut self, shared: &mut Shared) {
        if let Some(mut net) = self.net.take() {
            net.forget(shared);
        }
    }
}
