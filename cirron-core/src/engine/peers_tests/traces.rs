//! The trace that goes through a gateway.

use super::*;

/// A gateway that serves a request of its own, with a thread for it, while it calls.
struct Gateway(Rig);

const SERVED: u64 = 9;
const WORKER: u32 = 50;

impl Gateway {
    fn new() -> Gateway {
        let mut rig = Rig::new();
        let outside = ConnInfo {
            local_port: 9_000,
            first_seq: 77,
            ..accepted()
        };
        rig.open(SERVED, outside, CALLER);
        Gateway(rig)
    }

    fn is_asked(&mut self, head: &str) {
        let bytes = format!("GET /served HTTP/1.1\r\nHost: x\r\n{head}\r\n");
        let by = (CALLER, WORKER);
        self.0
            .moves(SERVED, Direction::Inbound, bytes.as_bytes(), by, false);
    }

    fn calls(&mut self, head: &str) {
        let bytes = format!("GET /a HTTP/1.1\r\nHost: x\r\n{head}\r\n");
        let bytes = bytes.as_bytes();
        self.0
            .moves(CALL, Direction::Outbound, bytes, (CALLER, WORKER), false);
        self.0.is_asked(bytes);
    }

    fn is_answered(&mut self) {
        self.0.answers(OK);
        self.0
            .moves(CALL, Direction::Inbound, OK, (CALLER, WORKER), false);
    }

    fn answers(&mut self, by: u32) {
        self.0
            .moves(SERVED, Direction::Outbound, OK, (CALLER, by), false);
    }
}

fn named<'a>(spans: &'a [Span], path: &str, name: &str) -> &'a Span {
    let mut found = spans.iter();
    let found = found.find(|span| span.name == name && text(span, "url.path") == Some(path));
    found.unwrap()
}

#[test]
fn one_trace_goes_from_the_gateway_to_the_model_server() {
    let mut gateway = Gateway::new();
    gateway.is_asked("");
    gateway.calls("");
    gateway.is_answered();
    assert_eq!(
        gateway.0.written().len(),
        0,
        "the model server's request waits with the call"
    );
    gateway.answers(WORKER);
    let spans = gateway.0.written();
    assert_eq!(judge(&spans), 1);
    let served = named(&spans, "/served", "request");
    let id = served.id.to_string();
    let call = named(&spans, "/a", "http.client");
    assert_eq!(call.parent_id, Some(served.id));
    for span in [served, call, named(&spans, "/a", "request")] {
        assert_eq!(text(span, "cirron.trace_id"), Some(id.as_str()), "{span:?}");
    }
    assert_eq!(gateway.0.stop().len(), 0);
    assert_eq!(gateway.0.engine.held_bytes(), 0);
}

#[test]
fn a_call_whose_parent_was_wrongly_presumed_begins_its_own_trace() {
    let mut gateway = Gateway::new();
    gateway.is_asked("");
    gateway.calls("");
    gateway.is_answered();
    gateway.answers(WORKER + 1);
    let spans = gateway.0.written();
    assert_eq!(judge(&spans), 1);
    let call = named(&spans, "/a", "http.client");
    assert_ne!(call.parent_id, Some(named(&spans, "/served", "request").id));
    assert_eq!(
        text(call, "cirron.trace_id"),
        Some(call.id.to_string()).as_deref()
    );
    let served = named(&spans, "/served", "request");
    assert_eq!(text(served, "cirron.trace_id"), None);
}

#[test]
fn a_call_that_outlives_its_request_is_in_its_trace() {
    let mut gateway = Gateway::new();
    gateway.is_asked("");
    gateway.calls("");
    gateway.answers(WORKER);
    gateway.is_answered();
    let spans = gateway.0.written();
    assert_eq!(judge(&spans), 1);
    let id = named(&spans, "/served", "request").id.to_string();
    let request = named(&spans, "/a", "request");
    assert_eq!(text(request, "cirron.trace_id"), Some(id.as_str()));
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn header(span: &str) -> String {
    format!("traceparent: 00-{TRACE}-{span}-01\r\n")
}

#[test]
fn a_traceparent_names_the_trace_of_all_that_is_joined() {
    let mut gateway = Gateway::new();
    gateway.is_asked(&header("00f067aa0ba902b7"));
    gateway.calls("");
    gateway.is_answered();
    gateway.answers(WORKER);
    let spans = gateway.0.written();
    assert_eq!(judge(&spans), 1);
    assert_eq!(spans.len(), 3);
    for span in &spans {
        assert_eq!(text(span, "cirron.trace_id"), Some(TRACE), "{span:?}");
    }
    let served = named(&spans, "/served", "request");
    assert_eq!(
        text(served, "cirron.caller.span_id"),
        Some("00f067aa0ba902b7")
    );
    assert_eq!(text(served, "cirron.caller.by"), Some("traceparent"));
}

#[test]
fn a_traceparent_goes_before_what_is_known_of_the_caller() {
    let mut gateway = Gateway::new();
    gateway.is_asked("");
    gateway.calls(&header("00f067aa0ba902b8"));
    gateway.is_answered();
    gateway.answers(WORKER);
    let spans = gateway.0.written();
    assert_eq!(judge(&spans), 1, "the connection says who called");
    let call = named(&spans, "/a", "http.client");
    assert_eq!(text(call, "cirron.trace_id"), Some(TRACE));
    assert_eq!(text(call, "cirron.sent.span_id"), Some("00f067aa0ba902b8"));
}

/// A gateway that begins a trace itself, and whose callers know of none.
#[test]
fn a_request_within_which_every_traceparent_is_of_one_trace_is_part_of_it() {
    let mut gateway = Gateway::new();
    gateway.is_asked("");
    for span in ["00f067aa0ba902b8", "00f067aa0ba902b9"] {
        gateway.calls(&header(span));
        gateway.is_answered();
    }
    gateway.calls("");
    gateway.is_answered();
    gateway.answers(WORKER);
    let spans = gateway.0.written();
    assert_eq!(judge(&spans), 3);
    assert_eq!(spans.len(), 7);
    for span in &spans {
        assert_eq!(text(span, "cirron.trace_id"), Some(TRACE), "{span:?}");
    }
    let served = named(&spans, "/served", "request");
    assert_eq!(text(served, "cirron.caller.by"), None);
}

#[test]
fn a_request_within_which_headers_name_two_traces_is_part_of_neither() {
    let mut gateway = Gateway::new();
    gateway.is_asked("");
    for trace in [TRACE, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        gateway.calls(&format!("traceparent: 00-{trace}-00f067aa0ba902b8-01\r\n"));
        gateway.is_answered();
    }
    gateway.calls("");
    gateway.is_answered();
    gateway.answers(WORKER);
    let spans = gateway.0.written();
    assert_eq!(judge(&spans), 3);
    let served = named(&spans, "/served", "request");
    let own = served.id.to_string();
    let traces = |trace: &str| {
        let is_its = |span: &&Span| text(span, "cirron.trace_id") == Some(trace);
        spans.iter().filter(is_its).count()
    };
    // The request and the call without a header, with who answers that.
    assert_eq!(text(served, "cirron.trace_id"), Some(own.as_str()));
    assert_eq!(traces(&own), 3);
    assert_eq!(traces(TRACE), 2);
}

#[test]
fn a_call_that_was_wrongly_presumed_names_no_trace_of_the_request() {
    let mut gateway = Gateway::new();
    gateway.is_asked("");
    gateway.calls(&header("00f067aa0ba902b8"));
    gateway.is_answered();
    gateway.answers(WORKER + 1);
    let spans = gateway.0.written();
    let served = named(&spans, "/served", "request");
    assert_eq!(text(served, "cirron.trace_id"), None);
}

#[test]
fn a_traceparent_alone_is_written_and_a_malformed_one_is_counted() {
    let mut gateway = Gateway::new();
    gateway.is_asked(&header("00f067aa0ba902b7"));
    gateway.answers(WORKER);
    gateway.is_asked("traceparent: my secret\r\n");
    gateway.answers(WORKER);
    let spans = gateway.0.written();
    let [good, bad] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(text(good, "cirron.trace_id"), Some(TRACE));
    assert!(!format!("{bad:?}").contains("secret"));
    assert_eq!(text(bad, "cirron.trace_id"), None);
    assert_eq!(gateway.0.engine.stats().bad_traceparents, 1);
}

#[test]
fn traces_past_their_number_are_forgotten_and_no_other_is_said() {
    use crate::limits::MAX_ENDED_TRACES;
    let mut gateway = Gateway::new();
    gateway.is_asked(&header("00f067aa0ba902b7"));
    gateway.calls("");
    gateway.answers(WORKER);
    // The call goes on while others end.
    let mut other = Rig::new();
    std::mem::swap(&mut other.engine, &mut gateway.0.engine);
    let infos = [connected(), accepted()].map(|info| ConnInfo {
        first_seq: 1_000,
        ..info
    });
    other.now = gateway.0.now;
    for (inode, info, pid) in [(70, infos[0], CALLER), (80, infos[1], SERVER)] {
        other.open(inode, info, pid);
    }
    for _ in 0..MAX_ENDED_TRACES {
        for (inode, dir, bytes, pid) in [
            (70, Direction::Outbound, get("/o"), CALLER),
            (80, Direction::Inbound, get("/o"), SERVER),
            (80, Direction::Outbound, OK.to_vec(), SERVER),
            (70, Direction::Inbound, OK.to_vec(), CALLER),
        ] {
            other.moves(inode, dir, &bytes, (pid, pid), false);
        }
        let _ = other.written();
    }
    std::mem::swap(&mut other.engine, &mut gateway.0.engine);
    gateway.0.now = other.now;
    assert!(gateway.0.engine.stats().traces_forgotten > 0);
    gateway.is_answered();
    let spans = gateway.0.written();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(text(span, "cirron.trace_id"), None, "{span:?}");
    }
    let request = named(&spans, "/a", "request");
    assert_eq!(text(request, "cirron.caller.by"), Some("connection"));
}
