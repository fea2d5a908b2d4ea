//! Ends of connections: what ended, and who ended it first.

use super::super::{AbortedBy, Role};
use crate::proto::message::MessageEnd;
use crate::stream::Direction;

/// Why a connection, or one direction of it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCause {
    /// The peer's FIN arrived. Bytes before it may still be unread, so that the inbound direction
    /// goes on until [`crate::stream::Piece::Eof`] (a read returned 0) or a close.
    PeerFin,
    /// The peer reset the connection.
    PeerReset,
    /// The target shut its sending side: the outbound direction ended, the inbound goes on.
    LocalShutWrite,
    /// The target closed the connection.
    LocalClose,
    /// The network failed (a timeout, a route that went away).
    NetError,
    /// The target process ended, and its connections with it.
    ProcessExit,
    /// We stop looking.
    AgentStop,
    /// It has ended, and what told how was lost.
    Untold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Peer,
    Local,
    Network,
    Agent,
    Unknown,
}

/// What is known of the end so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::exchange) struct Ends {
    first: Option<Side>,
    /// The first end came in the middle of a response.
    mid_response: bool,
    fin: Fin,
}

/// What the peer's FIN was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fin {
    #[default]
    None,
    /// An end, as far as is known.
    Came,
    /// No end: the peer reads on.
    HalfClose,
}

impl Ends {
    /// Notes an end; only the first decides who.
    pub(in crate::exchange) fn note(&mut self, cause: CloseCause, mid_response: bool) {
        let side = match cause {
            CloseCause::PeerFin | CloseCause::PeerReset => Side::Peer,
            CloseCause::LocalShutWrite | CloseCause::LocalClose | CloseCause::ProcessExit => {
                Side::Local
            }
            CloseCause::NetError => Side::Network,
            CloseCause::AgentStop => Side::Agent,
            CloseCause::Untold => Side::Unknown,
        };
        let is_fin = cause == CloseCause::PeerFin;
        let is_end = !is_fin || self.fin != Fin::HalfClose;
        if is_fin && is_end {
            self.fin = Fin::Came;
        }
        if self.first.is_none() && is_end {
            self.first = Some(side);
            self.mid_response = mid_response;
        }
    }

    /// The peer's FIN was no end: it reads on.
    pub(super) fn note_half_close(&mut self) {
        if self.first == Some(Side::Peer) {
            *self = Ends {
                fin: Fin::HalfClose,
                ..Ends::default()
            };
        }
    }

    /// The peer has sent its FIN.
    pub(super) fn fin_came(&self) -> bool {
        self.fin != Fin::None
    }

    /// Who ended what was open.
    pub(in crate::exchange) fn aborted_by(&self, role: Role) -> Option<AbortedBy> {
        match (self.first?, role) {
            (Side::Peer, Role::Server) | (Side::Local, Role::Client) => Some(AbortedBy::Client),
            (Side::Local, Role::Server) | (Side::Peer, Role::Client) => Some(AbortedBy::Server),
            (Side::Agent, _) => Some(AbortedBy::Agent),
            (Side::Network | Side::Unknown, _) => None,
        }
    }

    /// How a close-delimited response ends: complete when the end that sends it closed in order
    /// and the other had not left in the middle.
    pub(in crate::exchange) fn close_delimited(&self, role: Role, cause: CloseCause) -> MessageEnd {
        let complete = match (cause, role) {
            (
                CloseCause::PeerReset
                | CloseCause::NetError
                | CloseCause::AgentStop
                | CloseCause::Untold,
                _,
            ) => false,
            // A process that dies closes its sockets as one that is done does: not known.
            (CloseCause::ProcessExit, Role::Server) => false,
            (
                CloseCause::PeerFin | CloseCause::LocalShutWrite | CloseCause::LocalClose,
                Role::Server,
            ) => {
                // A client may shut its sending side behind its request and still read.
                !(self.first == Some(Side::Peer) && self.mid_response)
            }
            (
                CloseCause::PeerFin
                | CloseCause::LocalShutWrite
                | CloseCause::LocalClose
                | CloseCause::ProcessExit,
                Role::Client,
            ) => self.first == Some(Side::Peer),
        };
        if complete {
            MessageEnd::Complete
        } else {
            MessageEnd::Aborted
        }
    }
}

impl CloseCause {
    /// Whether this direction is over with it.
    pub(super) fn ends(self, dir: Direction) -> bool {
        match self {
            CloseCause::PeerFin => false,
            CloseCause::LocalShutWrite => dir == Direction::Outbound,
            CloseCause::PeerReset
            | CloseCause::LocalClose
            | CloseCause::NetError
            | CloseCause::ProcessExit
            | CloseCause::AgentStop
            | CloseCause::Untold => true,
        }
    }
}
