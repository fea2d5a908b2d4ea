//! What an exchange under way holds, and giving it up where the core holds too much ([`crate::engine`]).

use super::ExchangeScope;
use crate::scope::payload::ResponseBody;

impl ExchangeScope {
    /// Bytes that it holds, with those of its turns, about.
    pub(crate) fn held(&self) -> usize {
        let body = self.answer.body.as_ref();
        let response = body.map_or(0, ResponseBody::held_bytes);
        let socket = self.socket.as_ref().map_or(0, |s| s.held_bytes());
        let grpc = self.grpc.as_ref().map_or(0, |g| g.held_bytes());
        let wanted = self.wanted.as_ref().map_or(0, |w| w.held_bytes());
        size_of::<ExchangeScope>() + wanted + self.ask.held_bytes() + response + socket + grpc
    }

    /// The core holds too much: the bodies are read no further, what they have said stands. Says
    /// whether there was anything to give up.
    pub(crate) fn give_up(&mut self) -> bool {
        if std::mem::replace(&mut self.given_up, true) {
            return false;
        }
        self.ask.give_up();
        if let Some(wanted) = &mut self.wanted {
            wanted.give_up();
        }
        if let Some(body) = &mut self.answer.body {
            body.give_up();
        }
        if let Some(call) = &mut self.grpc {
            call.give_up();
        }
        true
    }
}
