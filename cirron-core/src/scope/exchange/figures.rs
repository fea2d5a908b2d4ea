//! The call of a model that an exchange is: what its figures are made of.

use super::ExchangeScope;
use crate::exchange::AbortedBy;
use crate::llm::{Candidate, Evidence, Figure, RequestFacts, Usage, count, results};
use crate::scope::call::ModelCall;
use crate::scope::overhead::Times;
use crate::scope::payload::ResponseBody;
use crate::time::MonoNs;

impl ExchangeScope {
    /// When all that the response had to say had come: its end or, if the client left before that,
    /// the event that says so.
    fn said_all(&self) -> Option<MonoNs> {
        let body = self.answer.body.as_ref();
        if body.is_some_and(ResponseBody::wrote_to_nobody) {
            return None;
        }
        let done = self.answer.body.as_ref().and_then(ResponseBody::done_at);
        self.answer.end.or(done).or(self.finished_at())
    }

    /// When all choices had said why they ended, and the tokens of all were reported, or are reported to
    /// nobody who does not ask: a client that leaves then has had all.
    fn finished_at(&self) -> Option<MonoNs> {
        let finished = self.answer.body.as_ref()?.finished()?;
        let (_, asked) = self.asked().filter(|_| self.ask.whole)?;
        let all = i64::try_from(finished.choices).ok()? >= self.choices()?;
        // Where server or agent ended it, who knows what would have followed.
        let by_client = matches!(self.end.aborted_by, None | Some(AbortedBy::Client));
        if asked.prompts || !all || !by_client {
            return None;
        }
        let reported = finished.reported.filter(|at| self.is_in_time(*at));
        reported.or(Some(finished.at).filter(|_| asked.usage == Some(false)))
    }

    /// It was seen from its beginning to an end of its own, without a hole.
    pub(crate) fn is_whole(&self) -> bool {
        let is_cut = self.end.partial && !self.end.cut;
        !self.late && !self.end_lost && !self.given_up && !is_cut && self.lost_bytes() == 0
    }

    /// What shares of its time are shares of.
    pub(in crate::scope) fn times(&self) -> Times {
        let body = self.answer.body.as_ref();
        let stream = body.filter(|body| body.is_stream());
        Times {
            start: self.start,
            first_token: stream.and_then(|body| body.tokens.first.at()),
            end: self.answer.end,
        }
    }

    /// It came before the client left, if it did.
    fn is_in_time(&self, at: MonoNs) -> bool {
        self.leaving.is_none_or(|from| at <= from)
    }

    /// Samples asked for of each prompt; `None` where the request was not read whole.
    fn choices(&self) -> Option<i64> {
        let holed = self.ask.lost_bytes > 0;
        self.ask.line.as_ref().filter(|_| !holed && !self.late)?;
        let (_, asked) = self.asked().filter(|_| self.ask.decoded)?;
        Some(asked.choices.unwrap_or(1))
    }

    /// A part of the framing did not come, or of a request that nobody wanted any more; what the
    /// exchange had to say did, and before its client left.
    pub(super) fn came_to_its_end(&self) -> bool {
        if self.late || self.lost_bytes() > 0 {
            return false;
        }
        let body = self.answer.body.as_ref();
        // The framing's own end says that nothing was left to be said, also where it came later.
        let ended = body.is_some_and(|body| {
            let had_content = body.is_stream() && body.tokens.count > 0;
            self.answer.end.is_some() && had_content && !body.wrote_to_nobody()
        });
        let told = self.grpc.as_ref().and_then(|call| call.status_at());
        let done = body.and_then(ResponseBody::done_at);
        let done = [done, self.finished_at()].into_iter().flatten();
        let said = |at: MonoNs| self.ask.whole && self.is_in_time(at);
        told.is_some_and(|at| self.is_in_time(at))
            || ended && self.ask.whole
            || done.into_iter().any(said)
    }

    /// A call of gRPC whose messages, not its path, told that it is a stream.
    fn is_rpc_stream(&self) -> bool {
        let asked = self.asked().and_then(|(c, _)| c.stream);
        self.grpc.is_some() && asked == Some(true)
    }

    /// The response has a form that is read, and a coding that could be undone.
    pub(in crate::scope) fn is_read(&self) -> bool {
        self.answer.body.as_ref().is_some_and(ResponseBody::is_read)
    }

    /// Positive evidence: the path, and the shape of the request or of the response. Where the request
    /// was not seen, the response's shape alone.
    ///
    /// A status or an error that says that there is no such thing here takes the evidence of the request away,
    /// unless the error is told as a server of models does.
    pub(in crate::scope) fn is_llm(&self) -> bool {
        let facts = self.answer.body.as_ref().map(|r| r.facts());
        let answered = facts.is_some_and(|facts| facts.shaped);
        let absent_path = facts.is_some_and(|facts| facts.absent_path);
        let told = facts.is_some_and(|facts| facts.error.is_some());
        let absent = absent_path || matches!(self.answer.status, Some(404 | 405 | 501)) && !told;
        let asked = |(candidate, facts): &(Candidate, RequestFacts)| {
            let sure = match candidate.evidence {
                Evidence::Sure => true,
                Evidence::Weak => facts.model.is_some() && !self.is_answered_otherwise(),
                Evidence::None => false,
            };
            facts.shaped && sure && !absent
        };
        match &self.ask.line {
            Some(_) => self.asked().is_some_and(|of| answered || asked(of)),
            None => answered,
        }
    }

    /// The answer is one that no dialect of its path gives.
    fn is_answered_otherwise(&self) -> bool {
        let is_success = matches!(self.answer.status, Some(200..300));
        let body = self.answer.body.as_ref().filter(|_| is_success);
        body.is_some_and(|body| body.is_of_another(self.answer.end.is_some()))
    }

    /// A call of gRPC with an answer, at most, for each of its requests: no stream of tokens.
    fn is_one_for_one(&self) -> bool {
        self.grpc.as_ref().is_some_and(|call| {
            let [client, server] = call.messages();
            let all = call.is_sure() && !client.at_least && !server.at_least;
            all && server.count <= client.count
        })
    }

    /// When the last request came of a call of gRPC that has several; their answers come on one stream.
    fn last_of_several(&self) -> Option<MonoNs> {
        let call = self.grpc.as_ref().filter(|call| call.is_sure())?;
        let [client, _] = call.messages();
        client.last.filter(|_| client.count > 1)
    }

    /// Its status says that there is no answer, or not all of one.
    fn is_failed(&self) -> bool {
        let of_rpc = self.grpc.as_ref().is_some_and(|call| call.is_failed());
        of_rpc || self.answer.status.is_some_and(|status| status >= 400)
    }

    /// What header fields report of the whole response.
    fn usage_of_fields(&self, body: &ResponseBody) -> Usage {
        let mut usage = Usage::default();
        for told in &self.answer.told_by_fields {
            // What a head says of a stream it says before there is any of it.
            let early = body.is_stream() && !told.in_trailers;
            let of_none = told.figure == Figure::Output && (early || body.wrote_to_nobody());
            if !core::ptr::eq(told.dialect, body.dialect()) || of_none {
                continue;
            }
            let slot = match told.figure {
                Figure::Input => &mut usage.input,
                Figure::Output => &mut usage.output,
                Figure::Cached => &mut usage.cached,
            };
            count::fill(slot, Some(told.count));
        }
        usage
    }

    /// The call of a model that it is, if it is one and its answer's body is read.
    pub(in crate::scope) fn call(&self) -> Option<ModelCall<'_>> {
        let body = self.answer.body.as_ref()?;
        let is_stream = (body.is_stream() || self.is_rpc_stream()) && !self.is_one_for_one();
        let (end, unbroken) = (self.said_all(), body.is_unbroken());
        let aside = self.usage_of_fields(body);
        let told = &body.told;
        let mut told = told.believed(&body.tokens, is_stream, end.is_some(), unbroken, &aside);
        told.usage = results::shared(told.usage, body.facts().results, self.choices());
        let last_of_several = self.last_of_several().filter(|_| is_stream);
        if last_of_several.is_some() {
            // Each answer tells the prompt's tokens of its own request.
            (told.usage.input, told.usage.total) = (None, None);
        }
        Some(ModelCall {
            start: self.start,
            late: self.late,
            // Where a hole took the head, it may have taken the first byte.
            first_byte: self
                .answer
                .first_byte
                .filter(|_| self.answer.status.is_some()),
            end,
            source: body.dialect().name,
            facts: body.facts(),
            told,
            tokens: &body.tokens,
            is_stream,
            unbroken,
            holed: self.lost_bytes() > 0,
            interrupted: last_of_several > body.tokens.first.at(),
            failed: self.is_failed(),
        })
    }
}
