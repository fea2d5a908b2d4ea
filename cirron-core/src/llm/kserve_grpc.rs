//! KServe's v2 inference protocol over gRPC, and Triton's stream of it: `ModelInfer`, `ModelStreamInfer`.
//!
//! Bodies are protocol buffers, one message after the other. Model, version and id stand in texts at
//! the top; a tensor's `datatype` is what makes a message one of these, also where no path was seen.
//! A streamed response with a tensor of text (`BYTES`, and text in it) is content, where there are more of
//! them than requests: one for each is no stream of tokens. Of any other tensor nobody can tell whether it is
//! one. Tensors that count tokens are added up ([`tensors`]); all others are passed over.
//!
//! Source: KServe's `open_inference_grpc.proto`, Triton's `grpc_service.proto`:
//! ```text
//!   ModelInferRequest    1 model_name, 2 model_version, 3 id, 5 inputs { 2 datatype }
//!   ModelInferResponse   1 model_name, 2 model_version, 3 id,
//!                        5 outputs { 1 name, 2 datatype, 5 contents }, 6 raw_output_contents
//!   ModelStreamInferResponse    1 error_message, 2 infer_response: ModelInferResponse
//! ```

pub(crate) mod tensors;

use tensors::Tensors;

use super::Rpc;
use super::dialect::{Dialect, ReadRequest, ReadResponse, Route};
use super::facts::{Content, RequestFacts, ResponseFacts, Usage, say};
use crate::body::protobuf::{ProtobufSink, Scanner, Want};

/// The row of calls with one answer.
pub(crate) const UNARY: Rpc = Rpc {
    path: "/inference.GRPCInferenceService/ModelInfer",
    dialect: Dialect {
        name: "kserve_v2",
        route: |_| Some(route(false)),
        request: || Box::new(Request::default()),
        response: || Box::new(Response::new(false)),
        headers: &[],
    },
};

/// The row of streams.
pub(crate) const STREAM: Rpc = Rpc {
    path: "/inference.GRPCInferenceService/ModelStreamInfer",
    dialect: Dialect {
        name: "kserve_v2",
        route: |_| Some(route(true)),
        request: || Box::new(Request::default()),
        response: || Box::new(Response::new(true)),
        headers: &[],
    },
};

fn route<'p>(stream: bool) -> Route<'p> {
    Route {
        stream: Some(stream),
        ..Route::to("inference")
    }
}

/// Datatypes of tensors (KServe's "Tensor Data Types").
const DATATYPES: [&[u8]; 14] = [
    b"BOOL", b"UINT8", b"UINT16", b"UINT32", b"UINT64", b"INT8", b"INT16", b"INT32", b"INT64",
    b"FP16", b"FP32", b"FP64", b"BF16", b"BYTES",
];

const TEXT: &[u8] = b"BYTES";

/// Names of the tensor that a language model answers with: Triton's, MLServer's.
pub(crate) const TEXT_OUTPUTS: &[&str] = &["text_output", "generated_text"];

/// What a request, or a response of a model, has in common: fields 1 to 3.
#[derive(Debug, Default)]
struct Names {
    model: Option<String>,
    version: Option<String>,
    id: Option<String>,
}

impl Names {
    fn text(&mut self, path: &[u32], text: &[u8]) {
        let slot = match path {
            [1] => &mut self.model,
            [2] => &mut self.version,
            [3] => &mut self.id,
            _ => return,
        };
        let text = String::from_utf8_lossy(text);
        if !text.is_empty() {
            say(slot, &text);
        }
    }
}

/// A request's content, with the tensors in 5.
#[derive(Debug, Default)]
struct Asks {
    names: Names,
    /// Of a known datatype.
    has_tensor: bool,
}

/// A request, or the first of a stream.
#[derive(Debug, Default)]
struct Request {
    scanner: Scanner,
    asks: Asks,
}

impl ReadRequest for Request {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.asks);
    }

    fn gap(&mut self) {
        self.scanner.gap();
    }

    fn finish(&mut self) -> RequestFacts {
        self.scanner.finish();
        let Asks { names, has_tensor } = std::mem::take(&mut self.asks);
        RequestFacts {
            shaped: names.model.is_some() && has_tensor,
            model: names.model,
            model_version: names.version,
            ..RequestFacts::default()
        }
    }
}

impl ProtobufSink for Asks {
    fn field(&mut self, path: &[u32]) -> Want {
        match path {
            [1..=3] | [5, 2] => Want::Text,
            [5] => Want::Into,
            _ => Want::Skip,
        }
    }

    fn text(&mut self, path: &[u32], text: &[u8], _whole: bool) {
        match path {
            [5, _] => self.has_tensor |= DATATYPES.contains(&text),
            _ => self.names.text(path, text),
        }
    }

    fn number(&mut self, _: &[u32], _: u64) {}
}

/// Responses of one call.
#[derive(Debug)]
struct Response {
    scanner: Scanner,
    message: Message,
    facts: ResponseFacts,
    /// Tokens that the responses count, each its own; `None` behind a hole, which may have taken some.
    counted: Option<i64>,
}

/// One response.
#[derive(Debug)]
struct Message {
    /// The response of the model is a message in field 2.
    streamed: bool,
    names: Names,
    tensors: Tensors,
    failed: bool,
}

impl Message {
    /// `path` within the response of the model.
    fn within<'p>(&self, path: &'p [u32]) -> Option<&'p [u32]> {
        match path {
            [2, rest @ ..] if self.streamed => Some(rest),
            _ if self.streamed => None,
            _ => Some(path),
        }
    }
}

impl ProtobufSink for Message {
    fn field(&mut self, path: &[u32]) -> Want {
        match self.within(path) {
            Some([]) => Want::Into,
            Some([1..=3] | [6]) => Want::Text,
            Some([5, path @ ..]) => self.tensors.field(path),
            Some(_) => Want::Skip,
            None if path == [1] => Want::Text,
            None => Want::Skip,
        }
    }

    fn text(&mut self, path: &[u32], text: &[u8], whole: bool) {
        match self.within(path) {
            Some([5, path @ ..]) => self.tensors.text(path, text),
            Some([6]) => self.tensors.raw(text, whole),
            Some(path) => self.names.text(path, text),
            // Its text is not kept: it may say anything.
            None => self.failed |= !text.is_empty(),
        }
    }

    fn number(&mut self, path: &[u32], value: u64) {
        if let Some([5, path @ ..]) = self.within(path) {
            self.tensors.number(path, value);
        }
    }
}

impl Response {
    fn new(streamed: bool) -> Response {
        Response {
            scanner: Scanner::default(),
            message: Message {
                streamed,
                names: Names::default(),
                tensors: Tensors::default(),
                failed: false,
            },
            facts: ResponseFacts::default(),
            counted: Some(0),
        }
    }
}

impl ReadResponse for Response {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.message);
    }

    fn gap(&mut self) {
        self.scanner.gap();
        self.counted = None;
    }

    fn finish(&mut self, _: &str) -> Content {
        let whole = self.scanner.finish();
        let names = std::mem::take(&mut self.message.names);
        let tensors = std::mem::take(&mut self.message.tensors);
        let failed = std::mem::take(&mut self.message.failed);
        if names.model.is_some() && tensors.is_known() {
            self.facts.shaped = true;
            let operation = match tensors.generates() {
                true => "text_completion",
                false => "inference",
            };
            self.facts.operation = Some(operation);
        } else if !(whole && failed) {
            return Content::default();
        }
        let [input, output] = tensors.counts();
        if let Some(output) = output {
            self.counted = self.counted.and_then(|sum| sum.checked_add(output));
        }
        let usage = Usage {
            input,
            output: output.and(self.counted),
            ..Usage::default()
        };
        self.facts.report(&usage, !whole);
        for (slot, told) in [
            (&mut self.facts.model, names.model),
            (&mut self.facts.model_version, names.version),
            (&mut self.facts.id, names.id),
        ] {
            if told.is_some() {
                *slot = told;
            }
        }
        if failed {
            self.facts.error = Some("error".to_owned());
        }
        Content {
            answer: tensors.has_text(),
            ..Content::default()
        }
    }

    fn facts(&self) -> &ResponseFacts {
        &self.facts
    }
}
