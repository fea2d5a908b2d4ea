#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

#[derive(Default)]
struct Names(Vec<String>);

impl Take for Names {
    fn span(&mut self, row: &SpanRow<'_>) {
        self.0.push(row.name.0.to_string());
    }
    fn mark(&mut self, row: &MarkRow<'_>) {
        self.0.push(format!("{}={}", row.name.0, row.value));
    }
}

fn batch(name: &str) -> String {
    format!(
        r#"{{"schema_version":1,"x":[{{}}],"spans":[{{"id":"a","name":"{name}","parent_id":null,"index":null,
            "start_ns":1,"end_ns":null}}],"marks":[{{"span_id":"a","name":"m","value":1,"kind":"point"}}]}}"#
    )
}

fn read(dir: &Path) -> (Vec<String>, Left) {
    let mut names = Names::default();
    let left = Batches::list(dir).unwrap().read(&mut names);
    (names.0, left)
}

#[test]
fn only_the_contract_s_names_are_batches() {
    assert!(is_batch_name("00000000000000000042-00ff.json"));
    for bad in [
        "42-00ff.json.tmp",
        "42-00FF.json",
        "x-00.json",
        "42-.json",
        "-00.json",
        "42.json",
    ] {
        assert!(!is_batch_name(bad), "{bad}");
    }
}

#[test]
fn batches_are_read_oldest_first_and_what_is_none_is_counted() {
    let tmp = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(tmp.path().join(name), text).unwrap();
    write("2-aa.json", &batch("b"));
    write("1-aa.json", &batch("a"));
    write("3-aa.json", "{}");
    write("4-aa.json", &batch("c").replace("]}", "]} rest"));
    write("5-aa.json.tmp", &batch("no"));
    let (names, left) = read(tmp.path());
    assert_eq!(names, ["a", "m=1", "b", "m=1", "c", "m=1"]);
    assert_eq!(
        left,
        Left {
            damaged: 2,
            ..Left::default()
        }
    );
}

/// The ways to hang a reader or to fill its memory.
#[test]
fn nothing_but_a_regular_file_is_opened() {
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name);
    let fifo = Command::new("mkfifo")
        .arg(path("1-aa.json"))
        .status()
        .unwrap();
    assert!(fifo.success());
    symlink("/dev/zero", path("2-aa.json")).unwrap();
    std::fs::create_dir(path("3-aa.json")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("4-aa.json")).unwrap();
    // A link to a good batch is a link.
    std::fs::write(path("good"), batch("a")).unwrap();
    symlink(path("good"), path("5-aa.json")).unwrap();
    File::create(path("6-aa.json"))
        .unwrap()
        .set_len(MAX_FILE_BYTES + 1)
        .unwrap();
    let (names, left) = read(tmp.path());
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(
        left,
        Left {
            irregular: 5,
            large: 1,
            ..Left::default()
        }
    );
}

#[test]
fn past_the_most_files_the_oldest_are_left_out() {
    let tmp = tempfile::tempdir().unwrap();
    for n in 0..5 {
        std::fs::write(
            tmp.path().join(format!("{n}-aa.json")),
            batch(&n.to_string()),
        )
        .unwrap();
    }
    let mut names = Names::default();
    let left = Batches::newest(tmp.path(), 3).unwrap().read(&mut names);
    names.0.retain(|name| !name.contains('='));
    assert_eq!(names.0, ["2", "3", "4"]);
    assert_eq!(left.old, 2);
}

#[test]
fn there_must_be_a_directory() {
    assert!(Batches::list(Path::new("/nowhere")).is_err());
}
