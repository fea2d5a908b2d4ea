//! What was done on a connection that carries no HTTP, as the content of a scope: `net.client`.
//!
//! Stands behind the engine's `net`, which opens and closes it and gives it its figures at its end. It knows lengths and times;
//! no byte of what passed comes here. It is no call whose time is taken off the `overhead_ms` of its request: what a gateway
//! asks its database is the gateway's own share.

use cirron_common::conn::ConnInfo;

use super::label::Label;
use super::names as n;
use super::network::network;
use super::span::Attrs;
use super::store::{About, Closing, Content};
use crate::exchange::Role;
use crate::time::MonoNs;

/// How much it was, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NetFigures {
    /// Bytes that the target wrote.
    pub sent: u64,
    /// Bytes that it read.
    pub received: u64,
    /// Times that it read behind what it had written.
    pub round_trips: u64,
    /// The first of them.
    pub first_byte: Option<MonoNs>,
    /// Bytes that passed on the connection, untold.
    pub lost: u64,
    /// Its question or answer had no end in so long.
    pub goes_on: bool,
}

/// What was done by one, without another's in between.
#[derive(Debug)]
pub(crate) struct NetScope {
    start: MonoNs,
    conn: ConnInfo,
    /// It may have begun before we looked.
    is_torn: bool,
    /// As `cirron.net.tls`.
    pub(crate) tls: Option<&'static str>,
    /// As `cirron.net.protocol`.
    pub(crate) protocol: Option<&'static str>,
    pub(crate) figures: NetFigures,
}

impl NetScope {
    /// It began at `start`, on a connection with these addresses, or before we looked: `is_torn`.
    pub(crate) fn new(start: MonoNs, conn: ConnInfo, is_torn: bool) -> NetScope {
        NetScope {
            start,
            conn,
            is_torn,
            tls: None,
            protocol: None,
            figures: NetFigures::default(),
        }
    }
}

impl Content for NetScope {
    fn name(&self) -> Label {
        n::NET_CLIENT.into()
    }

    fn describe(&self, attrs: &mut Attrs) {
        network(&self.conn, Role::Client, attrs);
        for (name, word) in [(n::NET_PROTOCOL, self.protocol), (n::NET_TLS, self.tls)] {
            if let Some(word) = word {
                attrs.insert(name, word.into());
            }
        }
    }

    fn about(&self) -> About {
        About {
            endpoint: None,
            model: None,
            first_token: None,
            tokens: None,
        }
    }

    fn held_bytes(&self) -> usize {
        size_of::<NetScope>()
    }

    fn finish(self: Box<Self>, closing: &mut Closing<'_>) {
        let Closing { attrs, marks, .. } = closing;
        self.describe(attrs);
        let figures = self.figures;
        attrs.insert(n::NET_SENT, figures.sent.into());
        attrs.insert(n::NET_RECEIVED, figures.received.into());
        attrs.insert(n::NET_ROUND_TRIPS, figures.round_trips.into());
        if figures.goes_on {
            attrs.insert(n::NET_GOES_ON, true.into());
        }
        if self.is_torn {
            attrs.insert(n::LATE_ATTACH, true.into());
        }
        if figures.lost > 0 || self.is_torn {
            attrs.insert(n::PARTIAL, true.into());
        }
        if figures.lost > 0 {
            attrs.insert(n::LOST_BYTES, figures.lost.into());
        }
        if let Some(first) = figures
            .first_byte
            .filter(|_| figures.lost == 0 && !self.is_torn)
        {
            let took = first.ms_since(self.start);
            marks.float(n::TIME_TO_FIRST_BYTE, took, Attrs::new(), first);
        }
    }
}
