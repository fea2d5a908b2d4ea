//! Reading spools once: of each exchange a [`Call`], of each session what it says of itself, of each scope below another
//! one where it stands.
//!
//! A span may be written twice (open, then closed): the closed one counts, else the later. Its marks may stand in another
//! batch than itself, before or behind. At most [`MAX_CALLS`] calls and [`MAX_LINKS`] scopes below others are kept; what
//! is past them is counted.

use std::collections::HashMap;
use std::ops::Range;

use cirron_spool::read::{Batches, Left, Take};
use cirron_spool::rows::{MarkRow, Scalar, SpanRow, cut};

use super::calls::{Call, Flags, Kind, NameId};
use super::names::{MAX_NAME_BYTES, NONE, Names};
use crate::endpoint::endpoint;
use crate::key::Key;
use crate::requests::Spools;
use crate::session::Session;

/// Calls that are kept: some 100 bytes each and 40 for finding them again, some 300 MB. A default spool (1 GB) holds
/// fewer.
pub(crate) const MAX_CALLS: usize = 2_000_000;

/// Scopes below others that can be found again, 40 bytes each.
const MAX_LINKS: usize = 4_000_000;

/// Sessions that are kept. A spool of short-lived processes may have many; more are read by nobody.
const MAX_SESSIONS: usize = 10_000;

/// What a session counts at its end, by its attribute.
pub(crate) const COUNTED: [&str; 10] = [
    "cirron.tls.unread_connections",
    "cirron.tls.silent_connections",
    "cirron.unnamed_connections",
    "cirron.unnamed_exchanges",
    "cirron.ignored_exchanges",
    "cirron.sampled_out_exchanges",
    "cirron.net.turns_left_out",
    "cirron.net.bytes_left_out",
    "cirron.parents.known",
    "cirron.parents.unknown",
];

pub(crate) type Map<V> = HashMap<Key, V, foldhash::fast::RandomState>;

/// What is kept of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) pid: Option<i128>,
    pub(crate) is_open: bool,
    pub(crate) blind: String,
    pub(crate) counted: [u64; COUNTED.len()],
}

/// A scope below another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) child: Key,
    pub(crate) parent: Key,
    pub(crate) file: u32,
}

/// What is looked for besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The calls of this `request_id`, or of this span's id, or of one that begins so.
    pub(crate) id: Option<String>,
    /// Scopes of which nobody knows whose they are.
    pub(crate) orphans: bool,
}

/// Orphans that are kept, 48 bytes each.
const MAX_ORPHANS: usize = 1_000_000;

/// A scope that may be part of another one, and nobody knows of which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Orphan {
    pub(crate) parent: Key,
    pub(crate) start_ns: u64,
    /// 0 while it is open.
    pub(crate) end_ns: u64,
    /// In [`Collected::reasons`].
    pub(crate) reason: NameId,
}

/// What was read. Twice as much is held while what several threads read is put together.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) calls: Vec<Call>,
    pub(crate) endpoints: Names,
    pub(crate) models: Names,
    pub(crate) sessions: Map<Told>,
    pub(crate) links: Vec<Link>,
    /// Those of the id that is wanted.
    pub(crate) found: Vec<Key>,
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) reasons: Names,
    wanted: Wanted,
    places: Map<u32>,
    max: usize,
    file: u32,
    /// Rows of calls for which there was no room.
    pub(crate) past: u64,
    /// Sessions for which there was none.
    pub(crate) sessions_past: u64,
    /// Scopes below others for which there was none.
    pub(crate) links_past: u64,
    /// Orphans for which there was none.
    pub(crate) orphans_past: u64,
}

impl Default for Collected {
    fn default() -> Collected {
        Collected::new(MAX_CALLS)
    }
}

/// Threads that read at once: more than these wait for the disk, and for what is merged behind them.
const MAX_THREADS: usize = 4;

/// Files to a thread below which another one is not worth it.
const FILES_TO_A_THREAD: usize = 32;

/// Reads spools, a part of the files on each of some threads.
pub(crate) fn collect(spools: &Spools, wanted: Wanted) -> (Collected, Left) {
    let files: usize = spools.batches().iter().map(Batches::len).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads
        .min(MAX_THREADS)
        .min(files / FILES_TO_A_THREAD)
        .max(1);
    let bound = |n: usize| n * files / threads;
    let read = |n: usize| {
        let all = Collected {
            wanted: wanted.clone(),
            file: bound(n) as u32,
            ..Collected::default()
        };
        read_part(spools, bound(n)..bound(n + 1), all)
    };
    let read = &read;
    let (mut all, left) = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|n| scope.spawn(move || read(n))).collect();
        let (mut all, mut left) = read(0);
        for other in others {
            match other.join() {
                Ok((later, left_later)) => {
                    all.merge(later);
                    left += left_later;
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (all, left)
    });
    // Marks of what was no exchange in the end.
    all.calls.retain(|call| call.kind != Kind::Unknown);
    all.places = Map::default();
    (all, left)
}

/// Reads the files at these places of all spools.
fn read_part(spools: &Spools, part: Range<usize>, mut all: Collected) -> (Collected, Left) {
    let mut left = Left::default();
    let mut before = 0;
    for batches in spools.batches() {
        let within = |at: usize| at.clamp(before, before + batches.len()) - before;
        let range = within(part.start)..within(part.end);
        if !range.is_empty() {
            left += batches.read_range(range, &mut all, |all| all.file += 1);
        }
        before += batches.len();
    }
    (all, left)
}

impl Collected {
    /// Adds what was read of later files.
    fn merge(&mut self, later: Collected) {
        let names = |from: &Names, into: &mut Names| -> Vec<NameId> {
            from.all().map(|(id, name)| into.same(id, name)).collect()
        };
        let endpoints = names(&later.endpoints, &mut self.endpoints);
        let models = names(&later.models, &mut self.models);
        let reasons = names(&later.reasons, &mut self.reasons);
        let renamed = |ids: &[NameId], id: NameId| ids.get(usize::from(id)).copied().unwrap_or(id);
        for mut call in later.calls {
            call.endpoint = renamed(&endpoints, call.endpoint);
            call.model = renamed(&models, call.model);
            if let Some(own) = self.call(call.key) {
                own.merge(&call);
            }
        }
        for (key, told) in later.sessions {
            self.take_session(key, told);
        }
        let room = MAX_LINKS.saturating_sub(self.links.len());
        self.links_past += later.links_past + later.links.len().saturating_sub(room) as u64;
        self.links.extend(later.links.into_iter().take(room));
        let room = MAX_ORPHANS.saturating_sub(self.orphans.len());
        self.orphans_past += later.orphans_past + later.orphans.len().saturating_sub(room) as u64;
        let orphans = later.orphans.into_iter().take(room);
        self.orphans.extend(orphans.map(|orphan| Orphan {
            reason: renamed(&reasons, orphan.reason),
            ..orphan
        }));
        self.found.extend(later.found);
        self.past += later.past;
        self.sessions_past += later.sessions_past;
    }

    fn new(max: usize) -> Collected {
        Collected {
            calls: Vec::new(),
            endpoints: Names::new("(path not seen)", "other paths"),
            models: Names::new("", "other models"),
            sessions: Map::default(),
            links: Vec::new(),
            found: Vec::new(),
            orphans: Vec::new(),
            reasons: Names::new("", "other reasons"),
            wanted: Wanted::default(),
            places: Map::default(),
            max,
            file: 0,
            past: 0,
            sessions_past: 0,
            links_past: 0,
            orphans_past: 0,
        }
    }

    /// The call of this id, a new one where there is none yet.
    fn call(&mut self, key: Key) -> Option<&mut Call> {
        let at = match self.places.get(&key) {
            Some(at) => *at as usize,
            None if self.calls.len() >= self.max => {
                self.past += 1;
                return None;
            }
            None => {
                self.places.insert(key, self.calls.len() as u32);
                self.calls.push(Call {
                    key,
                    ..Call::default()
                });
                self.calls.len() - 1
            }
        };
        self.calls.get_mut(at)
    }

    fn session(&mut self, row: &SpanRow<'_>) {
        let mut told = Told {
            is_open: row.end_ns.is_none(),
            ..Told::default()
        };
        for (name, value) in &row.attrs.0 {
            match (&**name, value) {
                ("process.executable.name", Scalar::Text(text)) => {
                    told.name = cut(text, MAX_NAME_BYTES);
                }
                ("cirron.tls.blind", Scalar::Text(text)) => told.blind = cut(text, MAX_NAME_BYTES),
                ("pid", Scalar::Int(pid)) => told.pid = Some(*pid),
                (name, Scalar::Int(n)) => {
                    let place = COUNTED.iter().position(|counted| *counted == name);
                    if let Some(slot) = place.and_then(|at| told.counted.get_mut(at)) {
                        *slot = u64::try_from(*n).unwrap_or(0);
                    }
                }
                _ => {}
            }
        }
        self.take_session(Key::new(&row.id.0), told);
    }

    fn take_session(&mut self, key: Key, told: Told) {
        let old = self.sessions.get(&key);
        if old.is_some_and(|old| !old.is_open && told.is_open) {
            return;
        }
        if old.is_none() && self.sessions.len() >= MAX_SESSIONS {
            self.sessions_past += 1;
            return;
        }
        self.sessions.insert(key, told);
    }

    fn link(&mut self, row: &SpanRow<'_>) {
        let Some(parent) = &row.parent_id else { return };
        if self.links.len() >= MAX_LINKS {
            self.links_past += 1;
            return;
        }
        self.links.push(Link {
            child: Key::new(&row.id.0),
            parent: Key::new(&parent.0),
            file: self.file,
        });
    }

    fn orphan(&mut self, row: &SpanRow<'_>) {
        let reason = row.attrs.get("cirron.parent.unknown");
        let Some(reason) = reason.and_then(Scalar::as_text) else {
            return;
        };
        if self.orphans.len() >= MAX_ORPHANS {
            self.orphans_past += 1;
            return;
        }
        let orphan = Orphan {
            parent: parent(row),
            start_ns: row.start_ns,
            end_ns: row.end_ns.unwrap_or(0),
            reason: self.reasons.id(reason),
        };
        self.orphans.push(orphan);
    }

    fn is_wanted(&self, row: &SpanRow<'_>) -> bool {
        let Some(wanted) = self.wanted.id.as_deref() else {
            return false;
        };
        let id = row.attrs.get("request_id").and_then(Scalar::as_text);
        row.id.0.starts_with(wanted) || id.is_some_and(|id| id.starts_with(wanted))
    }
}

fn parent(row: &SpanRow<'_>) -> Key {
    let id = row.parent_id.as_ref();
    id.map_or_else(Key::default, |id| Key::new(&id.0))
}

impl Take for Collected {
    fn span(&mut self, row: &SpanRow<'_>) {
        if self.wanted.orphans {
            self.orphan(row);
        }
        let kind = match &*row.name.0 {
            "request" => Kind::Served,
            "http.client" => Kind::Made,
            "response" => Kind::Turn,
            _ if Session::is_one(row) => return self.session(row),
            _ => return self.link(row),
        };
        if kind != Kind::Served {
            self.link(row);
        }
        if self.is_wanted(row) {
            self.found.push(Key::new(&row.id.0));
        }
        let facts = Facts::from_row(row);
        let endpoint = facts.endpoint(kind, row, &mut self.endpoints);
        let model = facts.response_model.or(facts.request_model);
        let model = self.models.id(model.unwrap_or(""));
        let file = self.file;
        let Some(call) = self.call(Key::new(&row.id.0)) else {
            return;
        };
        call.take_row(&Call {
            kind,
            parent: parent(row),
            start_ns: row.start_ns,
            end_ns: row.end_ns.unwrap_or(0),
            flags: facts.flags,
            lost_bytes: facts.lost_bytes,
            endpoint,
            model,
            file,
            ..Call::default()
        });
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        let figure: fn(&mut Call) -> &mut f32 = match &*row.name.0 {
            "time_to_first_token_ms" => |call| &mut call.ttft_ms,
            "time_per_output_token_ms" => |call| &mut call.tpot_ms,
            "request_duration_ms" => |call| &mut call.latency_ms,
            "input_tokens" => |call| &mut call.tokens_in,
            "output_tokens" => |call| &mut call.tokens_out,
            _ => return,
        };
        let value = match row.value {
            Scalar::Int(v) => v as f32,
            Scalar::Float(v) => v as f32,
            Scalar::Text(_) | Scalar::Bool(_) | Scalar::Null | Scalar::Other => return,
        };
        let is = |name| row.attrs.get(name).is_some_and(Scalar::is_truthy);
        let (is_estimated, is_lower) = (is("estimated"), is("partial"));
        let Some(call) = self.call(Key::new(&row.span_id.0)) else {
            return;
        };
        *figure(call) = value;
        if is_estimated {
            call.flags.add(Flags::ESTIMATED);
        }
        if is_lower {
            call.flags.add(Flags::LOWER_BOUND);
        }
    }
}

/// What the attributes of an exchange say.
#[derive(Default)]
struct Facts<'r> {
    flags: Flags,
    lost_bytes: u32,
    host: Option<&'r str>,
    has_name: bool,
    request_model: Option<&'r str>,
    response_model: Option<&'r str>,
}

impl<'r> Facts<'r> {
    fn from_row(row: &'r SpanRow<'_>) -> Facts<'r> {
        let mut facts = Facts::default();
        for (name, value) in &row.attrs.0 {
            let is_so = value.is_truthy();
            let flag = match &**name {
                "http.request.method" | "url.path" | "http.route" | "url.template" => {
                    facts.has_name = true;
                    continue;
                }
                "server.address" => {
                    facts.host = value.as_text();
                    continue;
                }
                "gen_ai.request.model" => {
                    facts.request_model = value.as_text();
                    continue;
                }
                "gen_ai.response.model" => {
                    facts.response_model = value.as_text();
                    continue;
                }
                "cirron.lost_bytes" => {
                    if let Scalar::Int(lost) = value {
                        facts.lost_bytes = u32::try_from(*lost).unwrap_or(u32::MAX);
                    }
                    continue;
                }
                "cirron.aborted_by" => {
                    if value.as_text() == Some("client") {
                        facts.flags.add(Flags::BY_CLIENT);
                    }
                    Flags::ABORTED
                }
                "http.response.status_code" if matches!(value, Scalar::Int(400..)) => Flags::FAILED,
                "error" if is_so => Flags::FAILED,
                "cirron.partial" if is_so => Flags::PARTIAL,
                "cirron.late_attach" if is_so => Flags::LATE,
                "cirron.end_lost" if is_so => Flags::END_LOST,
                "gen_ai.operation.name" => Flags::MODEL,
                "cirron.request.stream" if is_so => Flags::STREAM,
                "cirron.times" if value.as_text() == Some("held") => Flags::HELD,
                "cirron.stream.burst" if is_so => Flags::BURST,
                "cirron.figures" if value.as_text() == Some("header_only") => Flags::UNREAD,
                "cirron.given_up" => Flags::GIVEN_UP,
                "cirron.sampled_one_in" => Flags::SAMPLED,
                "cirron.caller.by" if value.as_text() == Some("connection") => {
                    Flags::CALLED_FROM_HERE
                }
                _ => continue,
            };
            facts.flags.add(flag);
        }
        facts
    }

    /// As `tree` names it; of a call that was made, with where.
    fn endpoint(&self, kind: Kind, row: &SpanRow<'_>, names: &mut Names) -> NameId {
        if !self.has_name && kind != Kind::Turn {
            return NONE;
        }
        let (_, name) = endpoint(row);
        match (kind, self.host) {
            (Kind::Made, Some(host)) => names.id(&format!("{name} at {host}")),
            _ => names.id(&name),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn span(all: &mut Collected, json: &str) {
        all.span(&serde_json::from_str(json).unwrap());
    }

    fn mark(all: &mut Collected, span: &str, name: &str, value: f64) {
        let json = format!(
            r#"{{"span_id":"{span}","name":"{name}","value":{value},"value_nonfinite":null,"kind":"summary",
                "attrs":{{"estimated":true}}}}"#
        );
        all.mark(&serde_json::from_str(&json).unwrap());
    }

    const ID: &str = "000000000000000000000000000000aa";

    fn request(end: &str) -> String {
        format!(
            r#"{{"id":"{ID}","name":"request","parent_id":"b","index":null,"start_ns":5000000,"end_ns":{end},
                "attrs":{{"http.request.method":"POST","url.path":"/v1","http.response.status_code":503,
                "gen_ai.operation.name":"chat","gen_ai.request.model":"m","cirron.lost_bytes":12}}}}"#
        )
    }

    #[test]
    fn a_closed_span_counts_and_its_marks_come_whenever_they_like() {
        let mut all = Collected::default();
        mark(&mut all, ID, "output_tokens", 7.0);
        span(&mut all, &request("9000000"));
        span(&mut all, &request("null"));
        mark(&mut all, ID, "time_to_first_token_ms", 1.5);
        assert_eq!(all.calls.len(), 1);
        let call = all.calls[0];
        assert_eq!((call.start_ns, call.end_ns), (5_000_000, 9_000_000));
        assert_eq!(call.tokens_out(), Some(7.0));
        assert_eq!(call.ttft_ms(), Some(1.5));
        assert_eq!(call.latency_ms(), Some(4.0));
        assert_eq!(call.tokens_in(), None);
        assert!(call.has_failed() && call.has(Flags::MODEL) && call.has(Flags::ESTIMATED));
        assert_eq!(call.lost_bytes, 12);
        assert_eq!(all.endpoints.name(call.endpoint), "POST /v1");
        assert_eq!(all.models.name(call.model), "m");
    }

    #[test]
    fn what_several_threads_read_is_what_one_would_have_read() {
        let rows: [&dyn Fn(&mut Collected); 5] = [
            &|all| mark(all, ID, "output_tokens", 7.0),
            &|all| span(all, &request("null").replace("/v1", "/v0")),
            &|all| span(all, &request("9000000")),
            &|all| span(all, &request("null").replace("/v1", "/v2")),
            &|all| mark(all, ID, "time_to_first_token_ms", 1.5),
        ];
        let told = |all: &Collected| {
            let call = all.calls[0];
            let endpoint = all.endpoints.name(call.endpoint).to_owned();
            (
                all.calls.len(),
                call.end_ns,
                call.flags,
                endpoint,
                call.ttft_ms(),
                call.tokens_out(),
            )
        };
        let mut one = Collected::default();
        rows.iter().for_each(|add| add(&mut one));
        for cut in 0..=rows.len() {
            let (mut first, mut second) = (Collected::default(), Collected::default());
            // Numbers of names differ.
            span(
                &mut second,
                &request("5")
                    .replace("aa\"", "bb\"")
                    .replace("/v1", "/other"),
            );
            rows[..cut].iter().for_each(|add| add(&mut first));
            rows[cut..].iter().for_each(|add| add(&mut second));
            second.calls.rotate_left(1);
            first.merge(second);
            let at = first
                .calls
                .iter()
                .position(|call| call.key == Key::new(ID))
                .unwrap();
            first.calls.swap(0, at);
            let (n, end, flags, endpoint, ttft, out) = told(&first);
            assert_eq!(
                (n - 1, end, flags, endpoint, ttft, out),
                told(&one),
                "{cut}"
            );
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut all = Collected::new(1);
        span(&mut all, &request("9"));
        mark(&mut all, "1", "output_tokens", 1.0);
        span(&mut all, &request("9").replace("aa\"", "bb\""));
        assert_eq!((all.calls.len(), all.past), (1, 2));
    }

    #[test]
    fn a_session_says_what_was_lost_of_it() {
        let mut all = Collected::default();
        let json = |end: &str, attrs: &str| {
            format!(
                r#"{{"id":"1","name":"cirron.session","parent_id":null,"index":null,"start_ns":1,"end_ns":{end},
                    "attrs":{{"pid":7,"process.executable.name":"x"{attrs}}}}}"#
            )
        };
        span(&mut all, &json("2", r#","cirron.unnamed_connections":3"#));
        span(&mut all, &json("null", ""));
        let session = all.sessions.values().next().unwrap();
        assert_eq!((session.counted[2], session.is_open), (3, false));
        assert_eq!((session.pid, session.name.as_str()), (Some(7), "x"));
    }
}
