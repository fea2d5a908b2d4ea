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
//!
//!   of TLS 1.2:
//!
//!   CLEAR --ChangeCipherSpec--> SEALED(1.2) --a tag finds the master--> OPEN(1.2)
//!   OPEN(1.2) --ChangeCipherSpec (renegotiation)--> SEALED(1.2)
//!
//!   OPEN --close_notify--> CLOSED
//!   any --hole, or a record that its keys do not open--> the same, LOST (`seek.rs`)
//! ```
//!
//! `read.rs` reads records, `handshake.rs` what the messages in them change, `bind.rs` finds whose secrets they need.

mod bind;
mod handshake;
mod read;
mod seek;

use crate::counts::Counts;
use crate::hello::{ClientHello, ServerHello};
use crate::input::Input;
use crate::keys::Keys;
use crate::message::Messages;
use crate::pool::{Pool, SetId};
use crate::sink::{Dir, Sink, Verdict};
use crate::suite::{Suite, Version};
use seek::Lost;

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
    fn half(&self, dir: Dir) -> &Half<M> {
        match dir {
            Dir::Sent => &self.sent,
            Dir::Received => &self.received,
        }
    }

    fn half_mut(&mut self, dir: Dir) -> &mut Half<M> {
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
    /// The client sends early data.
    offers_early: bool,
    /// What the server said of it.
    accepts_early: Option<bool>,
    /// That was lost: its early data is left out, as a gap.
    is_early_unknown: bool,
    /// The server asked for another hello.
    is_retried: bool,
    /// Hellos of each that were read: a renegotiation of TLS 1.2 brings more.
    of_client: u32,
    of_server: u32,
    /// TLS 1.2: keys were exchanged, so that no session is resumed.
    is_full: bool,
}

/// What became of early data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Early {
    NotOffered,
    Offered,
    Accepted,
    Rejected,
}

impl Hellos {
    fn early(&self) -> Early {
        match (self.offers_early, self.accepts_early) {
            (false, _) => Early::NotOffered,
            (true, None) => Early::Offered,
            (true, Some(true)) => Early::Accepted,
            (true, Some(false)) => Early::Rejected,
        }
    }
}

/// A direction.
struct Half<M> {
    input: Input<M>,
    messages: Messages,
    state: State,
    /// Secrets up to this one were tried on its first sealed record.
    tried: u64,
    /// A record was read.
    is_tls: bool,
    /// Application data came out of these keys, so that no ticket is expected any more.
    has_data: bool,
    /// No keys but those of early data were used.
    may_have_early: bool,
    /// TLS 1.2: its keys, where the other direction found the master.
    ready: Option<Box<Keys>>,
    lost: Option<Lost<M>>,
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
    /// All of TLS 1.2.
    Tls12,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Something was read.
    Read,
    /// Bytes, or a secret, or the other direction must come first.
    Wait,
}

/// What a call brought with it.
struct With<'a, M> {
    pool: &'a mut Pool,
    out: &'a mut dyn Sink<M>,
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
            has_data: false,
            may_have_early: true,
            ready: None,
            lost: None,
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

    /// One that has begun long ago: no hello will come, and its first bytes may be inside of a record. It is read
    /// once its pool has its traffic secrets of TLS 1.3 ([`crate::Label::ClientTraffic`],
    /// [`crate::Label::ServerTraffic`]), which somebody found elsewhere; who is the client comes out of them. What
    /// was before is no gap but for the record that the first bytes cut.
    #[must_use]
    pub fn late(mark: M) -> Connection<M> {
        let mut connection = Connection::new();
        for dir in [Dir::Sent, Dir::Received] {
            let half = connection.halves.half_mut(dir);
            half.state = State::Sealed(Stage::Application);
            half.may_have_early = false;
            half.lost = Some(Lost::late(mark));
        }
        connection
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
        let stale = self.halves.half_mut(dir).input.push(at, bytes, mark);
        self.counts.stale_bytes += stale as u64;
        self.read(&mut With { pool, out });
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
        self.halves.half_mut(dir).input.gap(at, len, mark);
        self.read(&mut With { pool, out });
    }

    /// A secret came into the pool: what waits is tried again.
    pub fn secrets_came(&mut self, pool: &mut Pool, out: &mut dyn Sink<M>) {
        if self.waits() {
            self.read(&mut With { pool, out });
        }
    }

    /// Whether a secret may let it go on.
    #[must_use]
    pub fn waits(&self) -> bool {
        let waits = |half: &Half<M>| match half.state {
            State::Sealed(_) => half.input.held() > 0,
            State::Clear | State::Open(..) => half.lost.is_some() && half.input.held() > 0,
            State::Closed => false,
        };
        self.verdict.is_none() && (waits(&self.halves.sent) || waits(&self.halves.received))
    }

    /// Bytes that it holds: of records that are not whole, or that wait.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.halves.sent.input.held() + self.halves.received.input.held()
    }

    /// Nothing more will come. What waits is given up: a hole of unknown length.
    pub fn end(&mut self, mark: M, pool: &mut Pool, out: &mut dyn Sink<M>) {
        self.read(&mut With { pool, out });
        for dir in [Dir::Sent, Dir::Received] {
            let half = self.halves.half_mut(dir);
            let left = half.input.clear();
            self.counts.unread_bytes += left;
            let is_open = half.is_tls && !matches!(half.state, State::Closed);
            let lost = half.lost.take();
            half.state = State::Closed;
            half.ready = None;
            if let Some(lost) = &lost {
                self.counts.lost_bytes += lost.bytes;
            }
            if (left > 0 && is_open || lost.is_some()) && self.verdict.is_none() {
                out.gap(dir, lost.map_or(mark, |lost| lost.mark), None);
            }
        }
        self.let_go(pool);
    }

    /// What is known of it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            client: self.hellos.client_dir,
            version: self.hellos.suite.map(|suite| suite.version),
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
        self.verdict.is_some() || matches!(self.halves.half(dir).state, State::Closed)
    }

    /// It is read no further.
    fn give_up(&mut self, verdict: Verdict, with: &mut With<'_, M>) {
        for dir in [Dir::Sent, Dir::Received] {
            let half = self.halves.half_mut(dir);
            self.counts.unread_bytes += half.input.clear();
            half.state = State::Closed;
            half.ready = None;
            half.lost = None;
        }
        self.let_go(with.pool);
        if self.verdict.is_none() {
            self.verdict = Some(verdict);
            with.out.verdict(verdict);
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

impl<M: Copy> std::fmt::Debug for Connection<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("facts", &self.facts())
            .field("counts", &self.counts)
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

impl<M: Copy> Default for Connection<M> {
    fn default() -> Connection<M> {
        Connection::new()
    }
}
