#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

use clap::{CommandFactory, Parser};

use super::*;

fn todo_in(line: &str, env: &[(&str, &str)]) -> Result<Todo, String> {
    let args = LowArgs::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())?;
    let env = |name: &str| {
        env.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| (*v).to_owned())
    };
    resolve(args, &env)
}

fn attach(line: &str, env: &[(&str, &str)]) -> (Vec<u32>, Capture) {
    match todo_in(line, env).unwrap() {
        Todo::Attach { pids, capture } => (pids, capture),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_is_consistent() {
    LowArgs::command().debug_assert();
}

#[test]
fn pids_are_repeated_or_listed_and_counted_once() {
    let (pids, capture) = attach("cirron-agent --pid 3,1 --pid 3 -p 2", &[]);
    assert_eq!(pids, [1, 2, 3]);
    assert!(capture.load.follow_children);
    assert_eq!(capture.load.ring_bytes, cirron_common::maps::RING_BYTES);
    assert_eq!(
        capture.outputs.spool_dir,
        Some(PathBuf::from("./.cirron/spool"))
    );
    assert!(!capture.outputs.stdout);
    assert_eq!(capture.outputs.flush_interval, Duration::from_secs(1));
    assert_eq!(capture.outputs.spool_max_bytes, 1_000_000_000);
    assert_eq!(capture.duration, None);
}

#[test]
fn flags_win_over_the_environment_and_bad_values_there_are_as_if_unset() {
    let env = [
        ("CIRRON_OUTPUT_DIR", "/env"),
        ("CIRRON_FLUSH_INTERVAL", "0.25"),
        ("CIRRON_SPOOL_MAX_BYTES", "5000"),
    ];
    let (_, capture) = attach("cirron-agent --pid 1", &env);
    assert_eq!(capture.outputs.spool_dir, Some(PathBuf::from("/env/spool")));
    assert_eq!(capture.outputs.flush_interval, Duration::from_millis(250));
    assert_eq!(capture.outputs.spool_max_bytes, 5_000);
    let (_, capture) = attach("cirron-agent --pid 1 --output-dir /flag", &env);
    assert_eq!(
        capture.outputs.spool_dir,
        Some(PathBuf::from("/flag/spool"))
    );
    for bad in ["x", "", "-1", "nan", "inf", "0"] {
        let env = [("CIRRON_FLUSH_INTERVAL", bad), ("CIRRON_OUTPUT_DIR", "")];
        let (_, capture) = attach("cirron-agent --pid 1", &env);
        assert_eq!(
            capture.outputs.flush_interval,
            Duration::from_secs(1),
            "{bad}"
        );
        assert_eq!(
            capture.outputs.spool_dir,
            Some(PathBuf::from("./.cirron/spool"))
        );
    }
    let (_, capture) = attach(
        "cirron-agent --pid 1",
        &[("CIRRON_FLUSH_INTERVAL", "1e300")],
    );
    assert_eq!(capture.outputs.flush_interval, MAX_FLUSH_INTERVAL);
}

#[test]
fn outputs_are_the_sdk_s() {
    let plan = |line| attach(line, &[]).1.outputs;
    let both = plan("cirron-agent --pid 1 --output spool,stdout");
    assert!(both.spool_dir.is_some() && both.stdout);
    assert_eq!(
        both,
        plan("cirron-agent --pid 1 --output stdout --output spool")
    );
    let none = plan("cirron-agent --pid 1 --output stdout,none");
    assert!(none.spool_dir.is_none() && !none.stdout);
    assert!(todo_in("cirron-agent --pid 1 --output log", &[]).is_err());
}

#[test]
fn flags_stand_before_or_after_a_command_and_its_own_flags_are_left_to_it() {
    for line in [
        "cirron-agent --no-children --duration 2m run -- cmd --pid 3 -v --duration 1s",
        "cirron-agent run --no-children --duration 2m -- cmd --pid 3 -v --duration 1s",
        "cirron-agent run --no-children --duration 2m cmd --pid 3 -v --duration 1s",
    ] {
        match todo_in(line, &[]).unwrap() {
            Todo::Run { command, capture } => {
                assert_eq!(
                    command,
                    ["cmd", "--pid", "3", "-v", "--duration", "1s"],
                    "{line}"
                );
                assert!(!capture.load.follow_children);
                assert_eq!(capture.duration, Some(Duration::from_secs(120)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_replay_prints_unless_told_otherwise() {
    match todo_in("cirron-agent replay f --ids sequential", &[]).unwrap() {
        Todo::Replay { file, ids, outputs } => {
            assert_eq!(file, PathBuf::from("f"));
            assert_eq!(ids, IdKind::Sequential);
            assert!(outputs.stdout && outputs.spool_dir.is_none());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn doctor_takes_pids_and_the_others_do_not() {
    match todo_in("cirron-agent doctor --pid 4,5", &[]).unwrap() {
        Todo::Doctor { pids, .. } => assert_eq!(pids, [4, 5]),
        other => panic!("{other:?}"),
    }
    assert!(
        todo_in("cirron-agent --pid 1 run -- x", &[])
            .unwrap_err()
            .contains("exclude")
    );
    assert!(
        todo_in("cirron-agent --pid 1 tree", &[])
            .unwrap_err()
            .contains("exclude")
    );
}

#[test]
fn nothing_to_watch_is_an_error_of_usage() {
    assert!(
        todo_in("cirron-agent --no-children", &[])
            .unwrap_err()
            .contains("--pid")
    );
    assert!(todo_in("cirron-agent --pid 0", &[]).is_err());
    assert!(todo_in("cirron-agent --pid x", &[]).is_err());
    assert!(todo_in("cirron-agent run", &[]).is_err());
    assert!(todo_in("cirron-agent --pid 1 --ring-mib 0", &[]).is_err());
}

#[test]
fn durations_have_units() {
    for (text, ms) in [
        ("10s", 10_000),
        ("500ms", 500),
        ("1.5m", 90_000),
        ("1h", 3_600_000),
        ("2", 2_000),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)));
    }
    for bad in [
        "",
        "s",
        "10 s",
        "-1s",
        "0s",
        "1d",
        "1e9h",
        "99999999h",
        "1.2.3s",
    ] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn links_of_many_places_unless_single_ones_are_asked_for() {
    for (value, links) in [
        (None, Links::Fewest),
        (Some("single"), Links::Single),
        (Some(""), Links::Fewest),
    ] {
        let env: Vec<_> = value
            .map(|v| ("CIRRON_UPROBE_LINKS", v))
            .into_iter()
            .collect();
        let (_, capture) = attach("cirron-agent --pid 1", &env);
        assert_eq!(capture.load.links, links, "{value:?}");
    }
}
