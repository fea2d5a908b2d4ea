//! Facts that come behind the beginning of what they are of.

use crate::engine::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::record::Body;
use crate::scope::{AttrValue, Span, names as n};
use crate::testing::records::{TGID, exit, process};
use crate::time::{MS, MonoNs};

fn facts(run: &str, rank: &str) -> ProcessFacts {
    let env = [("CIRRON_RUN_ID", run), ("RANK", rank)];
    ProcessFacts {
        tgid: TGID,
        explicit: false,
        env: env.map(|(name, value)| (name.into(), value.into())).into(),
        exe: Some("server".into()),
        container: None,
        workload: Default::default(),
        target: None,
        blind: Vec::new(),
    }
}

/// A process whose session is open, with facts that were its parent's.
fn engine() -> Engine {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_timeout(MonoNs(MS));
    engine.handle_process(ProcessFacts {
        explicit: true,
        ..facts("parent", "0")
    });
    engine
}

fn sessions(engine: &mut Engine) -> Vec<Span> {
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let spans = outputs.filter_map(|output| match output {
        Output::Session(span) => Some(span),
        Output::Scope { .. }
        | Output::Open(_)
        | Output::Watched(_)
        | Output::Unplaced { .. }
        | Output::Mute { .. } => None,
    });
    spans.collect()
}

fn run(span: &Span) -> Option<&AttrValue> {
    span.attrs.get(n::RUN_ID)
}

#[test]
fn a_session_that_began_before_its_pod_was_known_is_written_again_with_it() {
    let mut engine = engine();
    let mut own = facts("own", "3");
    let attrs = [(n::POD, "llama-0"), ("k8s.pod.label.app", "llama")];
    own.workload = attrs.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    engine.handle_process(own.clone());
    let written = sessions(&mut engine);
    assert_eq!(written.len(), 2);
    assert_eq!(written[0].attrs.get(n::POD), None);
    for (name, value) in attrs {
        assert_eq!(written[1].attrs.get(name), Some(&value.into()));
    }
    // The same once more is nothing new.
    engine.handle_process(own);
    assert_eq!(sessions(&mut engine).len(), 0);
}

#[test]
fn an_open_session_is_written_again_with_facts_that_come_late() {
    let mut engine = engine();
    engine.handle_process(facts("own", "3"));
    let written = sessions(&mut engine);
    assert_eq!(written.len(), 2);
    assert_eq!(run(&written[0]), Some(&"parent".into()));
    assert_eq!(run(&written[1]), Some(&"own".into()));
    assert_eq!((written[0].rank, written[1].rank), (0, 3));
    assert_eq!(written[1].attrs.get(n::RANK), Some(&3_i64.into()));
    assert_eq!(written[0].id, written[1].id);
    assert_eq!((written[0].start, written[1].end), (written[1].start, None));
    // What is unknown by now was the parent's.
    engine.handle_process(ProcessFacts {
        env: Default::default(),
        ..facts("", "")
    });
    assert_eq!(run(&sessions(&mut engine)[0]), None);
}

#[test]
fn the_same_facts_again_write_nothing() {
    let mut engine = engine();
    assert_eq!(sessions(&mut engine).len(), 1);
    engine.handle_process(ProcessFacts {
        blind: vec!["rustls in server".into()],
        ..facts("parent", "0")
    });
    assert_eq!(sessions(&mut engine), []);
    engine.handle_shutdown(MonoNs(3 * MS));
    let blind = "rustls in server".into();
    assert_eq!(
        sessions(&mut engine)[0].attrs.get(n::TLS_BLIND),
        Some(&blind)
    );
}

#[test]
fn a_session_keeps_the_facts_of_the_program_that_it_was_opened_for() {
    let mut engine = engine();
    engine.handle_record(&process(TGID, 2 * MS, Body::Exec));
    engine.handle_process(facts("own", "3"));
    let written = sessions(&mut engine);
    assert_eq!(written.len(), 1);
    engine.handle_shutdown(MonoNs(3 * MS));
    let end = &sessions(&mut engine)[0];
    assert_eq!((run(end), end.rank), (Some(&"parent".into()), 0));
}

#[test]
fn what_was_given_can_be_asked_for_and_is_never_that_of_the_number_s_last_owner() {
    let mut engine = engine();
    assert_eq!(
        engine.facts(TGID),
        Some(&ProcessFacts {
            explicit: true,
            ..facts("parent", "0")
        })
    );
    assert_eq!(engine.facts(TGID + 1), None);
    engine.handle_record(&exit(2 * MS));
    assert_eq!(engine.facts(TGID), None);
    engine.handle_process(facts("next", "1"));
    assert_eq!(engine.facts(TGID), Some(&facts("next", "1")));
    engine.handle_shutdown(MonoNs(3 * MS));
    let end = sessions(&mut engine);
    assert_eq!(run(&end[end.len() - 1]), Some(&"parent".into()));
}
