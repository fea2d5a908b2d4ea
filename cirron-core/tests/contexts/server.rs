//! A server on an event loop: what each request does, step by step, in which contexts.

use cirron_core::scope::{Mark, Span};
use cirron_core::time::MS;

use crate::statement;
use crate::world::{By, Conn, Ctx, World};

/// Whose loop it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    /// A connection is read in a context of its own.
    Asyncio,
    /// All are read in the loop's context, and then that of the connection is entered (libuv).
    Uvloop,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its task calls (httpx with a pool), once before and once behind an `await`.
    Own,
    /// A task of each call writes it (aiohttp).
    Writer,
    /// Three at once.
    Gather,
    /// The answer's head is written by a task that calls then (`StreamingResponse`).
    Stream,
    /// A thread of a pool calls, in a copy of the context (`to_thread`, anyio).
    Thread,
    /// The same without the context (`run_in_executor`).
    Executor,
    /// Its task calls when it has answered.
    Background,
    /// A worker that the first of them made calls for all.
    Worker,
    /// The same, with a task for each call.
    WorkerTask,
    /// A task that it starts and does not wait for, which calls behind the answer.
    Detached,
    /// It writes on the connections of others meanwhile.
    Broadcast,
    /// It hangs up before it is answered, having called.
    HangUp,
    /// One task serves the whole connection, and calls (Sanic).
    Connection,
    /// One task serves the whole connection, and makes one for each request, which calls (aiohttp's server).
    Handler,
    /// The same, and when the next one is read, that of the connection makes one that calls for this one.
    After,
    /// What one request starts calls for others that wait, and ends before that one is answered.
    Coalesced,
}

impl Kind {
    /// That of the connection makes its task.
    fn makes(self) -> bool {
        matches!(self, Kind::Handler | Kind::After)
    }

    pub(crate) const FIT: [Kind; 7] = [
        Kind::Own,
        Kind::Writer,
        Kind::Gather,
        Kind::Stream,
        Kind::Thread,
        Kind::Broadcast,
        Kind::HangUp,
    ];
    pub(crate) const UNFIT: [Kind; 5] = [
        Kind::Executor,
        Kind::Background,
        Kind::Worker,
        Kind::WorkerTask,
        Kind::Detached,
    ];
}

const LOOP: u32 = 10;
const POOL: u32 = 20;
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n";

#[derive(Clone, Copy, Debug)]
struct Client {
    conn: Conn,
    /// The context that its bytes are read in.
    reader: Ctx,
    /// The task that serves all of its requests, if one does.
    task: Ctx,
    /// What that one is to do for a request that it has answered.
    owes: Option<u64>,
}

pub(crate) struct Work {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    client: Client,
    pub(crate) task: Ctx,
    pub(crate) kids: Vec<Ctx>,
    /// Numbers of what it tells and is open.
    pub(crate) told: Vec<u64>,
    calls: Vec<Conn>,
    pub(crate) step: u32,
    /// Requests of the same segment that come next.
    behind: Vec<u64>,
}

pub(crate) struct Server {
    pub(crate) world: World,
    which: Loop,
    kinds: Vec<Kind>,
    base: Ctx,
    listener: Ctx,
    ticker: Ctx,
    worker: Ctx,
    idle: Vec<Client>,
    pool: Vec<Conn>,
    work: Vec<Work>,
    /// Numbers that wait for what another one started.
    waiting: Vec<u64>,
    next: u64,
    pipelines: bool,
    /// What serves a connection sets an option when it is told of it (aiohttp's server).
    tunes: bool,
    /// It speaks HTTPS, by objects that are given their bytes (`ssl.MemoryBIO`).
    tls: bool,
    /// Contexts that were made for nobody right behind an accept.
    strays: Vec<Ctx>,
    pub(crate) tells: bool,
    /// Things that were told so far.
    pub(crate) told: u64,
    /// It calls a database.
    net: bool,
}

fn get(path: &str, number: u64) -> String {
    format!("GET /{path}/{number} HTTP/1.1\r\nHost: x\r\n\r\n")
}

impl Server {
    pub(crate) fn new(seed: u64, lost_ppm: u64, which: Loop, kinds: &[Kind], net: bool) -> Server {
        let mut world = World::new(seed, lost_ppm, net);
        let none = By { tid: LOOP, ctx: 0 };
        let base = world.make(none);
        let of_base = By {
            tid: LOOP,
            ctx: base,
        };
        let (listener, ticker) = (world.make(of_base), world.make(of_base));
        Server {
            world,
            which,
            kinds: kinds.to_vec(),
            base,
            listener,
            ticker,
            worker: 0,
            idle: Vec::new(),
            pool: Vec::new(),
            work: Vec::new(),
            waiting: Vec::new(),
            next: 1,
            pipelines: false,
            tunes: false,
            tls: false,
            strays: Vec::new(),
            tells: false,
            told: 0,
            net,
        }
    }

    pub(crate) fn pipelines(mut self) -> Server {
        self.pipelines = true;
        self
    }

    pub(crate) fn tunes(mut self) -> Server {
        self.tunes = true;
        self
    }

    pub(crate) fn tls(mut self) -> Server {
        self.tls = true;
        self
    }

    /// The connection's task makes one for a request of this kind.
    fn makes(&mut self, kind: Kind) -> bool {
        let serves = self.kinds.contains(&Kind::Connection);
        kind.makes() || !serves || kind != Kind::Connection && self.chance(50)
    }

    pub(crate) fn chance(&mut self, per_cent: u64) -> bool {
        self.world.feed.random.one_in_a_million(per_cent * 10_000)
    }

    pub(crate) fn on(&self, ctx: Ctx) -> By {
        By { tid: LOOP, ctx }
    }

    /// Runs in a context on the loop's thread.
    fn run<T>(&mut self, ctx: Ctx, work: impl FnOnce(&mut World, By) -> T) -> T {
        let by = self.on(ctx);
        let mut done = None;
        self.world.enter(by, |world| done = Some(work(world, by)));
        done.unwrap()
    }

    fn accept(&mut self) -> Client {
        let client = self.accept_socket();
        let mut conn = client.conn;
        if self.tls {
            match self.which {
                Loop::Asyncio => {
                    self.run(client.reader, |world, by| conn = world.wrap(by, conn));
                }
                Loop::Uvloop => {
                    conn = self.world.wrap(self.on(self.base), conn);
                    self.run(client.reader, |_, _| ());
                }
            }
        }
        Client { conn, ..client }
    }

    fn accept_socket(&mut self) -> Client {
        let (which, base) = (self.which, self.on(self.base));
        let serves = [Kind::Connection, Kind::Handler, Kind::After]
            .iter()
            .any(|kind| self.kinds.contains(kind));
        if which == Loop::Uvloop {
            // The listener's context is that of all its connections.
            let conn = self.world.open(base, true);
            self.run(self.listener, |_, _| ());
            self.world.tunes(base, conn);
            // Others run before the protocol is told of it.
            let stray = self.chance(4);
            let stray = self.run(self.ticker, |world, by| stray.then(|| world.make(by)));
            self.strays.extend(stray);
            let tunes = self.tunes;
            let task = self.run(self.listener, |world, by| {
                if tunes {
                    world.tunes(by, conn);
                }
                if serves { world.make(by) } else { 0 }
            });
            let reader = self.listener;
            return Client {
                conn,
                reader,
                task,
                owes: None,
            };
        }
        let (conn, reader, task) = self.run(self.listener, |world, by| {
            let conn = world.open(by, true);
            let accepted = world.make(by);
            let by = By {
                ctx: accepted,
                ..by
            };
            let mut made = (0, 0);
            world.enter(by, |world| {
                world.tunes(by, conn);
                let task = if serves { world.make(by) } else { 0 };
                made = (world.make(by), task);
            });
            // What accepted it may be kept until memory is tidied.
            if !serves {
                world.free(by, accepted);
            }
            (conn, made.0, made.1)
        });
        Client {
            conn,
            reader,
            task,
            owes: None,
        }
    }

    /// Something is read from a connection, and what its callback makes is made.
    fn read<T>(
        &mut self,
        conn: Conn,
        reader: Ctx,
        text: &str,
        then: impl FnOnce(&mut World, By) -> T,
    ) -> T {
        // Where the kernel side has not been told yet that nobody reads it.
        let tells = self.chance(20);
        let cipher: &[u8] = if tells { b"\x17\x03\x03\x00\x01x" } else { b"" };
        let base = self.on(self.base);
        if !cipher.is_empty() && self.which == Loop::Uvloop {
            self.world.arrives(base, conn, cipher);
        }
        match self.which {
            Loop::Asyncio => self.run(reader, |world, by| {
                if !cipher.is_empty() {
                    world.arrives(by, conn, cipher);
                }
                world.reads(by, conn, text);
                then(world, by)
            }),
            Loop::Uvloop if conn.is_tls() => self.run(reader, |world, by| {
                world.reads(by, conn, text);
                then(world, by)
            }),
            Loop::Uvloop => {
                self.world.reads(base, conn, text);
                self.run(reader, then)
            }
        }
    }

    fn begin(&mut self) {
        let mut client = match self.idle.is_empty() || self.chance(20) {
            true => self.accept(),
            false => {
                let at = self.world.feed.random.between(0, self.idle.len() as u64);
                self.idle.swap_remove(at as usize)
            }
        };
        let at = self.world.feed.random.between(0, self.kinds.len() as u64);
        let kind = self.kinds[at as usize];
        let both = self.pipelines && self.chance(20);
        let numbers: Vec<u64> = (0..1 + u64::from(both)).map(|n| self.next + n).collect();
        self.next += numbers.len() as u64;
        let text: String = numbers.iter().map(|n| get("r", *n)).collect();
        let serves = client.task != 0;
        let task = self.read(client.conn, client.reader, &text, |world, by| {
            if serves { 0 } else { world.make(by) }
        });
        let task = match serves {
            true if self.makes(kind) => self.run(client.task, |world, by| world.make(by)),
            true => client.task,
            false => task,
        };
        if let Some(owed) = client.owes.take() {
            let after = self.run(client.task, |world, by| world.make(by));
            let conn = self.call(self.on(after), owed);
            self.is_answered(conn);
            self.run(self.base, |world, by| world.free(by, after));
        }
        let mut numbers = numbers.into_iter();
        let number = numbers.next().unwrap();
        self.work.push(Work {
            number,
            kind,
            client,
            task,
            kids: Vec::new(),
            told: Vec::new(),
            calls: Vec::new(),
            step: 0,
            behind: numbers.collect(),
        });
    }

    /// A call of `number` by whoever is in a context. The connection may be another's.
    fn call(&mut self, by: By, number: u64) -> Conn {
        let pooled = self.chance(70).then(|| self.pool.pop()).flatten();
        let mut conn = pooled;
        let asked = match self.net {
            true => statement::statement(number),
            false => get("c", number),
        };
        let world = &mut self.world;
        world.enter(by, |world| {
            let conn = *conn.get_or_insert_with(|| world.open(by, false));
            world.writes(by, conn, &asked);
        });
        conn.unwrap()
    }

    fn is_answered(&mut self, conn: Conn) {
        let base = self.base;
        let text = match self.net {
            true => statement::ANSWER.to_owned(),
            false => format!("{OK}12345678"),
        };
        let reader = self.run(base, |world, by| world.make(by));
        self.read(conn, reader, &text, |_, _| ());
        self.run(base, |world, by| world.free(by, reader));
        self.pool.push(conn);
    }

    fn step(&mut self, at: usize) {
        let mut w = self.work.swap_remove(at);
        w.step += 1;
        self.tell(&mut w);
        let by = self.on(w.task);
        match (w.step, w.kind) {
            (
                1,
                Kind::Own
                | Kind::Broadcast
                | Kind::HangUp
                | Kind::Connection
                | Kind::Handler
                | Kind::After,
            ) => {
                w.calls.push(self.call(by, w.number));
            }
            (1, Kind::Writer | Kind::Gather | Kind::Thread | Kind::Stream | Kind::Detached) => {
                let many = if w.kind == Kind::Gather { 3 } else { 1 };
                w.kids = self.run(w.task, |world, by| {
                    (0..many).map(|_| world.make(by)).collect()
                });
            }
            (1, Kind::Worker | Kind::WorkerTask) if self.worker == 0 => {
                self.worker = self.run(w.task, |world, by| world.make(by));
            }
            (1, Kind::Coalesced) => {
                self.waiting.push(w.number);
                if self.worker == 0 {
                    self.worker = self.run(w.task, |world, by| world.make(by));
                    w.kids.push(self.worker);
                }
            }
            (2 | 3, Kind::Writer | Kind::Gather) if w.calls.len() < w.kids.len() => {
                let by = self.on(w.kids[w.calls.len()]);
                w.calls.push(self.call(by, w.number));
                w.step -= u32::from(w.calls.len() < w.kids.len());
            }
            (2, Kind::Thread) => {
                let by = By {
                    tid: POOL + (w.number % 4) as u32,
                    ctx: w.kids[0],
                };
                w.calls.push(self.call(by, w.number));
            }
            (2, Kind::Executor) => {
                let by = By {
                    tid: POOL + (w.number % 4) as u32,
                    ctx: 0,
                };
                w.calls.push(self.call(by, w.number));
            }
            (2, Kind::Stream) => {
                self.run(w.kids[0], |world, by| world.writes(by, w.client.conn, OK));
                let by = self.on(w.kids[0]);
                w.calls.push(self.call(by, w.number));
            }
            (2, Kind::Worker) => {
                let by = self.on(self.worker);
                w.calls.push(self.call(by, w.number));
            }
            (2, Kind::WorkerTask) => {
                let kid = self.run(self.worker, |world, by| world.make(by));
                w.kids.push(kid);
                w.calls.push(self.call(self.on(kid), w.number));
            }
            (3, Kind::Coalesced) if w.kids.len() == 1 => {
                for number in std::mem::take(&mut self.waiting) {
                    let conn = self.call(self.on(self.worker), number);
                    self.is_answered(conn);
                }
                self.worker = 0;
            }
            (3, Kind::Own | Kind::Connection | Kind::Handler | Kind::After) => {
                for conn in std::mem::take(&mut w.calls) {
                    self.is_answered(conn);
                }
                w.calls.push(self.call(by, w.number));
            }
            (3, Kind::HangUp) => {
                self.run(w.task, |world, by| world.close(by, w.client.conn));
                for conn in std::mem::take(&mut w.calls) {
                    self.is_answered(conn);
                }
                self.run(w.task, |world, by| world.free(by, w.task));
                return;
            }
            (4, _) => {
                let kids = match matches!(w.kind, Kind::Detached | Kind::Stream) {
                    true => Vec::new(),
                    false => std::mem::take(&mut w.kids),
                };
                for conn in std::mem::take(&mut w.calls) {
                    self.is_answered(conn);
                }
                self.run(w.task, |world, by| {
                    kids.iter().for_each(|kid| world.free(by, *kid))
                });
            }
            (5, Kind::Stream) => {
                self.run(w.kids[0], |world, by| {
                    world.writes(by, w.client.conn, "1234")
                });
                for kid in std::mem::take(&mut w.kids) {
                    self.run(w.task, |world, by| world.free(by, kid));
                }
            }
            (5, _) => self.run(w.task, |world, by| {
                world.writes(by, w.client.conn, &format!("{OK}1234"));
            }),
            (6, Kind::Broadcast) => {
                let other = self
                    .work
                    .iter()
                    .find(|o| o.step == 5)
                    .map(|o| o.client.conn);
                if let Some(other) = other {
                    self.run(w.task, |world, by| world.writes(by, other, "12"));
                    let o = self.work.iter_mut().find(|o| o.step == 5).unwrap();
                    o.step = 100;
                }
            }
            (7 | 101, _) => {
                let rest = if w.step == 101 { "34" } else { "1234" };
                self.run(w.task, |world, by| world.writes(by, w.client.conn, rest));
                w.step = 7;
            }
            (8, Kind::Background) => w.calls.push(self.call(by, w.number)),
            (8, Kind::Detached) => w.calls.push(self.call(self.on(w.kids[0]), w.number)),
            (9, _) => return self.finish(w),
            _ => {}
        }
        self.work.push(w);
    }

    fn finish(&mut self, mut w: Work) {
        for conn in std::mem::take(&mut w.calls) {
            self.is_answered(conn);
        }
        for kid in std::mem::take(&mut w.kids) {
            self.run(w.task, |world, by| world.free(by, kid));
        }
        let serves = w.client.task == w.task;
        if let Some(number) = w.behind.pop() {
            // The predecessor makes the next one's task, if the connection's does not.
            let makes = if w.client.task != 0 {
                w.client.task
            } else {
                w.task
            };
            let task = self.run(
                makes,
                |world, by| if serves { by.ctx } else { world.make(by) },
            );
            if !serves {
                self.run(self.base, |world, by| world.free(by, w.task));
            }
            self.work.push(Work {
                number,
                task,
                step: 0,
                ..w
            });
            return;
        }
        if !serves {
            self.run(self.base, |world, by| world.free(by, w.task));
        }
        if self.chance(9) {
            let conn = self.call(self.on(self.ticker), u64::MAX);
            self.is_answered(conn);
        }
        if let Some(stray) = self.strays.pop() {
            let kid = self.run(stray, |world, by| world.make(by));
            let conn = self.call(self.on(kid), u64::MAX);
            self.is_answered(conn);
            self.run(self.base, |world, by| {
                [kid, stray].iter().for_each(|ctx| world.free(by, *ctx))
            });
        }
        if self.chance(20) {
            self.run(w.client.reader, |world, by| world.close(by, w.client.conn));
            for ctx in [w.client.reader, w.client.task] {
                if ctx != 0 && ctx != self.listener {
                    self.run(self.base, |world, by| world.free(by, ctx));
                }
            }
        } else {
            w.client.owes = (w.kind == Kind::After).then_some(w.number);
            self.idle.push(w.client);
        }
    }

    pub(crate) fn serve(mut self, requests: u64, at_once: usize) -> Vec<(Span, Vec<Mark>)> {
        let mut scopes = Vec::new();
        while self.next < requests || !self.work.is_empty() {
            let may_begin = self.next < requests && self.work.len() < at_once;
            if may_begin && self.chance(40) {
                self.begin();
            } else if !self.work.is_empty() {
                let at = self.world.feed.random.between(0, self.work.len() as u64);
                self.step(at as usize);
            }
            scopes.extend(self.world.feed.scopes());
        }
        scopes.extend(self.world.feed.stop(5_000 * MS));
        assert_eq!(self.world.feed.engine.held_bytes(), 0, "{:?}", self.which);
        scopes
    }
}
