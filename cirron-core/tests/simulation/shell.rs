//! What the agent does around the engine: hands on records and time, looks at what is open, takes what comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::offset_of;

use cirron_common::RecordHeader;
use cirron_common::record::{close, source};
use cirron_core::engine::{Engine, EngineConfig, Output, ProcessFacts};
use cirron_core::id::SequentialIds;
use cirron_core::record::Direction;
use cirron_core::scope::AttrValue;
use cirron_core::testing::records::{ConnRecords, exit};
use cirron_core::time::MonoNs;

use super::expected::{Ended, Expected, Key};
use super::kernel::{Actor, Answer, PendingRecord, What};

pub(crate) struct Shell {
    pub(crate) engine: Engine,
    pub(crate) expected: Expected,
    /// By path: how often it was written, and whether all of it was whole.
    pub(crate) written: BTreeMap<String, (u32, bool)>,
    /// Exchanges whose answer names another request: whole ones, partial ones.
    pub(crate) mispaired: [u64; 2],
    /// Of these it was said that somebody aborted them.
    pub(crate) aborted: BTreeSet<String>,
    /// Who uses a socket or an object, by its key.
    actors: HashMap<Key, Actor>,
    pub(crate) peak_held: usize,
    pub(crate) most_contexts: usize,
}

/// Sets the process of a record.
fn by(tgid: u32, mut record: Vec<u8>) -> Vec<u8> {
    for at in [
        offset_of!(RecordHeader, tgid),
        offset_of!(RecordHeader, tid),
    ] {
        record[at..at + 4].copy_from_slice(&tgid.to_ne_bytes());
    }
    record
}

impl Shell {
    pub(crate) fn new(max_memory_bytes: usize) -> Shell {
        let config = EngineConfig {
            max_memory_bytes: Some(max_memory_bytes),
            ..EngineConfig::default()
        };
        Shell {
            engine: Engine::new(config, Box::new(SequentialIds::default())),
            expected: Expected::default(),
            written: BTreeMap::new(),
            mispaired: [0; 2],
            aborted: BTreeSet::new(),
            actors: HashMap::new(),
            peak_held: 0,
            most_contexts: 0,
        }
    }

    pub(crate) fn introduce(&mut self, tgid: u32) {
        self.engine.handle_process(ProcessFacts {
            tgid,
            ..ProcessFacts::default()
        });
    }

    pub(crate) fn take(&mut self, record: &PendingRecord) {
        let (key, tgid, ts) = (record.key(), record.actor.tgid, record.ts);
        let is_socket = record.actor.is_socket;
        let records = ConnRecords {
            conn: key.0,
            epoch: key.1,
            source: if is_socket {
                source::SOCKET
            } else {
                source::TLS
            },
        };
        let bytes = match &record.what {
            What::Open { late } => {
                self.expected.open(key, record.actor, ts);
                self.actors.insert(key, record.actor);
                let mut bytes = records.open(ts);
                if *late {
                    // Of a connection whose beginning was not seen: no role, and late.
                    let info = cirron_common::record::HEADER_LEN;
                    bytes[info + 2] = 0;
                    bytes[info + 3] = 1;
                }
                bytes
            }
            What::Data {
                inbound,
                pos,
                bytes,
            } => {
                let len = bytes.len() as u64;
                let dir = usize::from(!*inbound);
                self.expected.data(key, record.actor, ts, (dir, *pos, len));
                self.actors.insert(key, record.actor);
                let dir = if *inbound {
                    Direction::Inbound
                } else {
                    Direction::Outbound
                };
                records.data(dir, *pos, ts, bytes, len)
            }
            What::Close(why, at) => {
                self.expected.stood(key, *at);
                match *why {
                    close::PEER_FIN => self.expected.half(key, 0),
                    close::LOCAL_SHUT_WRITE => self.expected.half(key, 1),
                    close::READ_EOF => {}
                    _ => self.expected.told(key, ts),
                }
                let [inbound, outbound] = *at;
                records.close_at(ts, *why, inbound, outbound)
            }
            What::Exit => {
                self.expected.exit(tgid, ts);
                exit(ts)
            }
        };
        self.engine.handle_record(&by(tgid, bytes));
        self.take_outputs();
        self.peak_held = self.peak_held.max(self.engine.held_bytes());
        self.most_contexts = self.most_contexts.max(self.engine.known_contexts());
    }

    /// The exit of a process whose record was lost, as procfs tells it.
    pub(crate) fn exits(&mut self, tgid: u32, ts: u64) {
        self.expected.exit(tgid, ts);
        self.engine.handle_record(&by(tgid, exit(ts)));
    }

    /// Every record stamped before has been taken.
    pub(crate) fn time(&mut self, watermark: u64) {
        let now = MonoNs(watermark);
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.expected.time(now);
            self.engine.handle_timeout(now);
            self.take_outputs();
        }
    }

    /// Asks for everything whose end is not known.
    pub(crate) fn look(&mut self, ts: u64, ask: impl Fn(Actor, u64) -> Answer) {
        let sockets = self.engine.open_sockets();
        let objects = self.engine.open_objects().map(|(key, _)| key);
        let mut all: Vec<Key> = sockets.chain(objects).collect();
        all.sort_unstable();
        for key in all {
            let actor = self.actors[&key];
            let (why, how) = match ask(actor, key.1) {
                Answer::Held => continue,
                Answer::Released => (close::LOST, Ended::Lost),
                Answer::Forgotten => (close::EVICTED, Ended::Evicted),
            };
            self.expected.untold(key, ts, how);
            let records = ConnRecords {
                conn: key.0,
                epoch: key.1,
                source: source::SOCKET,
            };
            self.engine.handle_record(&by(0, records.close(ts, why)));
        }
    }

    pub(crate) fn shut_down(&mut self, ts: u64) {
        self.expected.time(MonoNs(ts));
        self.expected.finish();
        self.engine.handle_shutdown(MonoNs(ts));
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            let span = match output {
                Output::Scope { span, .. } => span,
                Output::Mute { conn, epoch, .. } => {
                    self.expected.mute((conn, epoch));
                    continue;
                }
                Output::Session(_)
                | Output::Open(_)
                | Output::Watched(_)
                | Output::Unplaced { .. } => continue,
            };
            if let Some(AttrValue::Str(path)) = span.attrs.get("url.path") {
                let is_whole = !span.attrs.contains_key("cirron.partial");
                if let Some(AttrValue::Str(answers)) = span.attrs.get("gen_ai.response.id") {
                    let is_its = path.starts_with(&format!("/c/{answers}/"));
                    self.mispaired[usize::from(!is_whole)] += u64::from(!is_its);
                }
                let written = self.written.entry(path.to_string()).or_insert((0, true));
                written.0 += 1;
                written.1 &= is_whole;
                // What was open as far as we knew when we stopped was ended by us.
                let by = span.attrs.get("cirron.aborted_by");
                if by.is_some_and(|by| *by != AttrValue::from("agent")) {
                    self.aborted.insert(path.to_string());
                }
            }
        }
    }
}
