//! The checker must be able to fail: one good spool, and each way to spoil it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::check;

const CREATED: i64 = 1_700_000_000_000_000_000;

fn id(n: u32) -> String {
    format!("{n:08x}000040008000000000000000")
}

fn good() -> Value {
    let span = |n: u32, name: &str, parent: Value, attrs: Value, marks: Value| {
        json!({"id": id(n), "name": name, "parent_id": parent, "index": null, "start_ns": CREATED, "end_ns": CREATED + 5, "cpu_ns": null, "gpu_ns": null,
            "memory_peak_bytes": null, "thread_id": 7, "pid": 7, "rank": 0, "attrs": attrs, "mark_ids": marks})
    };
    json!({
        "schema_version": 1, "sdk_version": "agent/0.1.0", "batch_id": id(1), "created_ns": CREATED, "snapshots": [],
        "spans": [span(2, "cirron.session", Value::Null, json!({"pid": 7}), json!([])), span(3, "request", json!(id(2)), json!({"request_id": id(4)}), json!([id(5)]))],
        "marks": [{"id": id(5), "span_id": id(3), "name": "output_tokens", "value_type": "int", "value": 3, "attrs": {"source": "openai"}, "ts_ns": CREATED, "kind": "summary"}],
    })
}

fn spool(batch: &Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("spool")).unwrap();
    fs::write(
        dir.path()
            .join(format!("spool/{CREATED:020}-{}.json", id(1))),
        batch.to_string(),
    )
    .unwrap();
    dir
}

#[test]
fn a_good_spool_passes() {
    check(spool(&good()).path()).unwrap();
}

#[test]
fn what_a_program_named_itself_passes() {
    let mut batch = good();
    batch["spans"][1]["attrs"]["request_id"] = "job-7".into();
    let mut scope = batch["spans"][1].clone();
    scope["id"] = id(6).into();
    scope["parent_id"] = id(3).into();
    scope["name"] = "préprocess".into();
    scope["attrs"] = json!({"rows": 3});
    scope["mark_ids"] = json!([]);
    batch["spans"].as_array_mut().unwrap().push(scope);
    check(spool(&batch).path()).unwrap();
}

#[test]
fn each_spoiled_batch_is_refused() {
    let spoils: &[(&str, Value)] = &[
        ("/schema_version", json!(2)),
        ("/sdk_version", json!("0.3.0")),
        ("/batch_id", json!(id(9))),
        ("/created_ns", json!(CREATED + 1)),
        ("/snapshots", json!([{}])),
        ("/spans/0/id", json!("ABC")),
        ("/spans/0/end_ns", Value::Null),
        ("/spans/0/name", json!("session")),
        ("/spans/1/parent_id", json!(id(8))),
        ("/spans/1/parent_id", Value::Null),
        ("/spans/1/end_ns", json!(CREATED - 1)),
        ("/spans/1/start_ns", json!(5)),
        ("/spans/1/cpu_ns", json!("0")),
        ("/spans/1/attrs", json!({})),
        ("/spans/1/attrs", json!({"request_id": id(4), "list": []})),
        (
            "/spans/1/attrs",
            json!({"request_id": id(4), "text": crate::CANARY}),
        ),
        (
            "/spans/1/attrs/request_id",
            json!("00000000000000000000000000000000"),
        ),
        (
            "/spans/1/attrs",
            json!({"request_id": "job-7", "http.request.method": "GET"}),
        ),
        ("/spans/1/name", json!("")),
        ("/spans/1/name", json!("cirron.scope")),
        ("/spans/1/name", json!("a\u{1b}[2J")),
        ("/spans/1/name", json!("x".repeat(129))),
        ("/spans/1/mark_ids", json!([])),
        ("/spans/1/mark_ids", json!([id(5), id(6)])),
        ("/marks/0/span_id", json!(id(8))),
        ("/marks/0/value", json!(3.5)),
        ("/marks/0/value_type", json!("float")),
        ("/marks/0/kind", json!("sum")),
        ("/marks/0/attrs", json!({"a": null})),
    ];
    for (pointer, value) in spoils {
        let mut batch = good();
        *batch.pointer_mut(pointer).unwrap() = value.clone();
        assert!(
            check(spool(&batch).path()).is_err(),
            "{pointer} = {value} passed"
        );
    }
}

#[test]
fn extra_and_missing_keys_and_files_are_refused() {
    let mut batch = good();
    batch["spans"][1]["extra"] = json!(1);
    assert!(check(spool(&batch).path()).is_err());
    let mut batch = good();
    batch["marks"][0].as_object_mut().unwrap().remove("kind");
    assert!(check(spool(&batch).path()).is_err());
    let dir = spool(&good());
    fs::write(dir.path().join("spool/x.json.tmp"), "").unwrap();
    assert!(check(dir.path()).is_err());
}
