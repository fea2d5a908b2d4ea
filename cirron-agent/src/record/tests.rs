#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use super::reader::{ReadError, RecordingReader};
use super::writer::Recorder;
use super::*;
use crate::files::Users;
use crate::files::place::Place;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn rules(name: &str) -> Rules {
    let file = serde_json::json!({"rules": [{"path": "/v1/**", "name": name, "sample": 3}]});
    Rules::read([serde_json::json!({}), file]).unwrap()
}

fn inputs() -> Vec<Input> {
    let facts = ProcessFacts {
        tgid: 7,
        explicit: true,
        env: [("RANK".to_owned(), "3".to_owned())].into(),
        exe: Some("uvicorn".into()),
        container: Some("0af1".into()),
        workload: [("k8s.pod.name".to_owned(), "llama-0".to_owned())].into(),
        target: Some("llama".into()),
        blind: vec!["rustls in uvicorn".into()],
    };
    vec![
        Input::Config(ConfigEntry {
            chunk_timing: false,
            rules: RulesEntry(rules("first")),
            max_memory_bytes: Some(1 << 26),
        }),
        Input::Anchor(Anchor {
            mono: MonoNs(1),
            wall_ns: u64::MAX,
        }),
        Input::Process(facts),
        Input::Rules(RulesEntry(rules("second"))),
        Input::Record(vec![0, 1, 2, 255]),
        Input::Record(Vec::new()),
        Input::Timeout(MonoNs(9)),
        Input::Shutdown(MonoNs(10)),
    ]
}

fn recorded() -> Vec<u8> {
    let shared = Shared::default();
    let mut recorder = Recorder::new(Box::new(shared.clone()));
    for input in inputs() {
        match input {
            Input::Config(entry) => recorder.config(&entry.into()),
            Input::Anchor(anchor) => recorder.anchor(&anchor),
            Input::Process(facts) => recorder.process(&facts),
            Input::Rules(entry) => recorder.rules(&entry.0),
            Input::Record(record) => recorder.record(&record),
            Input::Timeout(now) => recorder.timeout(now),
            Input::Shutdown(now) => recorder.shutdown(now),
        }
    }
    shared.0.lock().unwrap().clone()
}

fn read(bytes: &[u8]) -> (Vec<Input>, Option<ReadError>) {
    let mut reader = match RecordingReader::new(bytes) {
        Ok(reader) => reader,
        Err(e) => return (Vec::new(), Some(e)),
    };
    let mut got = Vec::new();
    loop {
        match reader.next_input() {
            Ok(Some(input)) => got.push(input),
            Ok(None) => return (got, None),
            Err(e) => return (got, Some(e)),
        }
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    let (got, error) = read(&recorded());
    assert!(error.is_none());
    assert_eq!(got, inputs());
}

#[test]
fn cut_anywhere_everything_before_the_cut_is_read_and_the_cut_is_named() {
    let bytes = recorded();
    let want = inputs();
    let mut whole = 0;
    for cut in 0..bytes.len() {
        let (got, error) = read(&bytes[..cut]);
        assert_eq!(got, want[..got.len()], "cut at {cut}");
        match error {
            None => whole += 1,
            Some(ReadError::NotARecording) => assert!(cut < HEAD_LEN),
            Some(ReadError::Truncated { entry, .. }) => assert_eq!(entry, got.len() as u64),
            Some(other) => panic!("cut at {cut}: {other}"),
        }
    }
    // Only a cut between two entries looks like an end.
    assert_eq!(whole, want.len());
}

#[test]
fn damage_is_an_error_and_never_a_huge_allocation() {
    let bytes = recorded();
    for at in 0..bytes.len() {
        for value in [0, 0x7f, 0xff] {
            let mut bad = bytes.clone();
            bad[at] = value;
            let (got, _) = read(&bad);
            assert!(got.len() <= inputs().len());
        }
    }
    let mut bad = bytes[..HEAD_LEN].to_vec();
    bad.extend([kind::RECORD, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(read(&bad).1, Some(ReadError::Damaged { .. })));
    bad[HEAD_LEN] = 99;
    bad[HEAD_LEN + 1..].fill(0);
    assert!(matches!(read(&bad).1, Some(ReadError::Damaged { .. })));
}

#[test]
fn other_versions_are_refused_by_name() {
    for at in [16, 18, 20] {
        let mut bad = recorded();
        bad[at] ^= 0x40;
        assert!(
            matches!(read(&bad).1, Some(ReadError::OtherVersion { .. })),
            "byte {at}"
        );
    }
    assert!(matches!(read(b"{}").1, Some(ReadError::NotARecording)));
}

#[test]
fn only_its_owner_may_read_a_recording_even_over_an_older_file() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("r");
    std::fs::write(&path, "old, longer than a head of a recording is").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let place = Place::look(&path, Users::with(None)).unwrap();
    Recorder::create(&place).unwrap().shutdown(MonoNs(1));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        read(&std::fs::read(&path).unwrap()).0,
        [Input::Shutdown(MonoNs(1))]
    );
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_caller() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.0);
            self.0 -= n;
            if n == 0 {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                Ok(n)
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut recorder = Recorder::new(Box::new(Full(1_000)));
    for _ in 0..100 {
        recorder.record(&[0; 100_000]);
    }
    recorder.shutdown(MonoNs(1));
    assert_eq!(recorder.stats().entries_lost, 101);
}

#[test]
fn a_pipe_whose_reader_stands_still_ends_the_recording_and_holds_nobody_up() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let _reader = rustix::fs::open(&path, flags, mode).unwrap();
    let place = Place::look(&path, Users::with(None)).unwrap();
    let mut recorder = Recorder::create(&place).unwrap();
    let began = std::time::Instant::now();
    for _ in 0..800 {
        recorder.record(&[0; 100_000]);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(2));
    recorder.shutdown(MonoNs(1));
    let stats = recorder.stats();
    assert_eq!(stats.entries + stats.entries_lost, 801);
    assert!(stats.entries_lost > 400, "{stats:?}");
}

#[test]
fn the_frame_and_the_records_have_versions_of_their_own() {
    use cirron_common::{ABI_VERSION, OLDEST_ABI_VERSION};
    let with = |at: usize, version: u16| {
        let mut bytes = recorded();
        bytes[at..at + 2].copy_from_slice(&version.to_le_bytes());
        let reader = RecordingReader::new(&bytes[..]);
        reader.map(drop).map_err(|e| e.to_string())
    };
    for abi in OLDEST_ABI_VERSION..=ABI_VERSION {
        assert_eq!(with(18, abi), Ok(()));
    }
    let other = with(18, ABI_VERSION + 1).unwrap_err();
    let newer = format!("its records have version {}", ABI_VERSION + 1);
    assert!(other.starts_with(&newer), "{other}");
    let other = with(16, VERSION + 1).unwrap_err();
    let newer = format!("the recording has version {}", VERSION + 1);
    assert!(other.starts_with(&newer), "{other}");
    for version in OLDEST_VERSION..=VERSION {
        assert_eq!(with(16, version), Ok(()));
    }
}

/// Goroutines in a recording of the corpus.
fn goroutines(name: &str) -> std::collections::BTreeSet<u64> {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let file = std::fs::File::open(corpus.join(name)).unwrap();
    let mut reader = RecordingReader::new(file).unwrap();
    let mut found = std::collections::BTreeSet::new();
    while let Some(input) = reader.next_input().unwrap() {
        if let Input::Record(record) = input {
            let record = cirron_core::record::Record::decode(&record).unwrap();
            found.insert(record.head.context);
        }
    }
    found.remove(&0);
    found
}

#[test]
fn records_from_inside_go_s_tls_have_their_goroutine_and_others_have_none() {
    // One reads, another writes.
    assert!(goroutines("go-grpc-tls-client.recording").len() >= 2);
    assert!(goroutines("curl-tls.recording").is_empty());
}

#[test]
fn what_version_1_said_of_chunk_timing_is_a_rule_and_rules_are_read_or_are_damage() {
    let config = |text: &str| {
        let mut bytes = recorded()[..HEAD_LEN].to_vec();
        bytes.push(kind::CONFIG);
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        read(&bytes)
    };
    let rules = |text: &str| match config(text) {
        (inputs, None) => match &inputs[..] {
            [Input::Config(entry)] => EngineConfig::from(entry.clone()).rules,
            other => panic!("{other:?}"),
        },
        (_, Some(e)) => panic!("{e}"),
    };
    assert_eq!(rules(r#"{"chunk_timing":true}"#), Rules::of_chunk_timing());
    assert_eq!(rules(r#"{"chunk_timing":false}"#).rule_count(), 0);
    assert_eq!(
        rules(r#"{"rules":[{"rules":[{"sample":3}]}]}"#).rule_count(),
        1
    );
    let bad = config(r#"{"rules":[{"rules":[{"sample":"x"}]}]}"#).1;
    assert!(matches!(bad, Some(ReadError::Damaged { .. })), "{bad:?}");
}

#[test]
fn a_replay_of_rules_that_changed_leaves_out_and_names_what_the_capture_did() {
    use cirron_core::engine::{Engine, Output};
    use cirron_core::id::SequentialIds;
    use cirron_core::record::Direction;
    use cirron_core::testing::records::{ConnRecords, TGID};

    let rules =
        |rules: serde_json::Value| Rules::read([serde_json::json!({ "rules": rules })]).unwrap();
    let config = EngineConfig {
        rules: rules(serde_json::json!([{"path": "/users/{id}", "name": "user"}, {"sample": 3}])),
        max_memory_bytes: None,
    };
    let shared = Shared::default();
    let mut recorder = Recorder::new(Box::new(shared.clone()));
    recorder.config(&config);
    let mut engine = Engine::new(config, Box::new(SequentialIds::default()));
    let own = r#"{"cirron":{"rules":[{"path":"/own","ignore":true}]}}"#;
    let facts = ProcessFacts {
        tgid: TGID,
        env: [("CONFIG".to_owned(), own.to_owned())].into(),
        ..ProcessFacts::default()
    };
    recorder.process(&facts);
    engine.handle_process(facts);
    for i in 0..60_u64 {
        if i == 40 {
            let other = rules(serde_json::json!([{"path": "/users/*", "name": "changed"}]));
            recorder.rules(&other);
            engine.handle_rules(other);
        }
        let conn = ConnRecords {
            conn: i,
            epoch: 1,
            source: cirron_common::record::source::SOCKET,
        };
        let path = if i % 5 == 0 {
            "/own".to_owned()
        } else {
            format!("/users/{i}")
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = b"HTTP/1.1 204 No\r\n\r\n";
        let at = (i + 1) * 1_000_000;
        for record in [
            conn.open(at),
            conn.data(
                Direction::Inbound,
                0,
                at,
                request.as_bytes(),
                request.len() as u64,
            ),
            conn.data(
                Direction::Outbound,
                0,
                at + 1,
                response,
                response.len() as u64,
            ),
        ] {
            recorder.record(&record);
            engine.handle_record(&record);
        }
    }
    recorder.shutdown(MonoNs(1 << 40));
    engine.handle_shutdown(MonoNs(1 << 40));
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let live: Vec<_> = outputs
        .filter_map(|output| match output {
            Output::Session(span) | Output::Open(span) | Output::Scope { span, .. } => Some(span),
            Output::Mute { .. } | Output::Watched(_) | Output::Unplaced { .. } => None,
        })
        .collect();
    let bytes = shared.0.lock().unwrap().clone();
    let mut reader = RecordingReader::new(&bytes[..]).unwrap();
    let mut again = Vec::new();
    let ids = Box::new(SequentialIds::default());
    let replayed = replay::replay(&mut reader, ids, |finished| again.push(finished.span));
    assert!(replayed.damage.is_none());
    assert_eq!(again, live);
    assert_eq!(replayed.engine, engine.stats());
    let named = |name: &str| {
        live.iter()
            .filter(|s| s.attrs.get("cirron.name") == Some(&name.to_owned().into()))
            .count()
    };
    assert_eq!(named("changed"), 16);
    assert!((3..25).contains(&named("user")), "{}", named("user"));
    assert!(engine.stats().ignored_exchanges == 12 && engine.stats().sampled_out_exchanges > 7);
}
