//! Clients, servers and their processes: who asks what, when, and how each connection ends.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use cirron_common::record::close;
use cirron_core::engine::EngineStats;
use cirron_core::time::MS;

use super::kernel::{Actor, Kernel, OVERTAKING_NS};
use super::random::Random;
use super::shell::Shell;

/// Processes that serve.
const WORKERS: u64 = 16;
/// Between two looks of the shell at all that is open, as the agent has it.
const LOOK_NS: u64 = 5_000 * MS;
/// Until the end of a process whose record was lost is noticed.
const PROCFS_NS: u64 = 1_000 * MS;
/// A batch of the ring.
const BATCH_NS: u64 = 10 * MS;

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) connections: u64,
    /// Connections that are open at a time, about.
    pub(crate) at_a_time: u64,
    /// Connections that the kernel side knows at a time. Without a bound nothing else goes wrong either.
    pub(crate) kernel_room: usize,
    pub(crate) max_memory_bytes: usize,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) stats: EngineStats,
    pub(crate) dropped: u64,
    kernel_evicted: u64,
    pub(crate) asked: u64,
    /// Exchanges of connections of which nothing was lost, and those of them that were written whole.
    clean: u64,
    clean_whole: u64,
    /// All that were written whole.
    pub(crate) whole: u64,
    written_twice: u64,
    /// An answer was written as that of another request, which was said to be whole; or partial.
    mispaired: [u64; 2],
    /// They were answered to the end, the end was told, and somebody was said to have aborted them.
    said_aborted: usize,
    idle_at_the_end: usize,
    open_too_long: usize,
    closed_though_idle: usize,
    peak_held: usize,
    max_memory: usize,
    left: usize,
    contexts_left: usize,
    contexts_seen: usize,
    lost_bytes: u64,
    ends_lost: u64,
    evicted: u64,
    connections: u64,
}

impl Report {
    /// Every sum is what was kept by hand.
    pub(crate) fn assert_exact(&self) {
        let stats = self.stats;
        assert_eq!(stats.connections, self.connections);
        assert_eq!(stats.lost_bytes, self.lost_bytes);
        assert_eq!(stats.stale_bytes, 0);
        assert_eq!(stats.ends_lost, self.ends_lost);
        assert_eq!(stats.evicted_connections, self.evicted);
        assert_eq!(stats.bad_records, 0);
        assert_eq!(
            self.clean_whole, self.clean,
            "what nothing was lost of is whole"
        );
        assert_eq!(self.written_twice, 0);
        assert_eq!(self.mispaired[0], 0);
        // Of an answer the rest, of the next request all, of its answer the head was lost: what goes on is taken for the
        // same answer, and partial.
        assert!(self.mispaired[1] * 10_000 <= self.asked, "{self:#?}");
        assert_eq!(self.said_aborted, 0);
        assert_eq!(self.closed_though_idle, 0);
        self.assert_bounded();
    }

    pub(crate) fn assert_bounded(&self) {
        assert_eq!(self.open_too_long, 0);
        assert_eq!(self.left, 0, "bytes held behind the end");
        assert_eq!(self.contexts_left, 0, "contexts known behind the end");
        assert!(self.contexts_seen > 0);
        // As it was behind each record.
        assert!(
            self.peak_held <= self.max_memory,
            "{} bytes",
            self.peak_held
        );
    }

    /// What this is a test of did take place.
    pub(crate) fn assert_happened(&self) {
        let stats = self.stats;
        for count in [
            self.dropped,
            self.kernel_evicted,
            stats.lost_bytes,
            stats.holes,
            stats.reordered_records,
            stats.ends_lost,
            stats.evicted_connections,
            stats.llm_calls,
        ] {
            assert!(count > 10, "{self:#?}");
        }
        assert!(self.idle_at_the_end > 0, "{self:#?}");
        assert!(self.clean * 2 > self.asked, "{self:#?}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Ask,
    /// The whole answer at once.
    Whole,
    /// The head of a streamed one.
    Head,
    Answer {
        event: u64,
    },
    End,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    actor: Actor,
    exchange: u64,
    exchanges: u64,
    events: u64,
    /// Bytes have moved.
    has_moved: bool,
    /// Nothing of it was lost.
    is_clean: bool,
    /// It stays, idle, to the end.
    stays: bool,
}

struct World {
    random: Random,
    kernel: Kernel,
    shell: Shell,
    connections: BTreeMap<u64, Connection>,
    /// Where something is: who holds it.
    places: BTreeMap<(u64, bool), u64>,
    steps: BinaryHeap<Reverse<(u64, u64)>>,
    next_steps: BTreeMap<u64, Act>,
    workers: Vec<u32>,
    next_tgid: u32,
    /// Processes whose exit nobody told, and when that is noticed.
    vanished: Vec<(u64, u32)>,
    free_places: BTreeSet<u64>,
    next_place: u64,
    next_id: u64,
    clean: BTreeSet<String>,
    answered: BTreeSet<String>,
    asked: u64,
    now: u64,
}

pub(crate) fn simulate(seed: u64, shape: Shape) -> Report {
    let is_faulty = shape.kernel_room != usize::MAX;
    let mut random = Random::new(seed);
    let kernel = Kernel::new(shape.kernel_room, is_faulty, Random::new(seed ^ 1));
    let mut world = World {
        kernel,
        shell: Shell::new(shape.max_memory_bytes),
        connections: BTreeMap::new(),
        places: BTreeMap::new(),
        steps: BinaryHeap::new(),
        next_steps: BTreeMap::new(),
        workers: Vec::new(),
        next_tgid: 1_000,
        vanished: Vec::new(),
        free_places: BTreeSet::new(),
        next_place: 1,
        next_id: 0,
        clean: BTreeSet::new(),
        answered: BTreeSet::new(),
        asked: 0,
        now: 1_000 * MS,
        random: random.clone(),
    };
    for _ in 0..WORKERS {
        world.start_worker();
    }
    let mut batch_due = world.now + BATCH_NS;
    let mut look_due = world.now + LOOK_NS;
    let mut restart_due = world.now + 4_000 * MS;
    // A connection lives about two seconds.
    let gap = (2_000 * MS / shape.at_a_time).max(2);
    let mut arrival_due = world.now;
    let mut settle_until = None;
    loop {
        let step_due = world.steps.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        let arrives = world.next_id < shape.connections;
        let arrival = if arrives { arrival_due } else { u64::MAX };
        let next = step_due.min(arrival).min(batch_due).min(look_due);
        world.now = next.max(world.now + 1);
        if !arrives && world.steps.is_empty() {
            // Two looks, and what lingers behind them.
            let until = *settle_until.get_or_insert(world.now + 2 * LOOK_NS + 2_000 * MS);
            if world.now >= until {
                break;
            }
        }
        if next == arrival {
            arrival_due = world.now + random.between(1, 2 * gap);
            world.arrive(is_faulty);
        } else if next == step_due {
            world
                .steps
                .pop()
                .into_iter()
                .for_each(|Reverse((_, id))| world.step(id));
        } else if next == look_due {
            look_due += LOOK_NS;
            world.look();
        } else {
            batch_due += BATCH_NS;
            world.batch();
        }
        if is_faulty && arrives && world.now >= restart_due {
            restart_due = world.now + random.between(1_000, 8_000) * MS;
            world.restart();
        }
    }
    world.report(shape)
}

impl World {
    fn start_worker(&mut self) {
        self.next_tgid += 1;
        self.workers.push(self.next_tgid);
        self.shell.introduce(self.next_tgid);
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn arrive(&mut self, is_faulty: bool) {
        let id = self.next_id;
        self.next_id += 1;
        let is_socket = !self.random.one_in_a_million(150_000);
        let worker = self.random.between(0, WORKERS) as usize;
        // Numbers and addresses are given again.
        let again = self.random.one_in_a_million(300_000);
        let place = again.then(|| self.free_places.pop_first()).flatten();
        let place = place.unwrap_or_else(|| {
            self.next_place += 1;
            self.next_place
        });
        let actor = Actor {
            place,
            tgid: self.workers[worker],
            is_socket,
        };
        self.kernel.renews(actor);
        self.places.insert((place, is_socket), id);
        let connection = Connection {
            id,
            actor,
            exchange: 0,
            exchanges: self.random.between(1, 4),
            events: 0,
            has_moved: false,
            is_clean: true,
            stays: is_faulty && self.random.one_in_a_million(10_000),
        };
        self.connections.insert(id, connection);
        self.plan(id, Act::Ask, 1, 5);
    }

    fn plan(&mut self, id: u64, step: Act, low_ms: u64, high_ms: u64) {
        let wait = self.random.between(low_ms * MS, high_ms * MS);
        self.steps.push(Reverse((self.now + wait, id)));
        self.next_steps.insert(id, step);
    }

    fn transfer(&mut self, id: u64, inbound: bool, bytes: &[u8]) {
        let ts = self.tick();
        if let Some(c) = self.connections.get_mut(&id) {
            let is_whole = self
                .kernel
                .transfer(ts, c.actor, c.has_moved, inbound, bytes);
            c.is_clean &= is_whole;
            c.has_moved = true;
        }
    }

    fn step(&mut self, id: u64) {
        // Its process may have ended.
        let (Some(step), Some(c)) = (self.next_steps.remove(&id), self.connections.get(&id)) else {
            return;
        };
        let (exchange, events) = (c.exchange, c.events);
        match step {
            Act::Ask => self.ask(id, exchange),
            Act::Whole => {
                let body = format!(
                    r#"{{"id":"{id}/{exchange}","object":"chat.completion","choices":[]}}"#
                );
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                self.transfer(id, false, answer.as_bytes());
                self.answered(id);
            }
            Act::Head => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
                self.transfer(id, false, head.as_bytes());
                // Some models think for longer than the kernel side remembers.
                let slow = self.random.one_in_a_million(5_000);
                let (low, high) = if slow { (2_000, 15_000) } else { (0, 200) };
                self.plan(id, Act::Answer { event: 0 }, low, high);
            }
            Act::Answer { event } if event < events => {
                let data = format!(
                    "data: {{\"id\":\"{id}/{exchange}\",\"choices\":[{{\"delta\":{{\"content\":\"{event}\"}}}}]}}\n\n"
                );
                let chunk = format!("{:x}\r\n{data}\r\n", data.len());
                self.transfer(id, false, chunk.as_bytes());
                self.plan(id, Act::Answer { event: event + 1 }, 0, 60);
            }
            Act::Answer { .. } => {
                self.transfer(id, false, b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
                self.answered(id);
            }
            Act::End => self.end(id),
        }
    }

    fn ask(&mut self, id: u64, exchange: u64) {
        self.asked += 1;
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
        let length = body.len();
        let request = format!(
            "POST /c/{id}/{exchange}/v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        // One in five comes in two pieces.
        let cut = if self.random.one_in_a_million(200_000) {
            40
        } else {
            request.len()
        };
        let (first, rest) = request.as_bytes().split_at(cut);
        self.transfer(id, true, first);
        if !rest.is_empty() {
            self.transfer(id, true, rest);
        }
        let events = self.random.between(1, 6);
        if let Some(c) = self.connections.get_mut(&id) {
            c.events = events;
        }
        if self.random.one_in_a_million(500_000) {
            self.plan(id, Act::Whole, 0, 50);
        } else {
            self.plan(id, Act::Head, 0, 50);
        }
    }

    fn answered(&mut self, id: u64) {
        let Some(c) = self.connections.get_mut(&id) else {
            return;
        };
        let path = format!("/c/{}/{}/v1/chat/completions", c.id, c.exchange);
        self.answered.insert(path);
        c.exchange += 1;
        let (is_last, stays) = (c.exchange == c.exchanges, c.stays);
        if !is_last {
            self.plan(id, Act::Ask, 3, 900);
        } else if !stays {
            self.plan(id, Act::End, 3, 900);
        }
    }

    fn end(&mut self, id: u64) {
        let Some(c) = self.connections.remove(&id) else {
            return;
        };
        let whys: &[u64] = if !c.actor.is_socket {
            &[close::LOCAL_CLOSE]
        } else {
            match self.random.between(0, 5) {
                0 => &[close::PEER_FIN, close::LOCAL_CLOSE],
                1 => &[close::LOCAL_SHUT_WRITE, close::PEER_FIN],
                2 => &[close::PEER_RESET],
                3 => &[close::READ_EOF, close::LOCAL_CLOSE],
                _ => &[close::LOCAL_CLOSE],
            }
        };
        let mut is_told = true;
        for why in whys {
            let ts = self.tick();
            is_told &= self.kernel.ends(ts, c.actor, *why);
        }
        self.is_gone(&c, is_told);
    }

    /// Nobody holds it any more. `is_told`: every record of its end was put into the ring, and so was how much had passed.
    fn is_gone(&mut self, c: &Connection, is_told: bool) {
        if !is_told {
            for n in 0..c.exchange {
                let path = format!("/c/{}/{n}/v1/chat/completions", c.id);
                self.answered.remove(&path);
            }
        }
        self.kernel.frees(c.actor);
        self.places.remove(&(c.actor.place, c.actor.is_socket));
        self.free_places.insert(c.actor.place);
        self.note_clean(c);
    }

    fn note_clean(&mut self, c: &Connection) {
        if c.is_clean {
            let paths = (0..c.exchange).map(|n| format!("/c/{}/{n}/v1/chat/completions", c.id));
            self.clean.extend(paths);
        }
    }

    /// A worker ends, and another takes its place.
    fn restart(&mut self) {
        let worker = self.random.between(0, WORKERS) as usize;
        let tgid = self.workers.swap_remove(worker);
        let its = self.connections.values().filter(|c| c.actor.tgid == tgid);
        for id in its.map(|c| c.id).collect::<Vec<_>>() {
            if let Some(c) = self.connections.remove(&id) {
                let ts = self.tick();
                let is_told =
                    c.actor.is_socket && self.kernel.ends(ts, c.actor, close::LOCAL_CLOSE);
                self.is_gone(&c, is_told);
            }
        }
        let ts = self.tick();
        if !self.kernel.exits(ts, tgid) {
            self.vanished.push((ts + PROCFS_NS, tgid));
        }
        self.start_worker();
    }

    fn batch(&mut self) {
        let now = self.now;
        while let Some(record) = self.kernel.take(now) {
            self.shell.take(&record);
        }
        let watermark = now - OVERTAKING_NS;
        for (_, tgid) in self.vanished.extract_if(.., |(at, _)| *at <= watermark) {
            self.shell.exits(tgid, watermark);
        }
        self.shell.time(watermark);
    }

    /// The shell asks now, and hands on what it found when it has read what came before.
    fn look(&mut self) {
        let asked_at = self.tick();
        self.now += OVERTAKING_NS;
        self.batch();
        let (kernel, places) = (&self.kernel, &self.places);
        self.shell.look(asked_at, |actor, epoch| {
            let lives = places.contains_key(&(actor.place, actor.is_socket));
            kernel.ask(actor, epoch, lives)
        });
    }

    fn report(mut self, shape: Shape) -> Report {
        self.batch();
        // What has no end yet must be there, and what is there and known must have none.
        let staying = self.connections.values().filter(|c| c.stays);
        let places: BTreeSet<u64> = staying.map(|c| c.actor.place).collect();
        let mut open: Vec<_> = self.shell.engine.open_sockets().collect();
        open.extend(self.shell.engine.open_objects().map(|(key, _)| key));
        let open_too_long = open.iter().filter(|key| !places.contains(&key.0)).count();
        let expected = self.shell.expected.open_ones();
        let closed_though_idle = expected.iter().filter(|key| !open.contains(key)).count();
        for c in std::mem::take(&mut self.connections).into_values() {
            self.note_clean(&c);
        }
        self.now += 1_000 * MS;
        self.shell.shut_down(self.now);
        let written = &self.shell.written;
        let is_whole = |(count, is_whole): &(u32, bool)| *count == 1 && *is_whole;
        let clean_whole = self
            .clean
            .iter()
            .filter(|path| written.get(*path).is_some_and(is_whole));
        let expected = &self.shell.expected;
        Report {
            stats: self.shell.engine.stats(),
            dropped: self.kernel.dropped,
            kernel_evicted: self.kernel.evicted,
            asked: self.asked,
            clean: self.clean.len() as u64,
            clean_whole: clean_whole.count() as u64,
            whole: written.values().filter(|w| is_whole(w)).count() as u64,
            mispaired: self.shell.mispaired,
            written_twice: written.values().filter(|(count, _)| *count > 1).count() as u64,
            said_aborted: self.answered.intersection(&self.shell.aborted).count(),
            idle_at_the_end: open.len(),
            open_too_long,
            closed_though_idle,
            peak_held: self.shell.peak_held,
            max_memory: shape.max_memory_bytes,
            left: self.shell.engine.held_bytes(),
            contexts_left: self.shell.engine.known_contexts(),
            contexts_seen: self.shell.most_contexts,
            lost_bytes: expected.lost_bytes,
            ends_lost: expected.ends_lost,
            evicted: expected.evicted,
            connections: expected.connections,
        }
    }
}
