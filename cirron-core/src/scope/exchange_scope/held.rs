//! What an exchange under way holds, and giving it up where the core holds too much ([`crate::engine`]).

use super::{Candidate, ExchangeScope, RequestBody, RequestFacts, ResponseBody};

impl ExchangeScope {
    /// Bytes that it holds, about.
    pub fn held_bytes(&self) -> usize {
        let request = self.request.as_ref();
        let request = request.map_or(0, |r| r.path.capacity() + r.method.capacity());
        let candidates = self.candidates.capacity() * size_of::<(Candidate, RequestFacts)>();
        let asked = self
            .request_body
            .as_ref()
            .map_or(0, RequestBody::held_bytes);
        let response = self.response.as_ref().map_or(0, ResponseBody::held_bytes);
        let socket = self.socket.as_ref().map_or(0, |s| s.held_bytes());
        let grpc = self.grpc.as_ref().map_or(0, |g| g.held_bytes());
        size_of::<ExchangeScope>() + request + candidates + asked + response + socket + grpc
    }

    /// The core holds too much: the bodies are read no further, what they have said stands. Says
    /// whether there was anything to give up.
    pub fn give_up(&mut self) -> bool {
        if std::mem::replace(&mut self.given_up, true) {
            return false;
        }
        if self.request_body.is_some() {
            // What it has said by now is not all, and may be read wrongly.
            self.request_body = None;
            self.request_decoded = false;
        }
        if let Some(body) = &mut self.response {
            body.give_up();
        }
        if let Some(call) = &mut self.grpc {
            call.give_up();
        }
        true
    }
}
