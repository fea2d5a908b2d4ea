//! From hits to scopes, through the engine.
#![expect(clippy::unwrap_used, reason = "tests")]

mod functions;
mod hostile;
mod provider;
mod rules;

use cirron_common::hit::{form, role};

use crate::engine::{Engine, EngineConfig, Output};
use crate::id::SequentialIds;
use crate::record::{Body, Head, Hit, HitParts, Record, Spec, Text, Value, encode};
use crate::scope::{AttrValue, Mark, Span};
use crate::time::{MS, MonoNs};

/// Its process.
const PID: u32 = 42;
/// The file that has the probes.
const FILE: u64 = 5;

/// Numbers of probes: of [`FILE`] the role, of another file the role and this.
const OTHER: u32 = 1_000;

struct Rig {
    engine: Engine,
    now: u64,
    tid: u32,
    goroutine: u64,
    pid: u32,
    cpu: u64,
}

/// What was written.
#[derive(Default)]
struct Written {
    spans: Vec<(Span, Vec<Mark>)>,
}

impl Rig {
    fn new() -> Rig {
        let engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
        let mut rig = Rig {
            engine,
            now: 0,
            tid: 1,
            goroutine: 0,
            pid: PID,
            cpu: 0,
        };
        for told in role::SCOPE_BEGIN..=role::DROPPED {
            rig.spec(u32::from(told), FILE, told, "", &[]);
            rig.spec(OTHER + u32::from(told), FILE + 1, told, "", &[]);
        }
        rig
    }

    fn spec(&mut self, probe: u32, image: u64, role: u8, name: &str, values: &[(u8, &str)]) {
        let values: Vec<Value<'_>> = values
            .iter()
            .map(|(form, name)| Value {
                form: *form,
                name: name.as_bytes(),
            })
            .collect();
        let mut kept = Vec::new();
        let spec = Spec::new((probe, image, role), name.as_bytes(), &values, &mut kept);
        self.record(Body::Spec(spec));
    }

    fn record(&mut self, body: Body<'_>) {
        self.now += MS;
        let head = Head {
            ts: MonoNs(self.now),
            tgid: self.pid,
            tid: self.tid,
            context: self.goroutine,
            ..Head::default()
        };
        self.engine.handle_record(&encode(&Record { head, body }));
    }

    fn hit(&mut self, probe: u32, stack: u64, values: &[u64], texts: &[&[u8]]) {
        let values: Vec<_> = values.iter().map(|v| Some(*v)).collect();
        let texts: Vec<_> = texts
            .iter()
            .map(|bytes| Text {
                len: u32::try_from(bytes.len()).unwrap(),
                bytes,
                fault: false,
            })
            .collect();
        let payload = HitParts {
            probe,
            stack,
            cpu_ns: self.cpu,
            values: &values,
            texts: &texts,
        }
        .payload();
        self.record(Body::Hit(Hit::view(&payload).unwrap()));
    }

    /// One of the provider's, without attributes.
    fn told(&mut self, probe: u8, id: u64, parent: u64, name: &str) {
        self.hit(
            probe.into(),
            0,
            &[id, parent, 1, name.len() as u64, 0, 0],
            &[name.as_bytes()],
        );
    }

    fn begin(&mut self, id: u64, parent: u64, name: &str) {
        self.told(role::SCOPE_BEGIN, id, parent, name);
    }

    fn end(&mut self, id: u64) {
        self.hit(role::SCOPE_END.into(), 0, &[id, 0], &[]);
    }

    fn mark(&mut self, scope: u64, name: &str, value: i64) {
        let values = [
            scope,
            1,
            name.len() as u64,
            1,
            value.cast_unsigned(),
            0,
            0,
            0,
        ];
        self.hit(role::MARK.into(), 0, &values, &[name.as_bytes()]);
    }

    fn written(&mut self) -> Written {
        let mut written = Written::default();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Session(_)
                | Output::Watched(_)
                | Output::Unplaced { .. }
                | Output::Mute { .. } => {}
                Output::Open(span) => assert!(span.end.is_none()),
                Output::Scope { span, marks } => written.spans.push((span, marks)),
            }
        }
        written
    }

    /// All that is open ends.
    fn stop(&mut self) -> Written {
        self.engine.handle_shutdown(MonoNs(self.now));
        assert_eq!(self.engine.open_scopes(9).first.len(), 0);
        assert_eq!(self.engine.held_bytes(), 0);
        self.written()
    }
}

impl Written {
    fn span(&self, name: &str) -> &Span {
        let mut all = self.spans.iter().filter(|(span, _)| span.name == *name);
        let (span, _) = all.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(all.next().is_none(), "two of {name}");
        span
    }

    fn marks(&self, name: &str) -> Vec<(String, crate::scope::MarkValue)> {
        let id = self.span(name).id;
        let (_, marks) = self.spans.iter().find(|(span, _)| span.id == id).unwrap();
        let told = marks.iter().map(|m| (m.name.to_string(), m.value.clone()));
        told.collect()
    }

    /// Name of the parent; `session`: none of these.
    fn parent(&self, name: &str) -> &str {
        let parent = self.span(name).parent_id.unwrap();
        let found = self.spans.iter().find(|(span, _)| span.id == parent);
        found.map_or("session", |(span, _)| span.name.as_str())
    }

    fn attr(&self, name: &str, attr: &str) -> Option<&AttrValue> {
        self.span(name).attrs.get(attr)
    }

    fn is_said(&self, name: &str, attr: &str, value: &'static str) -> bool {
        self.attr(name, attr) == Some(&AttrValue::from(value))
    }
}
