//! One TLS connection: which keys each direction is at, and what comes out.
//!
//! Each direction is read by itself, a record at a time; what one says of the other (suite, accepted early data) lets
//! the other go on, in whatever order the two were captured. A direction that lacks a secret keeps its bytes.
//!
//! ```text
//!   a direction of TLS 1.3:
//!
//!   CLEAR --ServerHello (server), first sealed record (client)--> SEALED(handshake)
//!     |                                          ^
//!     | client, early data offered               | EndOfEarlyData; or rejected: records
//!     v                                          | are left out until one opens
//!   SEALED(early) --accepted, secret--> OPEN(early)
//!
//!   SEALED(stage) --the set's secret, or a tag finds the set--> OPEN(stage)
//!   OPEN(handshake) --Finished--> SEALED(application) --secret--> OPEN(application)
//!   OPEN(application) --KeyUpdate--> OPEN(application), next generation
//!   OPEN --close_notify--> CLOSED
//! ```

use crate::counts::Counts;
use crate::hello::{ClientHello, ServerHello, accepts_early};
use crate::input::Input;
use crate::keys::Keys;
use crate::label::Label;
use crate::limits::{MAX_HELD_BYTES, MAX_TRIALS};
use crate::message::{
    CLIENT_HELLO, ENCRYPTED_EXTENSIONS, END_OF_EARLY_DATA, FINISHED, KEY_UPDATE, Message, Messages,
    SERVER_HELLO,
};
use crate::pool::{Asked, Pool, SetId};
use crate::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_BYTES, Header};
use crate::sink::{Dir, Reason, Sink, Verdict};
use crate::suite::{Suite, Version};

/// What is known of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The direction that the client sends in.
    pub client: Option<Dir>,
    /// The version that the server chose.
    pub version: Option<Version>,
    /// The suite that the server chose, by its number.
    pub suite: Option<u16>,
    /// A tag proved that secrets are this connection's.
    pub is_bound: bool,
}

/// See the module. `M` is what the caller gives with each piece, and gets back with the plaintext that it completed.
pub struct Connection<M> {
    halves: Halves<M>,
    hellos: Hellos,
    set: Option<SetId>,
    is_bound: bool,
    /// Directions that have no secret to take any more.
    complete: u8,
    counts: Counts,
    verdict: Option<Verdict>,
}

struct Halves<M> {
    sent: Half<M>,
    received: Half<M>,
}

impl<M> Halves<M> {
    fn of(&self, dir: Dir) -> &Half<M> {
        match dir {
            Dir::Sent => &self.sent,
            Dir::Received => &self.received,
        }
    }

    fn of_mut(&mut self, dir: Dir) -> &mut Half<M> {
        match dir {
            Dir::Sent => &mut self.sent,
            Dir::Received => &mut self.received,
        }
    }
}

/// What the hellos said.
#[derive(Default)]
struct Hellos {
    client_dir: Option<Dir>,
    client: Option<ClientHello>,
    server: Option<ServerHello>,
    suite: Option<Suite>,
    early: Early,
}

/// What became of early data.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Early {
    #[default]
    NotOffered,
    Offered,
    Accepted,
    Rejected,
}

/// A direction.
struct Half<M> {
    input: Input<M>,
    messages: Messages,
    state: State,
    /// Secrets up to this one were tried on it.
    tried: u64,
    /// A record was read.
    is_tls: bool,
}

enum State {
    /// Records are as they are.
    Clear,
    /// Records are sealed, and their keys are not known.
    Sealed(Stage),
    /// Records are sealed under these.
    Open(Stage, Box<Keys>),
    /// Nothing more is read.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Early,
    Handshake,
    Application,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Something was read.
    Read,
    /// Bytes, or a secret, or the other direction must come first.
    Wait,
}

impl<M: Copy> Connection<M> {
    /// One whose first bytes are the next that come, in both directions.
    #[must_use]
    pub fn new() -> Connection<M> {
        let half = || Half {
            input: Input::new(),
            messages: Messages::default(),
            state: State::Clear,
            tried: 0,
            is_tls: false,
        };
        Connection {
            halves: Halves {
                sent: half(),
                received: half(),
            },
            hellos: Hellos::default(),
            set: None,
            is_bound: false,
            complete: 0,
            counts: Counts::default(),
            verdict: None,
        }
    }

    /// Bytes of a direction, of which the first stands at `at` in the stream. What is missing before them is a hole.
    pub fn data(
        &mut self,
        dir: Dir,
        at: u64,
        bytes: &[u8],
        mark: M,
        pool: &mut Pool,
        out: &mut dyn Sink<M>,
    ) {
        if self.is_over(dir) {
            self.counts.unread_bytes += bytes.len() as u64;
            return;
        }
        let stale = self.halves.of_mut(dir).input.push(at, bytes, mark);
        self.counts.stale_bytes += stale as u64;
        self.read(pool, out);
    }

    /// Bytes of a direction that passed and that nobody will see here.
    pub fn gap(
        &mut self,
        dir: Dir,
        at: u64,
        len: u64,
        mark: M,
        pool: &mut Pool,
        out: &mut dyn Sink<M>,
    ) {
        if self.is_over(dir) {
            return;
        }
        self.halves.of_mut(dir).input.gap(at, len, mark);
        self.read(pool, out);
    }

    /// A secret came into the pool: what waits is tried again.
    pub fn secrets_came(&mut self, pool: &mut Pool, out: &mut dyn Sink<M>) {
        if self.waits() {
            self.read(pool, out);
        }
    }

    /// Whether a secret may let it go on.
    #[must_use]
    pub fn waits(&self) -> bool {
        let waits = |half: &Half<M>| match half.state {
            State::Sealed(_) => half.input.held() > 0,
            State::Clear | State::Open(..) | State::Closed => false,
        };
        self.verdict.is_none() && (waits(&self.halves.sent) || waits(&self.halves.received))
    }

    /// Nothing more will come. What waits is given up: a hole of unknown length.
    pub fn end(&mut self, mark: M, pool: &mut Pool, out: &mut dyn Sink<M>) {
        self.read(pool, out);
        for dir in [Dir::Sent, Dir::Received] {
            let half = self.halves.of_mut(dir);
            let left = half.input.clear();
            self.counts.unread_bytes += left;
            let lost = match half.state {
                State::Sealed(_) | State::Open(..) => left > 0,
                State::Clear | State::Closed => false,
            };
            half.state = State::Closed;
            if lost && self.verdict.is_none() {
                out.gap(dir, mark, None);
            }
        }
        self.let_go(pool);
    }

    /// What is known of it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            client: self.hellos.client_dir,
            version: self.hellos.server.and_then(|hello| hello.version),
            suite: self.hellos.server.map(|hello| hello.suite),
            is_bound: self.is_bound,
        }
    }

    /// Counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Why it is read no further, if it is not.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    fn is_over(&self, dir: Dir) -> bool {
        self.verdict.is_some() || matches!(self.halves.of(dir).state, State::Closed)
    }

    /// Reads on in both directions until neither can go on.
    fn read(&mut self, pool: &mut Pool, out: &mut dyn Sink<M>) {
        let mut stuck = 0;
        let mut dir = Dir::Sent;
        while stuck < 2 && self.verdict.is_none() {
            stuck += 1;
            while self.verdict.is_none() && self.step(dir, pool, out) == Step::Read {
                stuck = 0;
            }
            dir = dir.other();
        }
        let held = |half: &Half<M>| half.input.held() > MAX_HELD_BYTES;
        if held(&self.halves.sent) || held(&self.halves.received) {
            self.give_up(Verdict::GaveUp(Reason::NoSecret), pool, out);
        }
    }

    /// Reads one record of a direction.
    fn step(&mut self, dir: Dir, pool: &mut Pool, out: &mut dyn Sink<M>) -> Step {
        let half = self.halves.of_mut(dir);
        if matches!(half.state, State::Closed) {
            self.counts.unread_bytes += half.input.clear();
            return Step::Wait;
        }
        let front = half.input.front();
        let Some(bytes) = front.first_chunk::<HEADER_BYTES>() else {
            return self.fall(dir, out);
        };
        let Some(header) = Header::read(*bytes) else {
            return self.misread(dir, pool, out);
        };
        let whole = HEADER_BYTES + header.payload_len();
        if front.len() < whole {
            return self.fall(dir, out);
        }
        half.is_tls = true;
        match half.state {
            State::Clear => self.read_clear(dir, header, whole, pool, out),
            State::Sealed(stage) => self.unseal(dir, stage, header, whole, pool, out),
            State::Open(..) => self.open(dir, header, whole, pool, out),
            State::Closed => Step::Wait,
        }
    }

    /// The front has no whole record: more must come, or it is lost to a hole.
    fn fall(&mut self, dir: Dir, out: &mut dyn Sink<M>) -> Step {
        let half = self.halves.of_mut(dir);
        let Some((lost, mark)) = half.input.cross() else {
            return Step::Wait;
        };
        self.counts.holes += 1;
        self.counts.lost_bytes += lost;
        half.state = State::Closed;
        out.gap(dir, mark, None);
        Step::Read
    }

    /// What stands where a record should begin is none.
    fn misread(&mut self, dir: Dir, pool: &mut Pool, out: &mut dyn Sink<M>) -> Step {
        let verdict = if self.halves.of(dir).is_tls {
            Verdict::GaveUp(Reason::Hello)
        } else {
            Verdict::NotTls
        };
        self.give_up(verdict, pool, out);
        Step::Wait
    }

    /// A record before anything is sealed.
    fn read_clear(
        &mut self,
        dir: Dir,
        header: Header,
        whole: usize,
        pool: &mut Pool,
        out: &mut dyn Sink<M>,
    ) -> Step {
        let half = self.halves.of_mut(dir);
        if header.kind() == APPLICATION_DATA {
            let is_client = self.hellos.client_dir == Some(dir);
            let early = is_client && self.hellos.early != Early::NotOffered;
            half.state = State::Sealed(if early {
                Stage::Early
            } else {
                Stage::Handshake
            });
            return Step::Read;
        }
        let mut messages = Vec::new();
        if header.kind() == HANDSHAKE {
            let mut payload = half
                .input
                .front()
                .get(HEADER_BYTES..whole)
                .unwrap_or_default();
            loop {
                match half.messages.next(&mut payload) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(_) => {
                        self.give_up(Verdict::GaveUp(Reason::HelloTooLong), pool, out);
                        return Step::Wait;
                    }
                }
            }
        }
        half.input.take(whole);
        for message in messages {
            self.handle(dir, &message, pool, out);
        }
        Step::Read
    }

    /// A record whose keys are not known.
    fn unseal(
        &mut self,
        dir: Dir,
        stage: Stage,
        header: Header,
        whole: usize,
        pool: &mut Pool,
        out: &mut dyn Sink<M>,
    ) -> Step {
        if header.kind() == CHANGE_CIPHER_SPEC {
            self.halves.of_mut(dir).input.take(whole);
            return Step::Read;
        }
        if header.kind() == HANDSHAKE && self.hellos.client_dir == Some(dir) {
            // Another hello: the server asked for it, and with that has rejected the early data.
            self.halves.of_mut(dir).state = State::Clear;
            return Step::Read;
        }
        if header.kind() == ALERT {
            self.halves.of_mut(dir).state = State::Closed;
            return Step::Read;
        }
        if stage == Stage::Early {
            match self.hellos.early {
                Early::Offered => return Step::Wait,
                Early::Accepted => {}
                Early::NotOffered | Early::Rejected => {
                    self.halves.of_mut(dir).state = State::Sealed(Stage::Handshake);
                    return Step::Read;
                }
            }
        }
        let (Some(suite), Some(client)) = (self.hellos.suite, self.hellos.client_dir) else {
            return Step::Wait;
        };
        let is_client = dir == client;
        let label = match (stage, is_client) {
            (Stage::Early, _) => Label::ClientEarly,
            (Stage::Handshake, true) => Label::ClientHandshake,
            (Stage::Handshake, false) => Label::ServerHandshake,
            (Stage::Application, true) => Label::ClientTraffic,
            (Stage::Application, false) => Label::ServerTraffic,
        };
        let Some(set) = self.set else {
            return self.find_set(dir, suite, label, header, whole, pool, out);
        };
        let keys = match pool.secret(set, label) {
            Asked::Has(secret) => Keys::of_13(suite, secret),
            Asked::NotYet => return Step::Wait,
            Asked::Gone => {
                self.give_up(Verdict::GaveUp(Reason::NoSecret), pool, out);
                return Step::Wait;
            }
        };
        let Some(keys) = keys else {
            self.give_up(Verdict::GaveUp(Reason::NoMatch), pool, out);
            return Step::Wait;
        };
        let skips = is_client && stage == Stage::Handshake && self.hellos.early == Early::Rejected;
        let half = self.halves.of_mut(dir);
        if skips {
            let record = half.input.front().get(HEADER_BYTES..whole);
            let mut payload = record.unwrap_or_default().to_vec();
            if keys.open_as(0, header, &mut payload).is_none() {
                self.counts.rejected_early_bytes += whole as u64;
                half.input.take(whole);
                return Step::Read;
            }
        }
        half.state = State::Open(stage, Box::new(keys));
        half.messages.reset();
        if stage == Stage::Application {
            self.complete += 1;
            if self.complete == 2 {
                pool.release(set);
            }
        }
        Step::Read
    }

    /// Tries secrets of the pool on a direction's first sealed record.
    #[expect(clippy::too_many_arguments, reason = "one caller, which has them all")]
    fn find_set(
        &mut self,
        dir: Dir,
        suite: Suite,
        label: Label,
        header: Header,
        whole: usize,
        pool: &mut Pool,
        out: &mut dyn Sink<M>,
    ) -> Step {
        let half = self.halves.of_mut(dir);
        let sealed = half
            .input
            .front()
            .get(HEADER_BYTES..whole)
            .unwrap_or_default();
        let random = self.hellos.client.map(|hello| hello.random);
        let mut payload = Vec::with_capacity(sealed.len());
        let mut found = None;
        let mut exhausted = false;
        for (id, secret) in pool.candidates(label, random, half.tried) {
            let Some(keys) = Keys::of_13(suite, secret) else {
                continue;
            };
            if self.counts.trials >= u64::from(MAX_TRIALS) {
                exhausted = true;
                break;
            }
            self.counts.trials += 1;
            payload.clear();
            payload.extend_from_slice(sealed);
            if keys.open_as(0, header, &mut payload).is_some() {
                found = Some(id);
                break;
            }
        }
        half.tried = pool.stamp();
        if exhausted {
            self.give_up(Verdict::GaveUp(Reason::NoMatch), pool, out);
            return Step::Wait;
        }
        let Some(id) = found else {
            return Step::Wait;
        };
        pool.bind(id);
        self.set = Some(id);
        self.is_bound = true;
        Step::Read
    }

    /// A record whose keys are known.
    fn open(
        &mut self,
        dir: Dir,
        header: Header,
        whole: usize,
        pool: &mut Pool,
        out: &mut dyn Sink<M>,
    ) -> Step {
        let half = self.halves.of_mut(dir);
        if header.kind() == CHANGE_CIPHER_SPEC {
            half.input.take(whole);
            return Step::Read;
        }
        let mark = half.input.mark_at(whole);
        let State::Open(stage, keys) = &mut half.state else {
            return Step::Wait;
        };
        let record = half.input.front_mut(whole).unwrap_or_default();
        let payload = record.get_mut(HEADER_BYTES..).unwrap_or_default();
        let (Some(plain), Some(mark)) = (keys.open(header, payload), mark) else {
            self.counts.failed_records += 1;
            half.state = State::Closed;
            if let Some(mark) = mark {
                out.gap(dir, mark, None);
            }
            return Step::Read;
        };
        self.counts.records += 1;
        let bytes = plain.of(payload);
        let mut messages = Vec::new();
        let mut ends = false;
        match plain.kind {
            APPLICATION_DATA if *stage != Stage::Handshake && !bytes.is_empty() => {
                self.counts.plaintext_bytes += bytes.len() as u64;
                out.plaintext(dir, mark, bytes);
            }
            HANDSHAKE => {
                let mut bytes = bytes;
                while let Ok(Some(message)) = half.messages.next(&mut bytes) {
                    messages.push(message);
                }
            }
            ALERT => {
                // Level and description; all but a close are fatal, and say no end.
                ends = true;
                if matches!(bytes, [_, 0]) {
                    out.close_notify(dir, mark);
                }
            }
            _ => {}
        }
        half.input.take(whole);
        if ends {
            half.state = State::Closed;
        }
        for message in messages {
            self.handle(dir, &message, pool, out);
        }
        Step::Read
    }

    /// A handshake message ended.
    fn handle(&mut self, dir: Dir, message: &Message, pool: &mut Pool, out: &mut dyn Sink<M>) {
        let half = self.halves.of_mut(dir);
        match (message.kind, &half.state) {
            (CLIENT_HELLO, State::Clear) => match ClientHello::read(&message.body) {
                Some(hello) => {
                    // Behind a request for another hello no early data is sent.
                    self.hellos.early = match (self.hellos.client, hello.offers_early) {
                        (None, true) => Early::Offered,
                        (_, false) | (Some(_), true) => Early::NotOffered,
                    };
                    self.hellos.client = Some(hello);
                    self.hellos.client_dir = Some(dir);
                }
                None => self.give_up(Verdict::GaveUp(Reason::Hello), pool, out),
            },
            (SERVER_HELLO, State::Clear) => self.handle_server_hello(dir, message, pool, out),
            (ENCRYPTED_EXTENSIONS, State::Open(Stage::Handshake, _))
                if self.hellos.early == Early::Offered =>
            {
                self.hellos.early = if accepts_early(&message.body) {
                    Early::Accepted
                } else {
                    Early::Rejected
                };
            }
            (END_OF_EARLY_DATA, State::Open(Stage::Early, _)) => {
                half.state = State::Sealed(Stage::Handshake);
            }
            (FINISHED, State::Open(Stage::Handshake, _)) => {
                half.state = State::Sealed(Stage::Application);
            }
            (KEY_UPDATE, State::Open(Stage::Application, keys)) => {
                half.state = match keys.next() {
                    Some(next) => State::Open(Stage::Application, Box::new(next)),
                    None => State::Closed,
                };
            }
            _ => {}
        }
    }

    fn handle_server_hello(
        &mut self,
        dir: Dir,
        message: &Message,
        pool: &mut Pool,
        out: &mut dyn Sink<M>,
    ) {
        let Some(hello) = ServerHello::read(&message.body) else {
            self.give_up(Verdict::GaveUp(Reason::Hello), pool, out);
            return;
        };
        self.hellos.client_dir = Some(dir.other());
        if hello.is_retry {
            if self.hellos.early == Early::Offered {
                self.hellos.early = Early::Rejected;
            }
            return;
        }
        self.hellos.server = Some(hello);
        let reason = match hello.version {
            Some(Version::Tls13) => match Suite::by_id_13(hello.suite) {
                Some(suite) => {
                    self.hellos.suite = Some(suite);
                    self.halves.of_mut(dir).state = State::Sealed(Stage::Handshake);
                    return;
                }
                None => Reason::Suite(hello.suite),
            },
            Some(Version::Tls12) => Reason::Suite(hello.suite),
            None => Reason::Version,
        };
        self.give_up(Verdict::GaveUp(reason), pool, out);
    }

    /// It is read no further.
    fn give_up(&mut self, verdict: Verdict, pool: &mut Pool, out: &mut dyn Sink<M>) {
        for dir in [Dir::Sent, Dir::Received] {
            let half = self.halves.of_mut(dir);
            self.counts.unread_bytes += half.input.clear();
            half.state = State::Closed;
        }
        self.let_go(pool);
        if self.verdict.is_none() {
            self.verdict = Some(verdict);
            out.verdict(verdict);
        }
    }

    /// Its set is needed no more.
    fn let_go(&mut self, pool: &mut Pool) {
        if let Some(set) = self.set.take() {
            if self.complete < 2 {
                pool.release(set);
            }
            pool.forget(set);
        }
    }
}

impl<M: Copy> Default for Connection<M> {
    fn default() -> Connection<M> {
        Connection::new()
    }
}
