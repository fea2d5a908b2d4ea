//! How long a spool of 1 GB lasts: the table in `docs/performance.md`, from a recorded capture.
//!
//! To renew it: `UPDATE_DOCS=1 cargo test -p cirron-agent --test spool_size`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use cirron_agent::Batch;
use cirron_agent::DEFAULT_MAX_BYTES;
use cirron_agent::Finished;
use cirron_agent::RecordingReader;
use cirron_agent::WallTimes;
use cirron_agent::replay;
use cirron_core::id::{Id, SequentialIds};
use cirron_core::scope::names::MARKS;
use cirron_core::scope::{AttrValue, Attrs, Mark, MarkKind};

const BEGIN: &str = "<!-- spool size: begin -->\n";
const END: &str = "<!-- spool size: end -->\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The scopes of a recording of calls to a model server.
fn scopes() -> Vec<Finished> {
    let file = std::fs::File::open(root().join("tests/corpus/uvicorn-h11.recording")).unwrap();
    let mut reader = RecordingReader::new(file).unwrap();
    let mut scopes = Vec::new();
    replay(&mut reader, Box::new(SequentialIds::default()), |scope| {
        scopes.push(scope);
    });
    scopes
}

/// Bytes that a scope adds to a batch, with its comma, of which those of `chunk_ms` points.
fn bytes(scope: &Finished) -> u64 {
    let written = |scopes: &[&Finished]| {
        let mut batch = Batch::default();
        for scope in scopes {
            let times = WallTimes::new(&scope.span, &scope.anchor);
            batch
                .push(&scope.span, times, &scope.marks, &scope.anchor)
                .unwrap();
        }
        batch
            .write_to(&mut std::io::sink(), 0, Id([0; 16]))
            .unwrap()
    };
    written(&[scope, scope]) - written(&[scope])
}

/// Without the marks that `leaves` says.
fn without(mut scope: Finished, leaves: impl Fn(&Mark) -> bool) -> Finished {
    let out = scope.marks.iter().filter(|mark| leaves(mark));
    let out: Vec<Id> = out.map(|mark| mark.id).collect();
    scope.marks.retain(|mark| !out.contains(&mark.id));
    scope.span.mark_ids.retain(|id| !out.contains(id));
    scope
}

/// Without the points, which are written only where they are asked for.
fn plain(scope: Finished) -> Finished {
    without(scope, |mark| mark.kind == MarkKind::Point)
}

/// As a dialect that is not OpenAI's has it: without the marks that are OpenAI's names of others.
fn of_another_dialect(scope: Finished) -> Finished {
    without(scope, |mark| {
        matches!(&*mark.name, "prompt_tokens" | "completion_tokens")
    })
}

/// Where the bytes of a scope are, with whose they are.
fn parts(scope: &Finished) -> String {
    let of_sdk = |mark: &Mark| {
        let mut rows = MARKS.iter().filter(|row| row.source == "SDK");
        rows.any(|row| row.name == &*mark.name)
    };
    let all = bytes(scope);
    let bare = without(scope.clone(), |_| true);
    let ours = without(scope.clone(), of_sdk);
    let mut empty = bare.clone();
    empty.span.attrs = Attrs::default();
    let sdk = scope.marks.iter().filter(|mark| of_sdk(mark)).count();
    let rows = [
        (
            format!("{sdk} marks that `@ci.inference` emits too, by its names"),
            all - bytes(&ours),
        ),
        (
            format!("{} marks beyond those", scope.marks.len() - sdk),
            bytes(&ours) - bytes(&bare),
        ),
        (
            "the 14 keys of a span; where nothing was measured the format has `null`".to_owned(),
            bytes(&empty),
        ),
        ("its attributes".to_owned(), bytes(&bare) - bytes(&empty)),
    ];
    assert_eq!(rows.iter().map(|(_, n)| n).sum::<u64>(), all);
    let mut text = format!("\n| of these {all} bytes | |\n| --- | --- |\n");
    for (what, bytes) in rows {
        text.push_str(&format!("| {what} | {bytes} |\n"));
    }
    text
}

fn is(scope: &Finished, name: &str, value: &str) -> bool {
    match scope.span.attrs.get(name) {
        Some(AttrValue::Str(text)) => *text == value,
        Some(AttrValue::Bool(v)) => v.to_string() == value,
        Some(AttrValue::Int(_) | AttrValue::Float(_)) | None => false,
    }
}

fn hours(bytes: u64, calls_a_second: u64) -> String {
    let seconds = DEFAULT_MAX_BYTES / (bytes * calls_a_second);
    match seconds {
        0..6_000 => format!("{} min", seconds / 60),
        _ => format!("{:.1} h", seconds as f64 / 3_600.0),
    }
}

fn find(scopes: &[Finished], wanted: impl Fn(&Finished) -> bool) -> Finished {
    scopes.iter().find(|scope| wanted(scope)).unwrap().clone()
}

#[test]
fn a_call_takes_no_more_of_the_spool_than_the_document_says() {
    let scopes = scopes();
    let complete = |scope: &Finished| is(scope, "cirron.figures", "complete");
    let stream = find(&scopes, |s| {
        complete(s) && is(s, "cirron.request.stream", "true")
    });
    let answer = find(&scopes, |s| {
        complete(s)
            && is(s, "cirron.request.stream", "false")
            && is(s, "gen_ai.operation.name", "chat")
    });
    let other = find(&scopes, |s| is(s, "url.path", "/health"));
    let points = stream.marks.len();
    let with_points = bytes(&stream);
    let stream = plain(stream);
    let parts = parts(&stream);
    let points = (points - stream.marks.len()) as u64;
    assert!(points > 0, "the recording was made with --chunk-timing");
    let a_point = (with_points - bytes(&stream)) / points;

    let mut text = String::from(
        "| | bytes | 1 GB lasts at 10 calls/s | at 100 | at 300 |\n| --- | --- | --- | --- | --- |\n",
    );
    for (what, scope) in [
        ("a streamed call of a model, with usage", stream.clone()),
        (
            "the same of a dialect that is not OpenAI's",
            of_another_dialect(stream),
        ),
        ("a call answered by one JSON document", plain(answer)),
        ("a request that is no call of a model", plain(other)),
    ] {
        let bytes = bytes(&scope);
        assert!(bytes < 4_100, "{what}: {bytes}");
        let [ten, hundred, most] = [10, 100, 300].map(|rate| hours(bytes, rate));
        text.push_str(&format!(
            "| {what} | {bytes} | {ten} | {hundred} | {most} |\n"
        ));
    }
    text.push_str(&format!(
        "| with `--chunk-timing`, a token more | {a_point} | | | |\n"
    ));

    text.push_str(&parts);

    let path = root().join("docs/performance.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let renewed = format!("{before}{BEGIN}{text}{END}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &renewed).unwrap();
        return;
    }
    assert_eq!(
        document, renewed,
        "UPDATE_DOCS=1 cargo test -p cirron-agent --test spool_size"
    );
}
