#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

use clap::{CommandFactory, Parser};

use super::*;

fn todo_in(line: &str, env: &[(&str, &str)]) -> Result<Todo, String> {
    let args = LowArgs::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())?;
    let env = |name: &str| {
        env.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| OsString::from(*v))
    };
    resolve(args, &env, Vec::new(), None).map(|resolved| resolved.todo)
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
    assert!(capture.policy.children);
    assert_eq!(capture.load.ring_bytes, cirron_common::maps::RING_BYTES);
    assert_eq!(
        capture.outputs.spool_dir,
        Some(PathBuf::from("./.cirron/spool"))
    );
    assert_eq!(capture.outputs.kinds, [&SPOOL]);
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
    assert!(both.spool_dir.is_some());
    assert_eq!(both.kinds, [&SPOOL, &STDOUT]);
    assert_eq!(
        both,
        plan("cirron-agent --pid 1 --output stdout --output spool")
    );
    let none = plan("cirron-agent --pid 1 --output stdout,none");
    assert!(none.spool_dir.is_none() && none.kinds.is_empty());
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
                assert!(!capture.policy.children);
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
            assert_eq!(outputs.kinds, [&STDOUT]);
            assert!(outputs.spool_dir.is_none());
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

fn warnings(line: &str, env: &[(&str, &str)]) -> (Todo, Vec<String>) {
    let args = LowArgs::try_parse_from(line.split_whitespace()).unwrap();
    let env = |name: &str| {
        let found = env.iter().find(|(n, _)| *n == name);
        found.map(|(_, v)| OsString::from(*v))
    };
    let Resolved { todo, warnings } = resolve(args, &env, Vec::new(), None).unwrap();
    (todo, warnings)
}

#[test]
fn values_of_the_environment_that_are_not_taken_are_said() {
    for (name, bad, taken) in [
        ("CIRRON_FLUSH_INTERVAL", "abc", "1s"),
        ("CIRRON_FLUSH_INTERVAL", "-1", "1s"),
        ("CIRRON_FLUSH_INTERVAL", "nan", "1s"),
        ("CIRRON_FLUSH_INTERVAL", "inf", "1s"),
        ("CIRRON_FLUSH_INTERVAL", "0", "1s"),
        ("CIRRON_FLUSH_INTERVAL", "1e300", "3600s"),
        ("CIRRON_FLUSH_INTERVAL", "1e-9", "10ms"),
        ("CIRRON_SPOOL_MAX_BYTES", "1XB", "1GB"),
        ("CIRRON_SPOOL_MAX_BYTES", "-5", "1GB"),
        ("CIRRON_SPOOL_MAX_BYTES", "0", "1GB"),
        ("CIRRON_SPOOL_MAX_BYTES", "1e9", "1GB"),
        ("CIRRON_UPROBE_LINKS", "singel", "the fewest links"),
        ("CIRRON_TLS_PLACES", "symbols", "the cheapest place"),
        ("SUDO_UID", "joe", "the agent's own user"),
        ("SUDO_GID", "-1", "the agent's own user"),
    ] {
        let (_, said) = warnings("cirron-agent --pid 1", &[(name, bad)]);
        assert_eq!(said.len(), 1, "{name}={bad}: {said:?}");
        assert!(
            said[0].starts_with(name) && said[0].ends_with(&format!("; {taken} is taken")),
            "{said:?}"
        );
        // Whom it does not concern hears nothing of it.
        assert_eq!(
            warnings("cirron-agent tree", &[(name, bad)]).1,
            Vec::<String>::new()
        );
    }
    let (_, said) = warnings(
        "cirron-agent --pid 1",
        &[("CIRRON_SPOOL_MAX_BYTES", "\u{1b}[2J")],
    );
    assert!(
        said[0].contains("CIRRON_SPOOL_MAX_BYTES=\\u{1b}[2J is not a size"),
        "{said:?}"
    );
    let env = [("CIRRON_SPOOL_MAX_BYTES", "x")];
    assert!(
        warnings("cirron-agent --pid 1 --output stdout", &env)
            .1
            .is_empty()
    );
    assert!(
        warnings("cirron-agent --pid 1 --spool-max-bytes 1GB", &env)
            .1
            .is_empty()
    );
    assert!(warnings("cirron-agent replay f", &env).1.is_empty());
    assert_eq!(
        warnings("cirron-agent replay f --output spool", &env)
            .1
            .len(),
        1
    );
}

#[test]
fn the_environment_takes_units_and_python_s_numbers() {
    for (interval, ms) in [
        ("0.25", 250),
        (" 1.5 ", 1_500),
        ("2e-1", 200),
        ("500ms", 500),
        ("1m", 60_000),
    ] {
        let env = [
            ("CIRRON_FLUSH_INTERVAL", interval),
            ("CIRRON_SPOOL_MAX_BYTES", "1.5GB"),
        ];
        let (todo, said) = warnings("cirron-agent --pid 1", &env);
        assert!(said.is_empty(), "{said:?}");
        match todo {
            Todo::Attach { capture, .. } => {
                assert_eq!(capture.outputs.flush_interval, Duration::from_millis(ms));
                assert_eq!(capture.outputs.spool_max_bytes, 1_500_000_000);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_directory_need_not_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let args = LowArgs::try_parse_from(["cirron-agent", "tree"]).unwrap();
    let raw = |_: &str| Some(OsString::from_vec(b"/tmp/\xff".to_vec()));
    match resolve(args, &raw, Vec::new(), None).unwrap().todo {
        Todo::Tree { spool_dir, .. } => {
            assert_eq!(
                spool_dir.into_os_string(),
                OsString::from_vec(b"/tmp/\xff/spool".to_vec())
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_with_units_win_over_the_environment_and_bad_ones_are_errors() {
    let env = [
        ("CIRRON_FLUSH_INTERVAL", "5"),
        ("CIRRON_SPOOL_MAX_BYTES", "5000"),
    ];
    let (_, capture) = attach(
        "cirron-agent --pid 1 --flush-interval 250ms --spool-max-bytes 64MiB --duration 1h30m --ring-mib 64 --max-memory 64MiB",
        &env,
    );
    assert_eq!(capture.outputs.flush_interval, Duration::from_millis(250));
    assert_eq!(capture.outputs.spool_max_bytes, 64 << 20);
    assert_eq!(capture.duration, Some(Duration::from_secs(5_400)));
    assert_eq!(capture.load.ring_bytes, 64 << 20);
    assert_eq!(capture.engine.max_memory_bytes, Some(64 << 20));
    let queue = |line: &str| attach(line, &[]).1.outputs.queue_bytes;
    assert_eq!(queue("cirron-agent --pid 1"), 32 << 20);
    assert_eq!(queue("cirron-agent --pid 1 --max-memory 4GiB"), 32 << 20);
    assert_eq!(queue("cirron-agent --pid 1 --max-memory 16MiB"), 8 << 20);
    for bad in [
        "--flush-interval 0",
        "--flush-interval x",
        "--spool-max-bytes 1XB",
        "--spool-max-bytes 0",
        "--duration soon",
        "--duration -1s",
        "--ring-mib 64MB",
        "--ring-mib 2048",
        "--max-memory 1MiB",
    ] {
        assert!(
            todo_in(&format!("cirron-agent --pid 1 {bad}"), &[]).is_err(),
            "{bad}"
        );
    }
    let (_, said) = warnings("cirron-agent --pid 1 --ring-mib 33", &[]);
    assert_eq!(
        said,
        ["--ring-mib 33: the size of a ring is a power of two; 64 is taken"]
    );
    let (_, said) = warnings("cirron-agent --pid 1 --flush-interval 2h", &[]);
    assert_eq!(
        said,
        ["--flush-interval is not from 10ms to 3600s; 3600s is taken"]
    );
}

/// Before a command and behind it; what it takes is taken at both places.
#[test]
fn options_that_do_nothing_for_a_command_are_refused() {
    let all = [
        ("--no-children", "run"),
        ("--duration 1s", "run"),
        ("--flush-interval 1s", "run"),
        ("--chunk-timing", "run"),
        ("--net-scopes", "run"),
        ("--tls secrets", "run"),
        ("--record f", "run"),
        ("--summary-json f", "run"),
        ("--ring-mib 8", "run doctor"),
        ("--output stdout", "run replay"),
        ("--spool-max-bytes 1GB", "run replay"),
        ("--output-dir d", "run replay tree"),
        ("-v", "run replay tree doctor"),
    ];
    for (option, commands) in all {
        for (command, rest) in [
            ("run", "cmd"),
            ("replay", "f"),
            ("tree", ""),
            ("doctor", ""),
        ] {
            let takes = commands.contains(command);
            for line in [
                format!("cirron-agent {option} {command} {rest}"),
                format!("cirron-agent {command} {option} {rest}"),
            ] {
                let done = todo_in(&line, &[]);
                assert_eq!(done.is_ok(), takes, "{line}: {done:?}");
            }
        }
    }
    let said = todo_in("cirron-agent --record f tree", &[]).unwrap_err();
    assert_eq!(said, "--record does nothing for `tree`");
}

#[test]
fn behind_a_command_wins_over_before_it() {
    match todo_in("cirron-agent --output-dir a tree --output-dir b", &[]).unwrap() {
        Todo::Tree { spool_dir, .. } => assert_eq!(spool_dir, PathBuf::from("b/spool")),
        other => panic!("{other:?}"),
    }
    match todo_in(
        "cirron-agent --ring-mib 8 --no-children run --ring-mib 16 cmd",
        &[],
    )
    .unwrap()
    {
        Todo::Run { capture, .. } => {
            assert_eq!(capture.load.ring_bytes, 16 << 20);
            assert!(!capture.policy.children);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_cgroup_has_small_defaults_and_is_told_so() {
    let resolved = |line: &str| {
        let args = LowArgs::try_parse_from(line.split_whitespace()).unwrap();
        resolve(args, &|_| None, Vec::new(), Some(128 << 20)).unwrap()
    };
    let Resolved { todo, warnings } = resolved("cirron-agent --pid 1");
    let Todo::Attach { capture, .. } = todo else {
        panic!("{todo:?}");
    };
    assert_eq!(capture.load.ring_bytes, 8 << 20);
    assert_eq!(capture.load.halvings, 2);
    assert_eq!(capture.engine.max_memory_bytes, Some(16 << 20));
    assert_eq!(capture.outputs.queue_bytes, 8 << 20);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("128 MiB"), "{warnings:?}");
    let Resolved { todo, .. } = resolved("cirron-agent --pid 1 --ring-mib 32");
    let Todo::Attach { capture, .. } = todo else {
        panic!("{todo:?}");
    };
    assert_eq!(capture.load.ring_bytes, 32 << 20);
    match resolved("cirron-agent doctor").todo {
        Todo::Doctor { load, .. } => assert!(load.ring_bytes < 32 << 20 && load.halvings > 0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_file_says_where_to_ship_and_flags_and_variables_win() {
    let said = [
        ("CIRRON_SHIP_OTLP_ENDPOINT", "http://file:4317"),
        ("CIRRON_SHIP_OTLP_PROTOCOL", "grpc"),
        ("CIRRON_SHIP_METRICS_LISTEN", "9464"),
        ("CIRRON_SHIP_REMOVE", "60"),
    ];
    let plan = attach("cirron-agent --pid 1", &said).1.ship.unwrap();
    let endpoint = |plan: &ShipPlan| plan.otel.traces.clone().unwrap().endpoint;
    assert_eq!(endpoint(&plan), "http://file:4317");
    assert_eq!(plan.otel.listen, Some(([127, 0, 0, 1], 9464).into()));
    let after =
        |plan: &ShipPlan, seconds| plan.remove == Remove::After(Duration::from_secs(seconds));
    assert!(after(&plan, 60));
    let told: Vec<&str> = plan.variables.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        told,
        ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"]
    );
    let mut more = said.to_vec();
    more.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4317"));
    let line = "cirron-agent --pid 1 --ship-remove sent --metrics-listen 1";
    let plan = attach(line, &more).1.ship.unwrap();
    assert_eq!(endpoint(&plan), "http://env:4317");
    assert_eq!(plan.variables.len(), 1);
    assert!(after(&plan, 0) && plan.otel.listen.is_some_and(|a| a.port() == 1));
    more.push(("CIRRON_SHIP_ENABLED", "false"));
    assert!(attach(line, &more).1.ship.is_none());
}

#[test]
fn batches_are_shipped_where_the_environment_says_so_and_a_wrong_key_is_said() {
    let key = ("CIRRON_API_KEY", "k");
    assert_eq!(attach("cirron-agent --pid 1", &[]).1.ship.map(drop), None);
    let (_, capture) = attach("cirron-agent --pid 1 --ship-remove sent", &[key]);
    let plan = capture.ship.unwrap();
    assert!(matches!(plan.cirron, Some(Transport::Upload(_))));
    assert_eq!(plan.output_dir, PathBuf::from("./.cirron"));
    assert_eq!(
        plan.remove,
        cirron_ship::remove::Remove::After(Duration::ZERO)
    );
    for line in [
        "cirron-agent --pid 1 --no-ship",
        "cirron-agent --pid 1 --output stdout",
    ] {
        assert!(attach(line, &[key]).1.ship.is_none(), "{line}");
    }
    let wrong = [("CIRRON_API_KEY", "k\n")];
    assert!(attach("cirron-agent --pid 1", &wrong).1.ship.is_none());
    let refused = todo_in("cirron-agent ship", &wrong).unwrap_err();
    assert!(refused.contains("CIRRON_API_KEY"), "{refused}");
    let refused = todo_in("cirron-agent ship", &[]).unwrap_err();
    assert!(refused.contains("nowhere to ship to"), "{refused}");
    let run = [("CIRRON_RUN_ID", "r")];
    match todo_in("cirron-agent --output-dir out ship --once", &run).unwrap() {
        Todo::Ship {
            plan, once, again, ..
        } => {
            assert_eq!(plan.cirron, Some(Transport::Events));
            assert_eq!(
                (plan.output_dir, once, again),
                (PathBuf::from("out"), true, false)
            );
        }
        other => panic!("{other:?}"),
    }
}
