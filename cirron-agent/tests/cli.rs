//! The program from outside, as far as it goes without rights: exit codes and what it says.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn agent(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cirron-agent"))
        .args(args)
        .current_dir(dir)
        .env_remove("CIRRON_OUTPUT_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_wrong_command_line_is_2() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["--pid", "x"],
        &["--pid", "0"],
        &["--no-children"],
        &["--pid", "1", "--duration", "soon"],
        &["--pid", "1", "run", "--", "true"],
        &["--nonsense"],
    ] {
        let output = agent(dir.path(), args);
        assert_eq!(code(&output), 2, "{args:?}: {}", err(&output));
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "no file is made"
    );
}

#[test]
fn help_and_version_are_0() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["-h"], &["--version"], &["run", "--help"]] {
        let output = agent(dir.path(), args);
        assert_eq!(code(&output), 0);
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn the_version_names_the_programs_where_it_is_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let said = |args: &[&str]| {
        let output = agent(dir.path(), args);
        assert_eq!(code(&output), 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let short = format!("cirron-agent {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&["--version"]), short);
    assert_eq!(said(&["-V"]), short);
    for args in [["--version", "-v"], ["-v", "--version"]] {
        let whole = said(&args);
        let programs = whole.strip_prefix(&short).unwrap();
        let hash = programs.strip_prefix("programs: sha256 ").unwrap();
        let hash = hash.split_whitespace().next().unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(programs.contains("\n  by rustc 1."), "{programs}");
        let version = format!("records of version {}\n", cirron_common::ABI_VERSION);
        assert!(programs.contains(&version), "{programs}");
    }
}

#[test]
fn a_process_that_is_not_there_is_named_with_its_fix_and_makes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let output = agent(dir.path(), &["--pid", "4194305,4194306", "--record", "r"]);
    // 3 where this machine or user could not attach to anything.
    assert!([3, 4].contains(&code(&output)), "{}", err(&output));
    for pid in ["4194305", "4194306"] {
        let want = format!("process {pid}: no such process\n      fix: ");
        assert!(err(&output).contains(&want), "{}", err(&output));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn doctor_prints_every_check_and_attaches_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = agent(dir.path(), &["doctor", "--pid", "4194305"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!([3, 4].contains(&code(&output)), "{text}");
    for check in [
        "x86_64",
        "kernel 5.12",
        "BTF",
        "lockdown",
        "pid namespace",
        "ring buffer",
    ] {
        assert!(text.contains(check), "{check}: {text}");
    }
    assert!(text.contains("MISSING  process 4194305"), "{text}");
}

#[test]
fn what_is_no_recording_is_refused_with_1() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("x"),
        "not a recording, though longer than a head",
    )
    .unwrap();
    let output = agent(dir.path(), &["replay", "x"]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("not a recording"), "{}", err(&output));
    assert_eq!(code(&agent(dir.path(), &["replay", "missing"])), 1);
}

#[test]
fn a_tree_is_drawn_and_a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code(&agent(dir.path(), &["tree"])), 1);
    let spool = dir.path().join(".cirron/spool");
    std::fs::create_dir_all(&spool).unwrap();
    let span = r#"{"id":"a","name":"cirron.session","parent_id":null,"index":null,"start_ns":1,"end_ns":null}"#;
    let batch = format!(r#"{{"spans":[{span}],"marks":[]}}"#);
    std::fs::write(spool.join("00000000000000000001-aa.json"), batch).unwrap();
    let output = agent(dir.path(), &["tree"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "cirron.session — open since 1970-01-01 00:00:00 UTC\n  nothing seen\n"
    );
    assert_eq!(code(&output), 0);
    std::os::unix::fs::symlink("/dev/zero", spool.join("2-aa.json")).unwrap();
    let output = agent(dir.path(), &["tree"]);
    assert!(
        err(&output).contains("batches that are no regular files: 1"),
        "{}",
        err(&output)
    );
    assert_eq!(code(&output), 0);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_cirron-agent"))
        .arg("tree")
        .current_dir(dir.path())
        .stdout(writer)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_wrong_configuration_is_2_with_its_line_and_the_right_one_is_no_cause_of_any() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("c.toml"),
        "[[rules]]\npth = '/x'\nignore = true\nsample = 0\n",
    )
    .unwrap();
    let none = ["--pid", "4194305"];
    let with = |more: &[&str]| agent(dir.path(), &[&none[..], more].concat());
    let output = with(&["--config", "c.toml"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    for want in [
        "c.toml:2:1: rules[0].pth: there is no such key\n  did you mean `path`? the keys are role, method, path",
        "c.toml:4:10: rules[0].sample: this value is not taken\n  it is one in how many",
    ] {
        assert!(err(&output).contains(want), "{}", err(&output));
    }
    let output = with(&["--config", "none.toml"]);
    assert_eq!(code(&output), 2);
    assert!(
        err(&output).contains("none.toml cannot be read: No such file"),
        "{}",
        err(&output)
    );
    std::fs::write(
        dir.path().join("c.toml"),
        "[[rules]]\npath = '/x'\nignore = true\n",
    )
    .unwrap();
    // The process is not there, or this machine cannot attach to any.
    assert!([3, 4].contains(&code(&with(&["--config", "c.toml"]))));
    assert_eq!(code(&agent(dir.path(), &["--config", "c.toml", "tree"])), 2);
}
