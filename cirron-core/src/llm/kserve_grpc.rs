//! KServe's v2 inference protocol over gRPC, and Triton's stream of it: `ModelInfer`, `ModelStreamInfer`.
//!
//! Bodies are protocol buffers, one message after the other. Model, version and id stand in texts at
//! the top; a tensor's `datatype` is what makes a message one of these, also where no path was seen.
//! A streamed response with a tensor of text (`BYTES`) is content, where there are more of them than
//! requests: one for each is no stream of tokens. Of any other tensor nobody can tell whether it is one.
//! Tensors are passed over.
//!
//! Source: KServe's `open_inference_grpc.proto`, Triton's `grpc_service.proto`:
//! ```text
//!   ModelInferRequest    1 model_name, 2 model_version, 3 id, 5 inputs { 2 datatype }
//!   ModelInferResponse   1 model_name, 2 model_version, 3 id, 5 outputs { 1 name, 2 datatype }
//!   ModelStreamInferResponse    1 error_message, 2 infer_response: ModelInferResponse
//! ```

use super::Rpc;
use super::dialect::{Dialect, ReadRequest, ReadResponse, Route};
use super::facts::{Content, RequestFacts, ResponseFacts, say};
use crate::body::protobuf::{ProtobufSink, Scanner, Want};

/// The row of calls with one answer.
pub const UNARY: Rpc = Rpc {
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
pub const STREAM: Rpc = Rpc {
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
pub const TEXT_OUTPUTS: &[&str] = &["text_output", "generated_text"];

/// What a request, or a response of a model, has in common: fields 1 to 3, and tensors in 5.
#[derive(Debug, Default)]
struct Infer {
    model: Option<String>,
    version: Option<String>,
    id: Option<String>,
    /// Of a known datatype.
    has_tensor: bool,
    has_text: bool,
    /// Of the name that language models give their answer.
    generates: bool,
}

impl Infer {
    fn field(path: &[u32]) -> Want {
        match path {
            [1..=3] | [5, 1 | 2] => Want::Text,
            [5] => Want::Into,
            _ => Want::Skip,
        }
    }

    fn text(&mut self, path: &[u32], text: &[u8]) {
        let slot = match path {
            [1] => &mut self.model,
            [2] => &mut self.version,
            [3] => &mut self.id,
            [5, 1] => {
                let name = std::str::from_utf8(text).unwrap_or_default();
                self.generates |= TEXT_OUTPUTS.contains(&name);
                return;
            }
            [5, 2] => {
                self.has_tensor |= DATATYPES.contains(&text);
                self.has_text |= text == TEXT;
                return;
            }
            _ => return,
        };
        let text = String::from_utf8_lossy(text);
        if !text.is_empty() {
            say(slot, &text);
        }
    }

    fn is_shaped(&self) -> bool {
        self.model.is_some() && self.has_tensor
    }
}

/// A request, or the first of a stream.
#[derive(Debug, Default)]
struct Request {
    scanner: Scanner,
    infer: Infer,
}

impl ReadRequest for Request {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.infer);
    }

    fn gap(&mut self) {
        self.scanner.gap();
    }

    fn finish(&mut self) -> RequestFacts {
        self.scanner.finish();
        let infer = std::mem::take(&mut self.infer);
        RequestFacts {
            shaped: infer.is_shaped(),
            model: infer.model,
            model_version: infer.version,
            ..RequestFacts::default()
        }
    }
}

impl ProtobufSink for Infer {
    fn field(&mut self, path: &[u32]) -> Want {
        Infer::field(path)
    }

    fn text(&mut self, path: &[u32], text: &[u8], _whole: bool) {
        Infer::text(self, path, text);
    }

    fn number(&mut self, _: &[u32], _: u64) {}
}

/// Responses of one call.
#[derive(Debug)]
struct Response {
    scanner: Scanner,
    message: Message,
    facts: ResponseFacts,
}

/// One response.
#[derive(Debug)]
struct Message {
    /// The response of the model is a message in field 2.
    streamed: bool,
    infer: Infer,
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
            Some(path) => Infer::field(path),
            None if path == [1] => Want::Text,
            None => Want::Skip,
        }
    }

    fn text(&mut self, path: &[u32], text: &[u8], _whole: bool) {
        match self.within(path) {
            Some(path) => self.infer.text(path, text),
            // Its text is not kept: it may say anything.
            None => self.failed |= !text.is_empty(),
        }
    }

    fn number(&mut self, _: &[u32], _: u64) {}
}

impl Response {
    fn new(streamed: bool) -> Response {
        Response {
            scanner: Scanner::default(),
            message: Message {
                streamed,
                infer: Infer::default(),
                failed: false,
            },
            facts: ResponseFacts::default(),
        }
    }
}

impl ReadResponse for Response {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.message);
    }

    fn gap(&mut self) {
        self.scanner.gap();
    }

    fn finish(&mut self, _: &str) -> Content {
        let whole = self.scanner.finish();
        let infer = std::mem::take(&mut self.message.infer);
        let failed = std::mem::take(&mut self.message.failed);
        if infer.is_shaped() {
            self.facts.shaped = true;
            let generates = infer.generates && infer.has_text;
            let operation = if generates {
                "text_completion"
            } else {
                "inference"
            };
            self.facts.operation = Some(operation);
        } else if !(whole && failed) {
            return Content::default();
        }
        for (slot, told) in [
            (&mut self.facts.model, infer.model),
            (&mut self.facts.model_version, infer.version),
            (&mut self.facts.id, infer.id),
        ] {
            if told.is_some() {
                *slot = told;
            }
        }
        if failed {
            self.facts.error = Some("error".to_owned());
        }
        Content {
            answer: infer.has_text,
            ..Content::default()
        }
    }

    fn facts(&self) -> &ResponseFacts {
        &self.facts
    }
}
