//! A trace in Perfetto's binary format, for <https://ui.perfetto.dev> and its trace processor.
//!
//! ```text
//! process (a session)
//!   requests in progress, tokens ...   counters
//!   10.0.0.9:4711 > :8000              a connection: its requests, and in each what was done for it
//!   10.0.0.9:4711 > :8000 (2)          where requests of one connection lie over one another
//! ```
//! An arrow leads from a call to the request that it is at another process that is in the spool. Protobuf rather than the
//! JSON of Chrome's tracing: that one has no tracks but threads of processes. Times are those of the wall clock, which a
//! snapshot of clocks says. Scopes stream; changes of counters are held until the end ([`super::counters`]).

use std::collections::HashMap;
use std::io::{self, Write};

use prost::Message as _;

use super::Format;
use super::counters::{Counter, Counters};
use super::lanes::{Lanes, Placed, Track};
use super::proto::*;
use crate::request::{Kind, Request};
use crate::semconv::span_id;
use crate::session::Session;

/// The one sequence of packets.
const SEQUENCE: u32 = 1;

/// `SEQ_INCREMENTAL_STATE_CLEARED` and `SEQ_NEEDS_INCREMENTAL_STATE`.
const CLEARED: u32 = 1;
const NEEDS: u32 = 2;

/// `BUILTIN_CLOCK_BOOTTIME`, which traces count by, and `BUILTIN_CLOCK_REALTIME`.
const BOOTTIME: u32 = 6;
const REALTIME: u32 = 1;

/// Names that are written once; what comes later is written each time.
const MAX_NAMES: usize = 10_000;

/// The moment of a stream's first token.
const FIRST_TOKEN: &str = "first token";

/// Depth of scopes within one another that is drawn.
const MAX_DEPTH: usize = 64;

pub(super) struct Perfetto<W: Write> {
    out: W,
    packet: Vec<u8>,
    is_begun: bool,
    next_track: Track,
    processes: HashMap<String, Track>,
    counter_tracks: HashMap<(Track, Counter), Track>,
    lanes: Lanes,
    counters: Counters,
    names: Names,
    /// Scopes without a lane.
    past: usize,
}

impl<W: Write> Perfetto<W> {
    pub(super) fn new(out: W) -> io::Result<Perfetto<W>> {
        let mut trace = Perfetto {
            out,
            packet: Vec::new(),
            is_begun: false,
            next_track: 1,
            processes: HashMap::new(),
            counter_tracks: HashMap::new(),
            lanes: Lanes::default(),
            counters: Counters::default(),
            names: Names::default(),
            past: 0,
        };
        trace.put(TracePacket {
            sequence_flags: Some(CLEARED),
            ..TracePacket::default()
        })?;
        Ok(trace)
    }

    fn put(&mut self, mut packet: TracePacket) -> io::Result<()> {
        packet.trusted_packet_sequence_id = Some(SEQUENCE);
        self.packet.clear();
        let one = Trace {
            packet: vec![packet],
        };
        // Into a vector it does not fail.
        one.encode(&mut self.packet).map_err(io::Error::other)?;
        self.out.write_all(&self.packet)
    }

    fn track(&mut self, descriptor: TrackDescriptor) -> io::Result<()> {
        self.put(TracePacket {
            track_descriptor: Some(descriptor),
            ..TracePacket::default()
        })
    }

    fn event(
        &mut self,
        ns: u64,
        event: TrackEvent,
        interned: Option<InternedData>,
    ) -> io::Result<()> {
        self.put(TracePacket {
            timestamp: Some(ns),
            sequence_flags: Some(NEEDS),
            interned_data: interned,
            track_event: Some(event),
            ..TracePacket::default()
        })
    }

    /// Says once which time of day it was.
    fn begin(&mut self, ns: u64) -> io::Result<()> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        let clock = |clock| Clock {
            clock_id: Some(clock),
            timestamp: Some(ns),
        };
        self.put(TracePacket {
            clock_snapshot: Some(ClockSnapshot {
                clocks: vec![clock(BOOTTIME), clock(REALTIME)],
                primary_trace_clock: Some(BOOTTIME),
            }),
            ..TracePacket::default()
        })
    }

    fn new_track(&mut self) -> Track {
        self.next_track += 1;
        self.next_track - 1
    }

    fn process(&mut self, session: Option<&Session>) -> io::Result<Track> {
        let id = session.map_or("", |session| &session.id);
        if let Some(track) = self.processes.get(id) {
            return Ok(*track);
        }
        let track = self.new_track();
        self.processes.insert(id.to_owned(), track);
        let unknown = "(session not in the spool)";
        let name = session.map_or(unknown, |session| {
            let names = [&session.service, &session.target, &session.executable];
            names
                .into_iter()
                .flatten()
                .next()
                .map_or("process", String::as_str)
        });
        let pid = session.and_then(|session| i32::try_from(session.pid?).ok());
        let process = pid.map(|pid| ProcessDescriptor {
            pid: Some(pid),
            process_name: Some(name.to_owned()),
        });
        self.track(TrackDescriptor {
            uuid: Some(track),
            name: process.is_none().then(|| name.to_owned()),
            process,
            ..TrackDescriptor::default()
        })?;
        Ok(track)
    }

    /// A lane of a connection, or of what lies beside one.
    fn lane(&mut self, of: Track, name: &str, times: (u64, u64)) -> io::Result<Option<Track>> {
        match self.lanes.place(of, name, times, &mut self.next_track) {
            Placed::Old(track) => Ok(Some(track)),
            Placed::None => Ok(None),
            Placed::New(track, name) => {
                self.track(TrackDescriptor {
                    uuid: Some(track),
                    name: Some(name),
                    parent_uuid: Some(of),
                    ..TrackDescriptor::default()
                })?;
                Ok(Some(track))
            }
        }
    }

    /// A scope and, on the same track where they fit, those within it.
    fn slice(&mut self, track: Track, request: &Request, depth: usize) -> io::Result<()> {
        let end = request.end_ns.map(|end| end.max(request.start_ns));
        let (event, interned) = self.begin_event(track, request);
        self.event(request.start_ns, event, interned)?;
        if let Some(ms) = request
            .figures
            .ttft_ms
            .filter(|ms| (0.0..1e12).contains(ms))
        {
            let at = request.start_ns.saturating_add((ms * 1e6) as u64);
            let (iid, interned) = self.names.event(FIRST_TOKEN);
            let event = TrackEvent {
                kind: Some(INSTANT),
                track_uuid: Some(track),
                name: iid.is_none().then(|| FIRST_TOKEN.to_owned()),
                name_iid: iid,
                ..TrackEvent::default()
            };
            // Within its scope, whatever a mark says.
            self.event(end.map_or(at, |end| at.min(end)), event, interned)?;
        }
        let mut free_from = request.start_ns;
        let mut beside = Vec::new();
        for child in &request.children {
            let child_end = child
                .end_ns
                .filter(|ends| end.is_none_or(|end| *ends <= end));
            match child_end {
                Some(child_end) if child.start_ns >= free_from && depth < MAX_DEPTH => {
                    self.slice(track, child, depth + 1)?;
                    free_from = child_end.max(child.start_ns);
                }
                Some(_) | None => beside.push(child),
            }
        }
        if let Some(end) = end {
            let event = TrackEvent {
                kind: Some(SLICE_END),
                track_uuid: Some(track),
                ..TrackEvent::default()
            };
            self.event(end, event, None)?;
        }
        for child in beside {
            self.place(track, "beside", child, depth + 1)?;
        }
        Ok(())
    }

    fn place(&mut self, of: Track, name: &str, request: &Request, depth: usize) -> io::Result<()> {
        let end = request.end_ns.unwrap_or(u64::MAX).max(request.start_ns);
        match self.lane(of, name, (request.start_ns, end))? {
            Some(lane) if depth < MAX_DEPTH => self.slice(lane, request, depth),
            Some(_) | None => {
                self.past += 1;
                Ok(())
            }
        }
    }

    fn begin_event(
        &mut self,
        track: Track,
        request: &Request,
    ) -> (TrackEvent, Option<InternedData>) {
        let mut name = request.endpoint.clone();
        if request.kind != Kind::Request && request.kind != Kind::Scope {
            name = format!("{} {name}", request.name);
        }
        let mut interned = InternedData::default();
        let name_iid = self.names.events.id(&name, &mut interned.event_names);
        let category = self
            .names
            .categories
            .id(request.kind.word(), &mut interned.event_categories);
        let mut notes = Vec::new();
        for column in super::columns::COLUMNS
            .iter()
            .filter(|column| is_shown(column.name))
        {
            let mut note = DebugAnnotation::default();
            match (column.get)(request) {
                super::columns::Value::None | super::columns::Value::Bool(false) => continue,
                super::columns::Value::Text(text) => note.string_value = Some(text.to_owned()),
                super::columns::Value::Int(n) => note.int_value = Some(n),
                super::columns::Value::Float(n) => note.double_value = Some(n),
                super::columns::Value::Bool(is) => note.bool_value = Some(is),
            }
            note.name_iid = self
                .names
                .notes
                .id(column.name, &mut interned.debug_annotation_names);
            notes.push(note);
        }
        let flow = |id: &str| u64::from_be_bytes(span_id(id));
        let is_call = request.kind == Kind::HttpClient;
        // Of 16 digits it is a span that is not ours.
        let caller = request.caller.as_deref().filter(|caller| caller.len() > 16);
        let event = TrackEvent {
            kind: Some(SLICE_BEGIN),
            track_uuid: Some(track),
            name: name_iid.is_none().then_some(name),
            name_iid,
            category_iids: category.into_iter().collect(),
            debug_annotations: notes,
            flow_ids: is_call.then(|| flow(&request.id)).into_iter().collect(),
            terminating_flow_ids: caller.map(flow).into_iter().collect(),
            ..TrackEvent::default()
        };
        let is_new = interned != InternedData::default();
        (event, is_new.then_some(interned))
    }

    fn count(&mut self, process: Track, request: &Request) {
        let Some(end) = request.end_ns.map(|end| end.max(request.start_ns)) else {
            return;
        };
        let counter = match request.kind {
            Kind::Request => Counter::Served,
            Kind::HttpClient => Counter::Called,
            Kind::NetClient | Kind::Response | Kind::Scope => return,
        };
        let mut all = vec![(counter, request.start_ns, 1), (counter, end, -1)];
        let tokens = request
            .figures
            .output_tokens
            .and_then(|n| i64::try_from(n).ok());
        if let (Kind::Request, Some(tokens)) = (request.kind, tokens) {
            all.push((Counter::Tokens, end, tokens));
            let ttft = request
                .figures
                .ttft_ms
                .filter(|ms| (0.0..1e12).contains(ms));
            let first = ttft.map(|ms| request.start_ns.saturating_add((ms * 1e6) as u64));
            if let Some(first) = first.filter(|first| *first < end) {
                let rate = (tokens as f64 * 1e12 / (end - first) as f64).round() as i64;
                all.extend([(Counter::Rate, first, rate), (Counter::Rate, end, -rate)]);
            }
        }
        self.counters.add(process, &all);
    }

    fn counter_track(&mut self, process: Track, counter: Counter) -> io::Result<Track> {
        let track = self.new_track();
        self.counter_tracks.insert((process, counter), track);
        self.track(TrackDescriptor {
            uuid: Some(track),
            name: Some(counter.name().to_owned()),
            parent_uuid: Some(process),
            counter: Some(CounterDescriptor::default()),
            ..TrackDescriptor::default()
        })?;
        Ok(track)
    }

    fn write_counters(&mut self) -> io::Result<usize> {
        let counters = std::mem::take(&mut self.counters);
        let left_out = counters.left_out;
        counters.each(|ns, process, counter, value| {
            let track = match self.counter_tracks.get(&(process, counter)) {
                Some(track) => *track,
                None => self.counter_track(process, counter)?,
            };
            let event = TrackEvent {
                kind: Some(COUNTER),
                track_uuid: Some(track),
                double_counter_value: Some(counter.shown(value)),
                ..TrackEvent::default()
            };
            self.event(ns, event, None)
        })?;
        Ok(left_out)
    }
}

impl<W: Write> Format for Perfetto<W> {
    fn take(&mut self, request: &Request) -> io::Result<()> {
        self.begin(request.start_ns)?;
        let process = self.process(request.session.as_deref())?;
        let mut all = vec![request];
        while let Some(request) = all.pop() {
            self.count(process, request);
            all.extend(&request.children);
        }
        self.place(process, &connection(request), request, 0)
    }

    fn end(&mut self) -> io::Result<Vec<String>> {
        let left_out = self.write_counters()?;
        self.out.flush()?;
        let all = [
            (self.past, "left out: scopes for which there was no track"),
            (
                left_out,
                "left out of the counters: scopes, since there were too many",
            ),
        ];
        let all = all.into_iter().filter(|(n, _)| *n > 0);
        Ok(all.map(|(n, what)| format!("{what}: {n}")).collect())
    }
}

/// What the tracks of a scope that is part of no other are called: its connection, as far as it is known.
fn connection(request: &Request) -> String {
    let end = |address: &Option<String>, port: Option<u16>| {
        let address = address.as_deref().unwrap_or_default();
        let address = match address.contains(':') {
            true => format!("[{address}]"),
            false => address.to_owned(),
        };
        port.map_or(address.clone(), |port| format!("{address}:{port}"))
    };
    let client = end(&request.client_address, request.client_port);
    let server = end(&request.server_address, request.server_port);
    match request.kind {
        Kind::Scope => "scopes".to_owned(),
        _ if client.is_empty() && server.is_empty() => {
            format!("{}, connection not known", request.name)
        }
        Kind::Request | Kind::HttpClient | Kind::NetClient | Kind::Response => {
            format!("{client} > {server}")
        }
    }
}

/// Columns that are shown with a slice: what the trace does not say by itself.
fn is_shown(name: &str) -> bool {
    !matches!(
        name,
        "kind"
            | "name"
            | "index"
            | "start_ns"
            | "end_ns"
            | "time_ms"
            | "executable"
            | "target"
            | "service"
            | "deployment_id"
            | "workspace_id"
            | "endpoint"
            | "session_id"
            | "pid"
            | "tokens_estimated"
    )
}

/// Texts that were written already, by their numbers.
#[derive(Default)]
struct Names {
    events: Table,
    categories: Table,
    notes: Table,
}

#[derive(Default)]
struct Table(HashMap<String, u64>);

impl Names {
    fn event(&mut self, name: &str) -> (Option<u64>, Option<InternedData>) {
        let mut interned = InternedData::default();
        let id = self.events.id(name, &mut interned.event_names);
        let is_new = !interned.event_names.is_empty();
        (id, is_new.then_some(interned))
    }
}

impl Table {
    /// Its number, which is told in `new` the first time; none past the most.
    fn id(&mut self, name: &str, new: &mut Vec<Interned>) -> Option<u64> {
        if let Some(id) = self.0.get(name) {
            return Some(*id);
        }
        if self.0.len() >= MAX_NAMES {
            return None;
        }
        let id = self.0.len() as u64 + 1;
        self.0.insert(name.to_owned(), id);
        new.push(Interned {
            iid: Some(id),
            name: Some(name.to_owned()),
        });
        Some(id)
    }
}
