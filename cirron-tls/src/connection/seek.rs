//! Behind a hole: where the next record begins, and which number it has.
//!
//! A candidate is a header that can be one and whose record is whole. Keys are tried on it with the numbers that
//! fit what was lost: those of now, then those that may have followed inside the hole (the next stage's, the next
//! generations'). The tag proves header, keys and number together.
//!
//! ```text
//!   LOST --candidate, a tag fits--> as before, with a gap of the plaintext before it
//!     | \--candidate, none fits--> the next byte
//!     | \--candidate, and a secret is missing--> waits
//!     \--32 MiB were tried--> given up
//! ```
//!
//! The length of the gap is exact where all of the hole was sealed under one generation's keys and each record has
//! the same overhead: then it is what was lost, less as many overheads as numbers are missing. That is wrong where
//! the hole has padding (no library here pads), a key update that returned to the same keys (there is none), or a
//! message that is no data (a ticket, a renegotiation); so before the server's first data, when tickets come, it is
//! not said.

use super::bind::label;
use super::read::Given;
use super::{Connection, Early, Stage, State, Step, With};
use crate::keys::{Budget, Keys, Plain};
use crate::limits::{MAX_PAYLOAD_BYTES, MAX_SEARCH_BYTES, MAX_TRIALS, MAX_UPDATES_IN_A_HOLE};
use crate::pool::{Asked, Pool, SetId};
use crate::record::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HEADER_BYTES, Header};
use crate::sink::{Dir, Reason, Verdict};
use crate::suite::{Suite, Version};

/// Bytes of the plaintext of a Finished of TLS 1.2, the first record under its keys.
const FINISHED_12_BYTES: u64 = 16;

/// Bytes of the longest record.
const LONGEST_RECORD_BYTES: u64 = (HEADER_BYTES + MAX_PAYLOAD_BYTES) as u64;

/// A direction that lost its place.
pub(super) struct Lost<M> {
    /// Of the hole.
    pub(super) mark: M,
    /// Bytes since the last record that was read, up to the front of the input.
    pub(super) bytes: u64,
    /// Bytes of the front where no record begins.
    looked: usize,
    budget: Budget,
    /// Nothing was read before: any number may be the next.
    is_late: bool,
}

impl<M> Lost<M> {
    fn at(mark: M) -> Lost<M> {
        Lost {
            mark,
            bytes: 0,
            looked: 0,
            budget: Budget {
                bytes: MAX_SEARCH_BYTES,
                tries: 0,
            },
            is_late: false,
        }
    }

    /// Of a connection joined late.
    pub(super) fn late(mark: M) -> Lost<M> {
        Lost {
            is_late: true,
            ..Lost::at(mark)
        }
    }
}

/// What became of a candidate.
enum Tried {
    /// It is none, or none of these keys is its.
    No,
    /// A secret that may be its has not come.
    Wait,
    /// It is a record, and with it the place is found.
    Found(Found),
}

struct Found {
    stage: Stage,
    keys: Keys,
    plain: Plain,
    copy: Vec<u8>,
    gap: Gap,
    set: Option<(SetId, Suite)>,
}

/// Plaintext that was lost.
#[derive(Clone, Copy)]
enum Gap {
    None,
    Exactly(u64),
    Unknown,
}

impl<M: Copy> Connection<M> {
    /// The front of a direction has no whole record: more must come, or it is lost to the hole behind it.
    pub(super) fn fall(&mut self, dir: Dir) -> Step {
        let Some((bytes, mark)) = self.halves.half_mut(dir).input.cross() else {
            return Step::Wait;
        };
        self.counts.holes += 1;
        self.lost(dir, bytes, mark);
        Step::Read
    }

    /// The next record of a direction is none, or cannot be opened; `bytes` of it have been taken.
    pub(super) fn lose(&mut self, dir: Dir, bytes: u64) -> Step {
        let input = &self.halves.half(dir).input;
        // Of what was taken the mark is gone; the next is no earlier.
        if let Some(mark) = input.mark_at(1).or_else(|| input.last_mark()) {
            self.lost(dir, bytes, mark);
        }
        Step::Read
    }

    fn lost(&mut self, dir: Dir, bytes: u64, mark: M) {
        let half = self.halves.half_mut(dir);
        let lost = half.lost.get_or_insert_with(|| Lost::at(mark));
        lost.bytes += bytes;
        lost.looked = 0;
        half.messages.reset();
    }

    /// Looks for the next record of a direction that lost its place.
    pub(super) fn seek(&mut self, dir: Dir, with: &mut With<'_, M>) -> Step {
        let half = self.halves.half_mut(dir);
        let Some(lost) = &mut half.lost else {
            return Step::Wait;
        };
        let front = half.input.front();
        let is_holed = half.input.is_holed();
        let rest = front.get(lost.looked..).unwrap_or_default();
        let next = rest
            .windows(HEADER_BYTES)
            .position(|bytes| Header::read_any(bytes).is_some());
        let Some(ahead) = next else {
            // A header may begin in the last bytes.
            let kept = if is_holed { 0 } else { HEADER_BYTES - 1 };
            let none = front.len().saturating_sub(kept);
            lost.bytes += none as u64;
            lost.looked = 0;
            half.input.take(none);
            return self.fall(dir);
        };
        lost.looked += ahead;
        let at = lost.looked;
        let rest = front.get(at..).unwrap_or_default();
        let header = rest.get(..HEADER_BYTES).and_then(Header::read_any);
        let whole = HEADER_BYTES + header.map_or(0, Header::payload_len);
        let (Some(header), Some(sealed)) = (header, rest.get(HEADER_BYTES..whole)) else {
            if !is_holed {
                return Step::Wait;
            }
            lost.looked += 1;
            return Step::Read;
        };
        let was = match &half.state {
            State::Open(stage, _) => Some(*stage),
            State::Clear | State::Sealed(_) | State::Closed => None,
        };
        let sealed = sealed.to_vec();
        let bytes = lost.bytes + at as u64;
        let mut budget = Budget {
            bytes: lost.budget.bytes,
            tries: 0,
        };
        let is_late = lost.is_late;
        let mut attempt = Attempt {
            header,
            sealed: &sealed,
            bytes,
            budget: &mut budget,
            is_late,
        };
        let tried = self.try_candidate(dir, &mut attempt, with.pool);
        self.counts.searched += budget.tries;
        let half = self.halves.half_mut(dir);
        let Some(lost) = &mut half.lost else {
            return Step::Wait;
        };
        lost.budget.bytes = budget.bytes;
        match tried {
            Tried::Found(found) => self.found(dir, was, found, bytes, at + whole, with),
            Tried::Wait => self.not_found(with),
            Tried::No if budget.bytes < LONGEST_RECORD_BYTES => {
                self.give_up(Verdict::GaveUp(Reason::Lost), with);
                Step::Wait
            }
            Tried::No => {
                lost.looked += 1;
                half.tried = 0;
                Step::Read
            }
        }
    }

    /// The place is found: `bytes` were lost before the record, which ends at `end` of the front.
    fn found(
        &mut self,
        dir: Dir,
        was: Option<Stage>,
        found: Found,
        bytes: u64,
        end: usize,
        with: &mut With<'_, M>,
    ) -> Step {
        let half = self.halves.half_mut(dir);
        let Some(lost) = half.lost.take() else {
            return Step::Wait;
        };
        self.counts.lost_bytes += bytes;
        let mark = half.input.mark_at(end).unwrap_or(lost.mark);
        half.input.take(end);
        half.is_tls = true;
        match found.gap {
            Gap::None => {}
            Gap::Exactly(len) => with.out.gap(dir, lost.mark, Some(len)),
            Gap::Unknown => with.out.gap(dir, lost.mark, None),
        }
        let Found {
            stage,
            keys,
            plain,
            copy,
            set,
            ..
        } = found;
        if let Some((id, suite)) = set {
            with.pool.bind(id);
            self.set = Some(id);
            self.is_bound = true;
            self.hellos.suite = Some(suite);
        }
        if was == Some(stage) {
            self.halves.half_mut(dir).state = State::Open(stage, Box::new(keys));
        } else {
            self.open_with(dir, stage, keys, with.pool);
        }
        if stage == Stage::Application {
            self.settle_early(dir, with.pool);
        }
        let half = self.halves.half_mut(dir);
        let given = Given { dir, mark, stage };
        let bytes = plain.bytes_in(&copy);
        let changes = given.give(plain, bytes, &mut half.messages, &mut self.counts, with.out);
        half.has_data |= plain.kind == APPLICATION_DATA;
        self.apply(dir, changes, with);
        Step::Read
    }

    /// Tries the keys that a record behind `bytes` lost ones may have.
    fn try_candidate(&mut self, dir: Dir, attempt: &mut Attempt<'_>, pool: &Pool) -> Tried {
        let bytes = attempt.bytes;
        let is_client = self.hellos.client_dir == Some(dir);
        let half = self.halves.half_mut(dir);
        match std::mem::replace(&mut half.state, State::Closed) {
            State::Open(stage, mut keys) => {
                let number = keys.number();
                let opened = attempt.ahead(&mut keys);
                if let Some((at, plain, copy)) = opened {
                    let settled = is_client || half.has_data || stage == Stage::Tls12;
                    let gap = match stage {
                        Stage::Handshake => Gap::None,
                        _ if !settled && at > number => Gap::Unknown,
                        Stage::Early | Stage::Application | Stage::Tls12 => {
                            lost_plaintext(&keys, bytes, number, at)
                        }
                    };
                    return Tried::Found(Found {
                        stage,
                        keys: *keys,
                        plain,
                        copy,
                        gap,
                        set: None,
                    });
                }
                let tried = match stage {
                    Stage::Application => attempt.later_generations(&keys),
                    Stage::Early | Stage::Handshake => {
                        self.try_stages(behind(stage), dir, attempt, pool)
                    }
                    Stage::Tls12 => self.try_master(dir, attempt, pool),
                };
                self.halves.half_mut(dir).state = State::Open(stage, keys);
                tried
            }
            state @ State::Sealed(stage) => {
                half.state = state;
                match stage {
                    Stage::Tls12 => self.try_master(dir, attempt, pool),
                    Stage::Early | Stage::Handshake | Stage::Application => {
                        self.try_stages(from(stage), dir, attempt, pool)
                    }
                }
            }
            State::Clear => {
                half.state = State::Clear;
                self.try_clear(dir, attempt, pool)
            }
            State::Closed => Tried::No,
        }
    }

    /// A hole in what is not sealed: hellos, certificates, a ChangeCipherSpec.
    fn try_clear(&mut self, dir: Dir, attempt: &mut Attempt<'_>, pool: &Pool) -> Tried {
        let version = self.hellos.suite.map(|suite| suite.version);
        let is_data = attempt.header.kind() == APPLICATION_DATA;
        if version == Some(Version::Tls12) {
            let is_change =
                attempt.header.bytes == [CHANGE_CIPHER_SPEC, 3, 3, 0, 1] && attempt.sealed == [1];
            if is_change {
                let half = self.halves.half_mut(dir);
                half.state = State::Sealed(Stage::Tls12);
                return Tried::No;
            }
            return if is_data {
                self.try_master(dir, attempt, pool)
            } else {
                Tried::No
            };
        }
        if !is_data {
            return Tried::No;
        }
        // Where both hellos were lost, the secret that opens a record says whose it is.
        let other = self.halves.half(dir.other());
        if self.hellos.client_dir.is_none() && other.lost.is_none() {
            return Tried::Wait;
        }
        // The server's hello says the suite; where it was lost, all are tried.
        if self.hellos.client_dir == Some(dir) && self.hellos.suite.is_none() {
            return Tried::Wait;
        }
        self.try_stages(from(Stage::Early), dir, attempt, pool)
    }

    /// Secrets of these stages of TLS 1.3: of the connection's set, or of all in the pool.
    fn try_stages(
        &mut self,
        stages: &[Stage],
        dir: Dir,
        attempt: &mut Attempt<'_>,
        pool: &Pool,
    ) -> Tried {
        if attempt.header.kind() != APPLICATION_DATA {
            return Tried::No;
        }
        if self.hellos.client_dir.is_none() {
            // Joined late: the secret that opens it says whose it is.
            let since = self.halves.half(dir).tried;
            for client_dir in [dir, dir.other()] {
                self.hellos.client_dir = Some(client_dir);
                let tried = self.try_stages(stages, dir, attempt, pool);
                if matches!(tried, Tried::Found(_)) {
                    return tried;
                }
                self.hellos.client_dir = None;
                self.halves.half_mut(dir).tried = since;
            }
            self.halves.half_mut(dir).tried = pool.stamp();
            return Tried::Wait;
        }
        let is_client = self.hellos.client_dir == Some(dir);
        let mut is_missing = false;
        // Data that a client sends early is before all others.
        let may_lack_early = is_client
            && self.halves.half(dir).may_have_early
            && (self.hellos.client.is_none() || self.hellos.offers_early);
        for stage in stages {
            let Some(label) = label(*stage, is_client) else {
                continue;
            };
            if *stage == Stage::Early && self.hellos.accepts_early != Some(true) {
                is_missing |= self.hellos.early() == Early::Offered;
                continue;
            }
            let random = self.hellos.client.map(|hello| hello.random);
            let candidates: Vec<_> = match self.set {
                Some(set) => match pool.secret(set, label) {
                    Asked::Has(secret) => vec![(set, secret)],
                    Asked::NotYet => {
                        is_missing |= *stage != Stage::Early;
                        continue;
                    }
                    Asked::Gone => continue,
                },
                None => {
                    is_missing = true;
                    let since = self.halves.half(dir).tried;
                    pool.candidates(label, random, since).collect()
                }
            };
            for (id, secret) in candidates {
                for suite in Suite::of_secret_len(secret.len()) {
                    if self.hellos.suite.is_some_and(|known| known != suite) {
                        continue;
                    }
                    let Some(mut keys) = Keys::of_13(suite, secret) else {
                        continue;
                    };
                    if self.set.is_none() {
                        if self.counts.trials >= MAX_TRIALS {
                            return Tried::Wait;
                        }
                        self.counts.trials += 1;
                    }
                    let set = self.set.is_none().then_some((id, suite));
                    if let Some((at, plain, copy)) = attempt.ahead(&mut keys) {
                        let gap = match stage {
                            _ if attempt.is_late && attempt.bytes == 0 => Gap::None,
                            Stage::Handshake if !may_lack_early => Gap::None,
                            Stage::Application if at == 0 && !may_lack_early => Gap::None,
                            Stage::Early if at == 0 => Gap::None,
                            Stage::Early | Stage::Handshake | Stage::Application | Stage::Tls12 => {
                                Gap::Unknown
                            }
                        };
                        return Tried::Found(Found {
                            stage: *stage,
                            keys,
                            plain,
                            copy,
                            gap,
                            set,
                        });
                    }
                    if *stage == Stage::Application
                        && self.set.is_some()
                        && let found @ Tried::Found(_) = attempt.later_generations(&keys)
                    {
                        return found;
                    }
                }
            }
        }
        if self.set.is_none() {
            self.halves.half_mut(dir).tried = pool.stamp();
        }
        if is_missing { Tried::Wait } else { Tried::No }
    }

    /// Masters of TLS 1.2, or the keys that the other direction found.
    fn try_master(&mut self, dir: Dir, attempt: &mut Attempt<'_>, pool: &Pool) -> Tried {
        if self.agreed_12().is_none() {
            // A renegotiation whose hellos were lost.
            return Tried::No;
        }
        let mut opened = None;
        let ready = self.halves.half_mut(dir).ready.take();
        let was_ready = ready.is_some();
        let keys = match ready {
            Some(mut keys) => {
                opened = attempt.ahead(&mut keys);
                if opened.is_none() {
                    self.halves.half_mut(dir).ready = Some(keys);
                    None
                } else {
                    Some(*keys)
                }
            }
            None => self.find_master(dir, pool, |keys, _| {
                opened = attempt.ahead(keys);
                opened.is_some()
            }),
        };
        match (keys, opened) {
            (Some(keys), Some((at, plain, copy))) => Tried::Found(Found {
                stage: Stage::Tls12,
                keys,
                plain,
                copy,
                gap: if at > 1 { Gap::Unknown } else { Gap::None },
                set: None,
            }),
            _ if was_ready || self.is_bound => Tried::No,
            _ => Tried::Wait,
        }
    }
}

/// The stages of TLS 1.3 from one on.
fn from(stage: Stage) -> &'static [Stage] {
    match stage {
        Stage::Early => &[Stage::Early, Stage::Handshake, Stage::Application],
        Stage::Handshake => &[Stage::Handshake, Stage::Application],
        Stage::Application => &[Stage::Application],
        Stage::Tls12 => &[],
    }
}

/// Those behind one.
fn behind(stage: Stage) -> &'static [Stage] {
    from(stage).split_first().map_or(&[], |(_, behind)| behind)
}

/// Plaintext between the record before `number` and the one with `at`, which had `bytes`.
fn lost_plaintext(keys: &Keys, bytes: u64, number: u64, at: u64) -> Gap {
    let (lost, suite) = (at - number, keys.suite());
    let finished = if suite.version == Version::Tls12 && number == 0 && at > 0 {
        FINISHED_12_BYTES
    } else {
        0
    };
    let plaintext = suite
        .overhead()
        .and_then(|overhead| bytes.checked_sub(lost.checked_mul(overhead)?))
        .and_then(|plaintext| plaintext.checked_sub(finished));
    match plaintext {
        Some(0) => Gap::None,
        Some(len) => Gap::Exactly(len),
        None => Gap::Unknown,
    }
}

/// A candidate.
struct Attempt<'a> {
    header: Header,
    sealed: &'a [u8],
    bytes: u64,
    budget: &'a mut Budget,
    is_late: bool,
}

impl Attempt<'_> {
    /// Keys, with each number that fits what was lost.
    fn ahead(&mut self, keys: &mut Keys) -> Option<(u64, Plain, Vec<u8>)> {
        let number = keys.number();
        let least = if number == 0 {
            0
        } else {
            self.bytes.div_ceil(LONGEST_RECORD_BYTES)
        };
        let most = if self.is_late {
            keys.farthest()
        } else {
            self.bytes / keys.suite().shortest()
        };
        let mut copy = Vec::new();
        let numbers = number.checked_add(least)?..=number.checked_add(most)?;
        if numbers.is_empty() {
            return None;
        }
        let found = keys.find(numbers, self.header, self.sealed, &mut copy, self.budget);
        found.map(|(at, plain)| (at, plain, copy))
    }

    /// The generations that follow these keys.
    fn later_generations(&mut self, keys: &Keys) -> Tried {
        let mut next = keys.next();
        for _ in 0..MAX_UPDATES_IN_A_HOLE {
            let Some(mut keys) = next else {
                break;
            };
            if let Some((_, plain, copy)) = self.ahead(&mut keys) {
                return Tried::Found(Found {
                    stage: Stage::Application,
                    keys,
                    plain,
                    copy,
                    gap: Gap::Unknown,
                    set: None,
                });
            }
            next = keys.next();
        }
        Tried::No
    }
}
