//! The request's body: decoded, read for each dialect that may be it.

use crate::body::inflate::Inflate;
use crate::body::multipart::{Field, Form};
use crate::llm::{Candidate, RequestFacts, Requests};
use crate::proto::message::Headers;

/// The request's body: JSON for each dialect that may be it, or a form.
#[derive(Debug)]
pub(super) struct RequestBody {
    inflate: Inflate,
    requests: Requests,
    form: Option<(Form, RequestFacts)>,
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
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let RequestBody {
            inflate,
            requests,
            form,
        } = self;
        let decoding = inflate.is_decoding();
        inflate.push(bytes, &mut |bytes| match form {
            Some((form, facts)) => form.push(bytes, &mut |field| form_field(field, facts)),
            None => requests.push(bytes),
        });
        if decoding && !inflate.is_decoding() {
            self.lose();
        }
    }

    pub(super) fn gap(&mut self) {
        self.inflate.gap();
        self.lose();
    }

    fn lose(&mut self) {
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
