#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::columns::{COLUMNS, Type, Value};
use super::*;
use crate::testing::{Files, mark, request, session, span};

/// A session with a call of a model, a call that it makes, one that is open, and one whose text wants quoting.
pub(super) fn files() -> Files {
    let mut chat = request(
        "0000000000000000000000000000000b",
        "0000000000000000000000000000000a",
        "/v1/chat/completions",
        1_000,
    );
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.request.model", json!("m")),
        ("gen_ai.response.model", json!("m-7b")),
        ("gen_ai.response.finish_reasons", json!("stop")),
        ("client.address", json!("10.0.0.9")),
        ("client.port", json!(4711)),
        ("server.port", json!(8000)),
        ("cirron.figures", json!("complete")),
    ] {
        chat["attrs"][name] = value;
    }
    let to = json!({"http.request.method": "GET", "server.address": "10.0.0.1", "server.port": 80, "url.path": "/x",
        "http.response.status_code": 503, "error": true, "error.type": "503"});
    let mut call = span(
        "0000000000000000000000000000000c",
        Some("0000000000000000000000000000000b"),
        "http.client",
        1_001,
        to,
    );
    call["end_ns"] = 1_004_000_000_u64.into();
    let mut open = request(
        "0000000000000000000000000000000d",
        "0000000000000000000000000000000a",
        "/open",
        3_000,
    );
    open["end_ns"] = Json::Null;
    let evil = request(
        "0000000000000000000000000000000e",
        "0000000000000000000000000000000a",
        "/a,\"b\"\n=é",
        4_000,
    );
    let marks = [
        mark(
            "0000000000000000000000000000000b",
            "input_tokens",
            12.into(),
            json!({}),
        ),
        mark(
            "0000000000000000000000000000000b",
            "output_tokens",
            50.into(),
            json!({"estimated": true}),
        ),
        mark(
            "0000000000000000000000000000000b",
            "time_to_first_token_ms",
            json!(1.25),
            json!({}),
        ),
        json!({"span_id": "0000000000000000000000000000000b", "name": "tokens_per_second", "value": null,
            "value_nonfinite": "nan", "kind": "summary"}),
    ];
    let first = [session("0000000000000000000000000000000a", 42), chat, call];
    Files::new(&[(&first, &marks), (&[open, evil], &[])])
}

pub(super) fn bytes(kind: Kind) -> (Vec<u8>, Exported) {
    let mut out = Vec::new();
    let exported = export(&files().spools(), kind, Box::new(&mut out)).unwrap();
    (out, exported)
}

#[test]
fn a_table_has_a_line_for_each_scope_and_nothing_where_nothing_is_known() {
    let (out, exported) = bytes(Kind::Csv);
    assert_eq!((exported.scopes, exported.sentences), (4, vec![]));
    let mut table = ::csv::Reader::from_reader(out.as_slice());
    let heads: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    let cell =
        |row: usize, name: &str| &rows[row][heads.iter().position(|head| head == name).unwrap()];
    assert_eq!(rows.len(), 4);
    let chat = [
        "kind",
        "start_ns",
        "time_ms",
        "pid",
        "status",
        "response_model",
        "output_tokens",
        "tokens_estimated",
    ];
    assert_eq!(
        chat.map(|name| cell(0, name)),
        [
            "request",
            "1000000000",
            "5",
            "42",
            "200",
            "m-7b",
            "50",
            "true"
        ]
    );
    assert_eq!(
        (
            cell(0, "tokens_per_second"),
            cell(0, "total_tokens"),
            cell(0, "cost_usd")
        ),
        ("", "", "")
    );
    assert_eq!(
        (
            cell(1, "kind"),
            cell(1, "output_tokens"),
            cell(1, "tokens_estimated")
        ),
        ("http_client", "", "")
    );
    assert_eq!(cell(1, "session_id"), "0000000000000000000000000000000a");
    assert_eq!((cell(2, "end_ns"), cell(2, "time_ms")), ("", ""));
    assert_eq!(cell(3, "path"), "/a,\"b\"\n=é");
}

#[test]
fn a_line_of_json_has_what_the_spool_has_and_no_more() {
    let (out, _) = bytes(Kind::Jsonl);
    let lines: Vec<Json> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    let chat = &lines[0];
    assert_eq!(
        (&chat["output_tokens"], &chat["error"], &chat["pid"]),
        (&json!(50), &json!(false), &json!(42))
    );
    assert_eq!(
        chat["marks"],
        json!({"input_tokens": 12, "output_tokens": 50, "time_to_first_token_ms": 1.25,
        "tokens_per_second": "nan"})
    );
    assert_eq!(chat["attrs"]["gen_ai.response.finish_reasons"], "stop");
    assert!(chat.get("total_tokens").is_none() && lines[2].get("end_ns").is_none());
}

#[test]
fn otlp_is_lines_of_traces_by_session() {
    let (out, exported) = bytes(Kind::Otlp);
    assert_eq!(
        exported.sentences,
        ["left out: scopes that were open, which OTLP has no form for: 1"]
    );
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 1);
    let line: Json = serde_json::from_str(text.trim()).unwrap();
    let of = &line["resourceSpans"][0];
    assert_eq!(
        of["resource"]["attributes"][0],
        json!({"key": "service.name", "value": {"stringValue": "uvicorn"}})
    );
    assert!(
        of["resource"]["attributes"]
            .as_array()
            .unwrap()
            .contains(&json!({"key": "process.pid", "value": {"intValue": "42"}}))
    );
    let spans = of["scopeSpans"][0]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 3);
    let (chat, call) = (&spans[0], &spans[1]);
    assert_eq!(
        (&chat["name"], &chat["kind"], &chat["startTimeUnixNano"]),
        (&json!("chat m"), &json!(2), &json!("1000000000"))
    );
    assert!(chat.get("status").is_none() && chat.get("parentSpanId").is_none());
    assert_eq!(
        (&call["kind"], &call["status"]["code"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(
        (&call["parentSpanId"], &call["traceId"]),
        (&chat["spanId"], &chat["traceId"])
    );
    assert_eq!(chat["traceId"], "0000000000000000000000000000000b");
}

#[test]
fn parquet_has_a_column_a_field_and_is_read_back() {
    use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
    use ::parquet::record::RowAccessor as _;
    let (out, _) = bytes(Kind::Parquet);
    let reader = SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    assert_eq!(schema.num_columns(), COLUMNS.len());
    let at = |name: &str| {
        COLUMNS
            .iter()
            .position(|column| column.name == name)
            .unwrap()
    };
    let rows: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0].get_string(at("response_model")).unwrap(), "m-7b");
    assert_eq!(rows[0].get_long(at("output_tokens")).unwrap(), 50);
    assert_eq!(rows[3].get_string(at("path")).unwrap(), "/a,\"b\"\n=é");
    let columns = rows[1].get_column_iter().collect::<Vec<_>>();
    assert_eq!(
        columns[at("output_tokens")].1,
        &::parquet::record::Field::Null
    );
}

#[test]
fn more_rows_than_a_group_are_all_there() {
    use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
    let spans: Vec<Json> = (0..17_000_u64)
        .map(|n| request(&n.to_string(), "s", "/", n))
        .collect();
    let files = Files::new(&[(&spans, &[])]);
    let mut out = Vec::new();
    export(&files.spools(), Kind::Parquet, Box::new(&mut out)).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(out)).unwrap();
    let meta = reader.metadata();
    assert_eq!(
        (meta.num_row_groups(), meta.file_metadata().num_rows()),
        (2, 17_000)
    );
    let mut out = Vec::new();
    export(&files.spools(), Kind::Otlp, Box::new(&mut out)).unwrap();
    let lines = out.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines, 17_000_usize.div_ceil(512));
}

#[test]
fn perfetto_has_a_track_a_connection_with_what_is_within_and_counters() {
    use prost::Message as _;
    let (out, exported) = bytes(Kind::Perfetto);
    assert_eq!((exported.scopes, exported.sentences), (4, vec![]));
    let trace = proto::Trace::decode(out.as_slice()).unwrap();
    assert_eq!(
        perfetto_text(&trace),
        "\
1 process 42 uvicorn
  2 below 1: 10.0.0.9:4711 > :8000
    1000 POST /v1/chat/completions
      1001 http.client GET /x
        1001.25 first token
      1004 end
    1005 end
  3 below 1: request, connection not known
    3000 POST /open
  4 below 1: request, connection not known (2)
    4000 POST /a,\"b\"
=é
    4005 end
  5 below 1: requests in progress
    1000 1
    1005 0
    4000 1
    4005 0
  6 below 1: calls in progress
    1001 1
    1004 0
  7 below 1: output tokens/s, spread over each stream
    1001.25 13333.333
    1005 0
  8 below 1: output tokens so far
    1005 50
"
    );
}

/// Tracks, and below each its events in the order of time, by packets where times are equal.
fn perfetto_text(trace: &proto::Trace) -> String {
    use std::fmt::Write as _;
    let mut names = std::collections::HashMap::new();
    let mut tracks = Vec::new();
    let mut events = Vec::new();
    for packet in &trace.packet {
        assert_eq!(packet.trusted_packet_sequence_id, Some(1));
        if let Some(interned) = &packet.interned_data {
            names.extend(
                interned
                    .event_names
                    .iter()
                    .map(|n| (n.iid.unwrap(), n.name.clone().unwrap())),
            );
        }
        tracks.extend(packet.track_descriptor.clone());
        if let Some(event) = &packet.track_event {
            let name = event
                .name_iid
                .map(|iid| names[&iid].clone())
                .or(event.name.clone());
            events.push((packet.timestamp.unwrap(), event.clone(), name));
        }
    }
    events.sort_by_key(|(ns, ..)| *ns);
    let mut text = String::new();
    for track in tracks {
        let uuid = track.uuid.unwrap();
        match (&track.process, track.parent_uuid) {
            (Some(process), None) => {
                let name = process.process_name.as_deref().unwrap();
                writeln!(text, "{uuid} process {} {name}", process.pid.unwrap()).unwrap();
            }
            (_, parent) => writeln!(
                text,
                "  {uuid} below {}: {}",
                parent.unwrap(),
                track.name.unwrap()
            )
            .unwrap(),
        }
        let mut depth = 2;
        for (ns, event, name) in events
            .iter()
            .filter(|(_, event, _)| event.track_uuid == Some(uuid))
        {
            let ms = *ns as f64 / 1e6;
            depth -= usize::from(event.kind == Some(proto::SLICE_END));
            let indent = "  ".repeat(depth);
            let what = match event.kind.unwrap() {
                proto::SLICE_END => "end".to_owned(),
                proto::COUNTER => event.double_counter_value.unwrap().to_string(),
                _ => name.clone().unwrap(),
            };
            writeln!(text, "{indent}{ms} {what}").unwrap();
            depth += usize::from(event.kind == Some(proto::SLICE_BEGIN));
        }
    }
    text
}

#[test]
fn an_empty_spool_is_an_empty_table_of_each_kind() {
    let files = Files::new(&[]);
    for (name, kind) in Kind::ALL {
        let mut out = Vec::new();
        let exported = export(&files.spools(), kind, Box::new(&mut out)).unwrap();
        assert_eq!(exported, Exported::default(), "{name}");
        assert_eq!(
            out.is_empty(),
            matches!(kind, Kind::Jsonl | Kind::Otlp),
            "{name}"
        );
    }
}

#[test]
fn no_two_columns_have_one_name_and_each_gives_values_of_its_type() {
    let names: HashSet<_> = COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(names.len(), COLUMNS.len());
    let mut full = crate::request::Request {
        end_ns: Some(1),
        ..Default::default()
    };
    full.figures.output_tokens = Some(1);
    for column in COLUMNS {
        let fits = match (column.get)(&full) {
            Value::None => true,
            Value::Text(_) => column.kind == Type::Text,
            Value::Int(_) => matches!(column.kind, Type::Int | Type::Time),
            Value::Float(_) => column.kind == Type::Float,
            Value::Bool(_) => column.kind == Type::Bool,
        };
        assert!(fits, "{}", column.name);
    }
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_told_as_what_it_is() {
    for (name, kind) in Kind::ALL {
        let error = export(&files().spools(), kind, Box::new(Full)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{name}: {error}");
    }
}

/// To renew it: `UPDATE_DOCS=1 cargo test -p cirron-look document`.
#[test]
fn the_document_has_every_column() {
    let mut table = String::from("| column | type | from |\n| --- | --- | --- |\n");
    for column in COLUMNS {
        table += &format!(
            "| `{}` | {} | {} |\n",
            column.name,
            column.kind.word(),
            column.from
        );
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reading.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- columns: begin -->\n", "<!-- columns: end -->\n");
    let (before, rest) = document.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let renewed = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &renewed).unwrap();
        return;
    }
    assert_eq!(
        document, renewed,
        "UPDATE_DOCS=1 cargo test -p cirron-look document"
    );
}
