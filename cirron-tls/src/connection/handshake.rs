//! What a handshake message changes.

use super::{Connection, Stage, State, With};
use crate::hello::{ClientHello, ServerHello, accepts_early};
use crate::message::{
    CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ENCRYPTED_EXTENSIONS, END_OF_EARLY_DATA, FINISHED,
    KEY_UPDATE, Message, SERVER_HELLO, SERVER_HELLO_DONE,
};
use crate::sink::{Dir, Reason, Verdict};
use crate::suite::{Suite, Version};

impl<M: Copy> Connection<M> {
    /// A handshake message ended.
    pub(super) fn handle(&mut self, dir: Dir, message: &Message, with: &mut With<'_, M>) {
        let half = self.halves.half_mut(dir);
        match (message.kind, &half.state) {
            (CLIENT_HELLO, State::Clear | State::Open(Stage::Tls12, _)) => {
                self.handle_client_hello(dir, message, with);
            }
            (SERVER_HELLO, State::Clear | State::Open(Stage::Tls12, _)) => {
                self.handle_server_hello(dir, message, with);
            }
            (
                SERVER_HELLO_DONE | CLIENT_KEY_EXCHANGE,
                State::Clear | State::Open(Stage::Tls12, _),
            ) => self.hellos.is_full = true,
            (ENCRYPTED_EXTENSIONS, State::Open(Stage::Handshake, _)) => {
                self.hellos.accepts_early = Some(accepts_early(&message.body));
            }
            (END_OF_EARLY_DATA, State::Open(Stage::Early, _)) => {
                half.state = State::Sealed(Stage::Handshake);
            }
            (FINISHED, State::Open(Stage::Handshake, _)) => {
                half.state = State::Sealed(Stage::Application);
                self.settle_early(dir, with.pool);
            }
            (KEY_UPDATE, State::Open(Stage::Application, keys)) => {
                half.state = match keys.next() {
                    Some(next) => State::Open(Stage::Application, Box::new(next)),
                    None => State::Closed,
                };
            }
            _ => {}
        }
    }

    fn handle_client_hello(&mut self, dir: Dir, message: &Message, with: &mut With<'_, M>) {
        let Some(hello) = ClientHello::read(&message.body) else {
            self.give_up(Verdict::GaveUp(Reason::Hello), with);
            return;
        };
        // Behind a request for another hello no early data is sent.
        self.hellos.offers_early = self.hellos.client.is_none() && hello.offers_early;
        // A second one that was asked for has the random of the first.
        if self
            .hellos
            .client
            .is_none_or(|first| first.random != hello.random)
        {
            self.hellos.of_client += 1;
        }
        self.hellos.client = Some(hello);
        self.hellos.client_dir = Some(dir);
    }

    fn handle_server_hello(&mut self, dir: Dir, message: &Message, with: &mut With<'_, M>) {
        let Some(hello) = ServerHello::read(&message.body) else {
            self.give_up(Verdict::GaveUp(Reason::Hello), with);
            return;
        };
        self.hellos.client_dir = Some(dir.other());
        if hello.is_retry {
            self.hellos.is_retried = true;
            self.hellos.accepts_early = Some(false);
            return;
        }
        self.hellos.server = Some(hello);
        self.hellos.of_server += 1;
        self.hellos.is_full = false;
        let suite = Suite::by_id(hello.suite);
        let reason = match (hello.version, suite) {
            (Some(version), Some(suite)) if suite.version == version => {
                self.hellos.suite = Some(suite);
                if version == Version::Tls13 {
                    self.halves.half_mut(dir).state = State::Sealed(Stage::Handshake);
                }
                return;
            }
            (Some(_), _) => Reason::Suite(hello.suite),
            (None, _) => Reason::Version,
        };
        self.give_up(Verdict::GaveUp(reason), with);
    }

    /// The server's handshake is over. What it said of early data was read, or was lost: then a server that told a
    /// secret for it has accepted it, since it makes one only to read; a client tells one in any case, so it is not
    /// known.
    pub(super) fn settle_early(&mut self, dir: Dir, pool: &crate::pool::Pool) {
        if self.hellos.accepts_early.is_none() && self.hellos.client_dir == Some(dir.other()) {
            let has = self.set.is_some_and(|set| pool.has_early(set));
            let is_server = dir == Dir::Sent;
            self.hellos.accepts_early = Some(has && is_server);
            self.hellos.is_early_unknown = has && !is_server;
        }
    }
}
