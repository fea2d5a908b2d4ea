//! A server under load: its threads, what each request does, and who was right.

use std::collections::BTreeMap;

use cirron_core::id::Id;
use cirron_core::record::Direction;
use cirron_core::scope::{AttrValue, Span};
use cirron_core::time::MS;

use crate::statement::{ANSWER, is_of, statement};
use crate::wire::{Conn, Wire};

/// How it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One thread accepts, each connection has a thread, whose number is given again at once (Flask).
    ThreadPerConnection,
    /// One thread accepts, each request goes to any free thread of a pool (gunicorn gthread).
    Pool,
    /// One thread does all, whatever is ready first (asyncio, Node).
    Loop,
    /// Four threads do so, and each step of a request may be on another one (tokio).
    Loops,
    /// One thread, one request at a time.
    OneThread,
    /// The same with sockets that wait (gunicorn sync).
    OneWaiting,
    /// One thread does all on sockets that wait, when `poll` says that one is ready; it calls for itself at any time.
    WaitingLoop,
    /// Four threads take steps of any request from a queue, and read by sockets that wait.
    Stages,
    /// Each connection has a goroutine (net/http).
    Goroutines,
    /// One goroutine waits for all connections by `epoll` and does all (gnet).
    GoLoop,
}

impl Kind {
    /// One thread or goroutine does all.
    fn is_one(self) -> bool {
        use Kind::{GoLoop, Loop, OneThread, OneWaiting, WaitingLoop};
        matches!(self, Loop | OneThread | OneWaiting | WaitingLoop | GoLoop)
    }

    /// Each connection has its own.
    fn is_kept(self) -> bool {
        matches!(self, Kind::ThreadPerConnection | Kind::Goroutines)
    }

    /// Any of some may take the next step.
    fn is_shared(self) -> bool {
        matches!(self, Kind::Loops | Kind::Stages)
    }

    /// It waits for several between two steps, and may call for itself meanwhile.
    fn is_polling(self) -> bool {
        matches!(self, Kind::WaitingLoop | Kind::GoLoop)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) at_once: usize,
    pub(crate) calls: u64,
    pub(crate) lost_ppm: u64,
    /// It calls a database.
    pub(crate) net: bool,
}

/// What became of the calls and scopes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) right: u64,
    pub(crate) unknown: u64,
    pub(crate) wrong: u64,
    /// Of runs in which nothing was lost.
    pub(crate) right_unlost: u64,
    pub(crate) unknown_unlost: u64,
}

impl Report {
    pub(crate) fn unlost_known(&self) -> f64 {
        self.right_unlost as f64 / (self.right_unlost + self.unknown_unlost) as f64
    }
}

const ACCEPTOR: u32 = 1;
const LOOPS: u32 = 4;
/// Threads that serve have these numbers, those in the background others.
const FIRST_WORKER: u32 = 10;
const FIRST_BACKGROUND: u32 = 1_000;
const FIRST_GOROUTINE: u32 = 10_000;

/// A request under way. What it does next is its step.
struct Handler {
    /// Numbers of the requests that came in one segment, the first is worked on.
    numbers: Vec<u64>,
    tid: u32,
    conn: Conn,
    step: u8,
    call: Option<Conn>,
    background: bool,
    scoped: bool,
}

struct Server {
    wire: Wire,
    shape: Shape,
    /// Connections that wait for their next request, with their thread where they have one.
    idle: Vec<(Conn, u32)>,
    /// Numbers of threads that are free, the last is given next.
    free: Vec<u32>,
    pooled: Vec<Conn>,
    /// Goroutines so far, whose numbers are never given again.
    goroutines: u32,
    handlers: Vec<Handler>,
    next: u64,
}

const DONE: u8 = 7;

fn get(path: &str, number: u64) -> String {
    format!("GET /{path}/{number} HTTP/1.1\r\nHost: x\r\n\r\n")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";

impl Server {
    fn tid(&mut self, own: u32) -> u32 {
        match self.shape.kind.is_shared() {
            true => FIRST_WORKER + self.wire.feed.random.between(0, LOOPS.into()) as u32,
            false => own,
        }
    }

    fn chance(&mut self, per_cent: u64) -> bool {
        self.wire.feed.random.one_in_a_million(per_cent * 10_000)
    }

    fn begin(&mut self) {
        let reuse = !self.idle.is_empty() && self.chance(60);
        let (mut conn, mut tid) = if reuse {
            let at = self.wire.feed.random.between(0, self.idle.len() as u64) as usize;
            self.idle.swap_remove(at)
        } else {
            let by = match self.shape.kind.is_one() {
                true => FIRST_WORKER,
                false => ACCEPTOR,
            };
            (self.wire.open(by, true), 0)
        };
        if tid == 0 {
            tid = match self.shape.kind {
                Kind::Pool | Kind::ThreadPerConnection => self.free.pop().unwrap(),
                Kind::Goroutines => {
                    self.goroutines += 1;
                    FIRST_GOROUTINE + self.goroutines
                }
                Kind::Loop
                | Kind::Loops
                | Kind::OneThread
                | Kind::OneWaiting
                | Kind::WaitingLoop
                | Kind::Stages
                | Kind::GoLoop => FIRST_WORKER,
            };
        }
        if self.shape.kind.is_polling() {
            self.wire.waits(tid);
        }
        let several = self.shape.kind.is_kept() && self.chance(5);
        let numbers: Vec<u64> = (0..1 + u64::from(several)).map(|n| self.next + n).collect();
        self.next += numbers.len() as u64;
        let text: String = numbers.iter().map(|n| get("r", *n)).collect();
        let reader = self.tid(tid);
        if self.chance(20) {
            let (first, rest) = text.split_at(10);
            // Go's server has another goroutine wait for what comes next.
            let waiter = if self.shape.kind == Kind::Goroutines {
                self.goroutines += 1;
                FIRST_GOROUTINE + self.goroutines
            } else {
                reader
            };
            self.wire
                .moves(&mut conn, Direction::Inbound, first, waiter);
            self.wire.moves(&mut conn, Direction::Inbound, rest, reader);
        } else {
            self.wire
                .moves(&mut conn, Direction::Inbound, &text, reader);
        }
        let handler = Handler {
            numbers,
            tid,
            conn,
            step: 0,
            call: None,
            background: self.chance(10),
            scoped: self.chance(30),
        };
        self.handlers.push(handler);
    }

    /// Who calls for a request, and when: its own thread, or one in the background, perhaps behind the answer.
    fn caller(&mut self, handler: &Handler) -> u32 {
        if handler.background {
            return FIRST_BACKGROUND + (handler.numbers[0] % 7) as u32;
        }
        self.tid(handler.tid)
    }

    fn step(&mut self, at: usize) {
        let mut h = self.handlers.swap_remove(at);
        let number = h.numbers[0];
        let late_call = h.background && number.is_multiple_of(2);
        let (call_at, answer_at) = if late_call { (4, 1) } else { (1, 4) };
        let own = self.tid(h.tid);
        if self.shape.kind.is_polling() {
            if self.chance(20) {
                self.call_for_itself(own);
            }
            self.wire.waits(own);
        }
        match h.step {
            0 if h.scoped => self.wire.begin(number + 1, &format!("s/{number}"), own),
            step if step == call_at => {
                let by = self.caller(&h);
                let pooled = self.chance(70);
                let pooled = pooled.then(|| self.pooled.pop()).flatten();
                let mut conn = pooled.unwrap_or_else(|| self.wire.open(by, false));
                let asked = self.question(number);
                self.wire.moves(&mut conn, Direction::Outbound, &asked, by);
                h.call = Some(conn);
            }
            step if step == call_at + 1 => {
                let by = self.caller(&h);
                if let Some(mut conn) = h.call.take() {
                    let answer = self.answer();
                    self.wire.moves(&mut conn, Direction::Inbound, &answer, by);
                    self.pooled.push(conn);
                }
            }
            3 if h.scoped => self.wire.end(number + 1, own),
            step if step == answer_at => {
                self.wire.moves(&mut h.conn, Direction::Outbound, OK, own);
            }
            step if step == answer_at + 1 => {
                self.wire
                    .moves(&mut h.conn, Direction::Outbound, "done", own);
            }
            _ => {}
        }
        h.step += 1;
        if h.step < DONE {
            self.handlers.push(h);
            return;
        }
        h.numbers.remove(0);
        if !h.numbers.is_empty() {
            h.step = 0;
            self.handlers.push(h);
            return;
        }
        self.finish(h);
    }

    fn finish(&mut self, h: Handler) {
        let closes = self.chance(30);
        let is_kept = self.shape.kind.is_kept();
        if closes {
            self.wire.close(&h.conn, h.tid);
        } else {
            let by = if is_kept { h.tid } else { 0 };
            self.idle.push((h.conn, by));
        }
        if (closes || !is_kept) && self.shape.kind != Kind::Goroutines {
            self.free.push(h.tid);
        }
        // Somebody calls on the server's own account: of a loop on the same thread.
        if self.chance(5) {
            let is_own = self.shape.kind.is_one()
                && !matches!(self.shape.kind, Kind::OneThread | Kind::OneWaiting);
            let by = match is_own {
                true => FIRST_WORKER,
                false => FIRST_BACKGROUND + 9,
            };
            self.call_for_itself(by);
        }
    }

    fn question(&self, number: u64) -> String {
        match self.shape.net {
            true => statement(number),
            false => get("c", number),
        }
    }

    fn answer(&self) -> String {
        match self.shape.net {
            true => ANSWER.to_owned(),
            false => format!("{OK}pong"),
        }
    }

    /// A call that is made for no request.
    fn call_for_itself(&mut self, by: u32) {
        let mut conn = self
            .pooled
            .pop()
            .unwrap_or_else(|| self.wire.open(by, false));
        let (asked, answer) = (self.question(u64::MAX), self.answer());
        self.wire.moves(&mut conn, Direction::Outbound, &asked, by);
        self.wire.moves(&mut conn, Direction::Inbound, &answer, by);
        self.pooled.push(conn);
    }
}

pub(crate) fn simulate(seed: u64, shape: Shape) -> Report {
    let threads = FIRST_WORKER..FIRST_WORKER + 8 * shape.at_once as u32 + 8;
    let mut server = Server {
        wire: Wire::new(seed, shape.lost_ppm, shape.net),
        shape,
        idle: Vec::new(),
        free: threads.rev().collect(),
        pooled: Vec::new(),
        goroutines: 0,
        handlers: Vec::new(),
        next: 1,
    };
    server.wire.is_go = matches!(shape.kind, Kind::Goroutines | Kind::GoLoop);
    // Whoever runs Go waits by its runtime.
    let waiting = matches!(
        shape.kind,
        Kind::OneWaiting | Kind::WaitingLoop | Kind::Stages
    );
    server.wire.is_blocking = waiting || server.wire.is_go;
    let mut scopes = Vec::new();
    while server.next < shape.calls || !server.handlers.is_empty() {
        let is_full = server.handlers.len() >= shape.at_once || server.next >= shape.calls;
        let few_threads = server.free.is_empty();
        if !is_full && !few_threads && server.chance(60) {
            server.begin();
        } else if !server.handlers.is_empty() {
            let at = server
                .wire
                .feed
                .random
                .between(0, server.handlers.len() as u64);
            server.step(at as usize);
        } else if few_threads {
            // Somebody hangs up.
            let (conn, tid) = server.idle.swap_remove(0);
            server.wire.close(&conn, tid);
            server.free.push(tid);
        }
        scopes.extend(server.wire.feed.scopes());
    }
    scopes.extend(server.wire.feed.stop(1_000 * MS));
    let spans: Vec<Span> = scopes.into_iter().map(|(span, _)| span).collect();
    judge(&spans)
}

fn number(span: &Span, prefix: &str) -> Option<u64> {
    let text = match span.attrs.get("url.path") {
        Some(AttrValue::Str(path)) => path.to_string(),
        _ => format!("/{}", span.name),
    };
    text.strip_prefix(prefix)?.parse().ok()
}

fn judge(spans: &[Span]) -> Report {
    let by_id: BTreeMap<Id, &Span> = spans.iter().map(|span| (span.id, span)).collect();
    let mut report = Report::default();
    for span in spans {
        let own = number(span, "/c/").or(number(span, "/s/"));
        if own.is_none() && span.name.as_str() != "net.client" {
            continue;
        }
        let mut up = span.parent_id.and_then(|id| by_id.get(&id));
        while let Some(scope) = up.filter(|span| span.name.as_str() != "request") {
            up = scope.parent_id.and_then(|id| by_id.get(&id));
        }
        match up.map(|request| number(request, "/r/")) {
            None => report.unknown += 1,
            Some(Some(number)) if own.map_or_else(|| is_of(span, number), |own| own == number) => {
                report.right += 1;
            }
            Some(other) => {
                println!("of {own:?}, below {other:?}: {span:?}");
                report.wrong += 1;
            }
        }
    }
    report
}
