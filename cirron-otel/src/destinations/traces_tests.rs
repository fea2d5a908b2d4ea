#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use cirron_ship::place::Place;
use serde_json::{Value, json};

use super::*;
use crate::otlp::send::Taken;

/// Answers as it was told, then takes everything; keeps what came.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(VecDeque<Outcome>, Vec<Message>)>>);

impl Transport for Told {
    fn send(&mut self, message: &Message) -> Outcome {
        let mut told = self.0.lock().unwrap();
        told.1.push(message.clone());
        let taken = || Outcome::Taken(Taken::default());
        told.0.pop_front().unwrap_or_else(taken)
    }
}

struct World {
    dir: tempfile::TempDir,
    place: Place,
    told: Told,
    traces: Traces,
}

impl World {
    fn new(answers: Vec<Outcome>) -> World {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        let told = Told(Arc::new(Mutex::new((answers.into(), Vec::new()))));
        let place = Place::open(dir.path()).unwrap();
        let traces = restarted(dir.path(), &told);
        World {
            dir,
            place,
            told,
            traces,
        }
    }

    /// Puts a batch with these spans, whose session is number 1.
    fn put(&self, at: u64, spans: &[Value]) -> Batch {
        let text = json!({"schema_version": 1, "batch_id": "0a", "spans": spans, "marks": []});
        let name = format!("{at:020}-0a.json");
        std::fs::write(self.dir.path().join("spool").join(&name), text.to_string()).unwrap();
        Batch::read(&self.place, &Name::parse(&name).unwrap()).unwrap()
    }

    fn send(&mut self, batch: &Batch) -> destination::Outcome {
        self.traces.send(batch, SystemTime::now())
    }

    fn came(&self) -> Vec<Vec<u8>> {
        let told = self.told.0.lock().unwrap();
        let ids = |message: &Message| match message {
            Message::Traces(request) => {
                let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
                let spans = scopes.flat_map(|scope| &scope.spans);
                spans.map(|span| *span.span_id.last().unwrap()).collect()
            }
            Message::Metrics(_) => Vec::new(),
        };
        told.1.iter().map(ids).collect()
    }
}

fn restarted(dir: &Path, told: &Told) -> Traces {
    let transport = Box::new(told.clone());
    let counts = Arc::default();
    Traces::with(
        transport,
        "http://u:p@h/v1/traces",
        Also::default(),
        dir.join("spool"),
        counts,
    )
}

fn span(id: u128, name: &str, parent: Option<u128>) -> Value {
    let hex = |n: u128| format!("{n:032x}");
    json!({"id": hex(id), "name": name, "parent_id": parent.map(hex), "index": null, "start_ns": 1, "end_ns": 2,
        "pid": 7, "attrs": {"http.request.method": "GET", "process.executable.name": "python3"}})
}

#[test]
fn a_message_that_must_wait_is_sent_again_and_those_before_it_are_not() {
    let busy = Outcome::Again {
        after: Some(Duration::from_secs(3)),
        why: "busy".to_owned(),
    };
    let taken = Outcome::Taken(Taken::default());
    let mut world = World::new(vec![taken, busy]);
    let mut spans = vec![span(1, "cirron.session", None)];
    spans.extend((0..600).map(|n| span(256 + n % 256 + n / 256 * 65536, "request", Some(1))));
    let batch = world.put(1, &spans);
    let first = world.send(&batch);
    let destination::Outcome::Retry { after, .. } = first else {
        panic!("{first:?}")
    };
    assert_eq!(after, Some(Duration::from_secs(3)));
    assert!(matches!(
        world.send(&batch),
        destination::Outcome::Sent { .. }
    ));
    let came = world.came();
    let sizes: Vec<usize> = came.iter().map(Vec::len).collect();
    assert_eq!(sizes, [512, 88, 88]);
    assert_eq!(came[1], came[2]);
    assert_eq!(world.traces.counts.spans_sent.load(Ordering::Relaxed), 600);
    assert_eq!(world.traces.place(), "http://h/v1/traces");
}

#[test]
fn after_a_restart_a_batch_is_sent_again_with_the_same_ids_and_sessions_from_before_are_known() {
    let mut world = World::new(Vec::new());
    let old = world.put(1, &[span(1, "cirron.session", None)]);
    world.send(&old);
    let batch = world.put(2, &[span(2, "request", Some(1))]);
    world.send(&batch);
    world.traces = restarted(world.dir.path(), &world.told);
    world.send(&batch);
    let told = world.told.0.lock().unwrap();
    let [first, second] = &*told.1 else {
        panic!("{:?}", told.1)
    };
    assert_eq!(first, second, "the resource is that of the session too");
    assert!(format!("{first:?}").contains("python3"));
}

#[test]
fn what_is_refused_is_given_up_and_the_rest_of_the_batch_is_sent_all_the_same() {
    let refused = Outcome::Refused {
        reason: Reason::Refused,
        why: "status 400".to_owned(),
    };
    let part = Outcome::Taken(Taken {
        rejected: 3,
        message: "too old".to_owned(),
    });
    let mut world = World::new(vec![refused, part]);
    let spans: Vec<Value> = (0..600).map(|n| span(n + 2, "request", None)).collect();
    let batch = world.put(1, &spans);
    let outcome = world.send(&batch);
    let destination::Outcome::GiveUp { reason, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(reason, Reason::Refused);
    let counts = &world.traces.counts;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(
        (count(&counts.spans_refused), count(&counts.spans_sent)),
        (512, 88)
    );
    assert_eq!(count(&counts.spans_rejected), 3);
}
