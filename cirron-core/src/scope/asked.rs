//! The request's body: decoded, read for each dialect that may be it. Of gRPC, its first message.

use crate::body::grpc::{GrpcMessages, Part};
use crate::body::headed::{Headed, LENGTH_FIELD};
use crate::body::inflate::Inflate;
use crate::body::multipart::{Field, Form};
use crate::llm::{Candidate, RequestFacts, Requests};
use crate::proto::message::Headers;

/// The request's body: JSON for each dialect that may be it, a form, or messages of gRPC.
#[derive(Debug)]
pub(super) struct RequestBody {
    inflate: Inflate,
    requests: Requests,
    form: Option<(Form, RequestFacts)>,
    /// What stands before raw bytes.
    headed: Option<Headed>,
    grpc: Option<GrpcMessages>,
    /// It has said all that is read of it.
    settled: bool,
}

impl RequestBody {
    pub(super) fn new(
        candidates: Vec<(Candidate, Option<String>)>,
        headers: &Headers,
    ) -> RequestBody {
        let form = headers.get_str("content-type").and_then(Form::new);
        RequestBody {
            inflate: Inflate::new(Some(&headers.joined("content-encoding"))),
            requests: Requests::new(candidates),
            form: form.map(|form| (form, RequestFacts::default())),
            headed: Headed::new(headers.get_str(LENGTH_FIELD)),
            grpc: None,
            settled: false,
        }
    }

    /// Of a gRPC call; `encoding`: its `grpc-encoding`.
    pub(super) fn of_grpc(
        candidates: Vec<(Candidate, Option<String>)>,
        encoding: &str,
    ) -> RequestBody {
        RequestBody {
            inflate: Inflate::new(None),
            requests: Requests::new(candidates),
            form: None,
            headed: None,
            grpc: Some(GrpcMessages::reading(encoding)),
            settled: false,
        }
    }

    /// It has said all that is read of it, before its end.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let form = self.form.as_ref().map_or(0, |(form, _)| form.held_bytes());
        let grpc = self.grpc.as_ref().map_or(0, GrpcMessages::held_bytes);
        size_of::<RequestBody>()
            + self.inflate.held_bytes()
            + self.requests.held_bytes()
            + form
            + grpc
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let RequestBody {
            inflate,
            requests,
            form,
            headed,
            grpc,
            settled,
        } = self;
        if let Some(messages) = grpc {
            return messages.push(bytes, &mut |part| take(part, requests, settled));
        }
        let decoding = inflate.is_decoding();
        inflate.push(bytes, &mut |bytes| match form {
            Some((form, facts)) => form.push(bytes, &mut |field| form_field(field, facts)),
            None => match headed {
                Some(headed) => requests.push(headed.cut(bytes)[0]),
                None => requests.push(bytes),
            },
        });
        if decoding && !inflate.is_decoding() {
            self.lose();
        }
    }

    /// Bytes are missing here; 0: how many is not known.
    pub(super) fn gap(&mut self, len: u64) {
        let RequestBody {
            requests,
            grpc,
            settled,
            ..
        } = self;
        if let Some(messages) = grpc {
            return messages.gap(len, &mut |part| take(part, requests, settled));
        }
        self.inflate.gap();
        self.lose();
    }

    fn lose(&mut self) {
        if let Some(headed) = &mut self.headed {
            headed.lose();
        }
        match &mut self.form {
            Some((form, _)) => form.gap(),
            None => self.requests.gap(),
        }
    }

    /// What it says to each dialect that may be it, and whether it could be decoded.
    pub(super) fn finish(self) -> (Vec<(Candidate, RequestFacts)>, bool) {
        let mut all = self.requests.finish();
        if let Some((_, told)) = self.form {
            for (_, facts) in &mut all {
                facts.shaped = told.shaped;
                facts.model = told.model.clone().or(facts.model.take());
                facts.stream = told.stream.or(facts.stream);
            }
        }
        (all, self.inflate.is_decoding())
    }
}

/// Reads the first message.
fn take(part: Part<'_>, requests: &mut Requests, settled: &mut bool) {
    if *settled {
        return;
    }
    match part {
        Part::Data(bytes) => requests.push(bytes),
        Part::Hole => requests.gap(),
        Part::End { .. } => *settled = true,
        Part::Lost => {
            requests.gap();
            *settled = true;
        }
    }
}

/// Forms of sounds and pictures; only OpenAI's dialect has any.
fn form_field(field: &Field, facts: &mut RequestFacts) {
    let value = String::from_utf8_lossy(&field.value);
    match field.name.as_str() {
        "file" | "image" | "image[]" => facts.shaped |= field.is_file,
        "model" => facts.model = Some(value.into_owned()),
        "stream" => facts.stream = Some(matches!(&*value, "true" | "True" | "1")),
        _ => {}
    }
}
