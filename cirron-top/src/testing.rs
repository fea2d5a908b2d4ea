//! Requests and lines for the tests of this crate.

use cirron_look::request::{Figures as Measured, Kind, Request};

use crate::board::LineKey;
use crate::view::{Figures, Line};

/// A second.
pub(crate) const S: u64 = 1_000_000_000;

/// A request that was served and ended at `end_s`, after 100 ms.
pub(crate) fn served(id: &str, endpoint: &str, model: Option<&str>, end_s: u64) -> Request {
    Request {
        id: id.to_owned(),
        kind: Kind::Request,
        name: "request".to_owned(),
        endpoint: endpoint.to_owned(),
        response_model: model.map(str::to_owned),
        start_ns: end_s * S - S / 10,
        end_ns: Some(end_s * S),
        status: Some(200),
        figures: Measured {
            ttft_ms: Some(20.0),
            tpot_ms: Some(4.0),
            input_tokens: Some(100),
            output_tokens: Some(50),
            ..Measured::default()
        },
        ..Request::default()
    }
}

/// A line with this number of requests a second.
pub(crate) fn line(endpoint: &str, model: Option<&str>, requests_per_s: f64) -> Line {
    Line {
        key: LineKey {
            is_call: false,
            endpoint: endpoint.to_owned(),
            model: model.map(str::to_owned),
        },
        open: None,
        goes_on: Vec::new(),
        figures: Figures {
            requests: requests_per_s as u64,
            requests_per_s,
            ..Figures::default()
        },
    }
}
