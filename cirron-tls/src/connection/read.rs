//! Records, one after the other, of a direction that has no hole before them.

use super::{Connection, Early, Half, Stage, State, Step, With};
use crate::counts::Counts;
use crate::keys::Plain;
use crate::limits::MAX_HELD_BYTES;
use crate::message::{Message, Messages};
use crate::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_BYTES, Header};
use crate::sink::{Dir, Reason, Sink, Verdict};
use crate::suite::Version;

/// What a record that was opened is to change.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) messages: Vec<Message>,
    /// What follows is sealed under other keys (TLS 1.2).
    pub(super) changes_keys: bool,
    /// Nothing follows.
    pub(super) ends: bool,
}

impl<M: Copy> Connection<M> {
    /// Reads on in both directions until neither can go on.
    pub(super) fn read(&mut self, with: &mut With<'_, M>) {
        let mut stuck = 0;
        let mut dir = Dir::Sent;
        while stuck < 2 && self.verdict.is_none() {
            stuck += 1;
            while self.verdict.is_none() && self.step(dir, with) == Step::Read {
                stuck = 0;
            }
            dir = dir.other();
        }
        let held = |half: &Half<M>| half.input.held() > MAX_HELD_BYTES;
        if held(&self.halves.sent) || held(&self.halves.received) {
            let reason = if self.hellos.server.is_none() {
                Reason::HelloLost
            } else {
                Reason::NoSecret
            };
            self.give_up(Verdict::GaveUp(reason), with);
        }
    }

    /// Reads one record of a direction.
    fn step(&mut self, dir: Dir, with: &mut With<'_, M>) -> Step {
        let half = self.halves.half_mut(dir);
        if matches!(half.state, State::Closed) {
            self.counts.unread_bytes += half.input.clear();
            return Step::Wait;
        }
        if half.lost.is_some() {
            return self.seek(dir, with);
        }
        let front = half.input.front();
        let Some(bytes) = front.first_chunk::<HEADER_BYTES>() else {
            return self.fall(dir);
        };
        let Some(header) = Header::read(*bytes) else {
            return self.misread(dir, with);
        };
        let whole = HEADER_BYTES + header.payload_len();
        if front.len() < whole {
            return self.fall(dir);
        }
        half.is_tls = true;
        match half.state {
            State::Clear => self.read_clear(dir, header, whole, with),
            State::Sealed(stage) => self.unseal(dir, stage, header, whole, with),
            State::Open(stage, _) => self.open(dir, stage, header, whole, with),
            State::Closed => Step::Wait,
        }
    }

    /// What stands where a record should begin is none.
    fn misread(&mut self, dir: Dir, with: &mut With<'_, M>) -> Step {
        let half = self.halves.half(dir);
        let verdict = match (&half.state, half.is_tls) {
            (State::Sealed(_) | State::Open(..), _) => return self.lose(dir, 0),
            (State::Clear | State::Closed, true) => Verdict::GaveUp(Reason::Hello),
            (State::Clear | State::Closed, false) => Verdict::NotTls,
        };
        self.give_up(verdict, with);
        Step::Wait
    }

    /// A record before anything is sealed.
    fn read_clear(
        &mut self,
        dir: Dir,
        header: Header,
        whole: usize,
        with: &mut With<'_, M>,
    ) -> Step {
        let is_retried = self.hellos.is_retried;
        let half = self.halves.half_mut(dir);
        let is_unknown = self.hellos.suite.is_none();
        let is_12 = (self.hellos.suite).is_some_and(|suite| suite.version == Version::Tls12);
        match header.kind() {
            APPLICATION_DATA => {
                let is_client = self.hellos.client_dir == Some(dir);
                let early = is_client && self.hellos.early() != Early::NotOffered;
                half.state = match (is_12, early) {
                    (true, _) => State::Sealed(Stage::Tls12),
                    (false, true) => State::Sealed(Stage::Early),
                    (false, false) => State::Sealed(Stage::Handshake),
                };
                return Step::Read;
            }
            CHANGE_CIPHER_SPEC if is_12 => half.state = State::Sealed(Stage::Tls12),
            CHANGE_CIPHER_SPEC if is_unknown => {
                // What follows says whether it means something: sealed data, a version that has no such message; a
                // hello, or the end of a handshake of TLS 1.2, and the server's hello says which.
                match half.input.front().get(whole) {
                    Some(&HANDSHAKE) if !is_retried => return Step::Wait,
                    Some(_) => {}
                    None => return Step::Wait,
                }
            }
            _ => {}
        }
        let mut messages = Vec::new();
        if header.kind() == HANDSHAKE {
            let front = half.input.front().get(HEADER_BYTES..whole);
            let mut payload = front.unwrap_or_default();
            loop {
                match half.messages.next(&mut payload) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(_) => {
                        self.give_up(Verdict::GaveUp(Reason::HelloTooLong), with);
                        return Step::Wait;
                    }
                }
            }
        }
        half.input.take(whole);
        for message in messages {
            self.handle(dir, &message, with);
        }
        Step::Read
    }

    /// A record whose keys are known.
    fn open(
        &mut self,
        dir: Dir,
        stage: Stage,
        header: Header,
        whole: usize,
        with: &mut With<'_, M>,
    ) -> Step {
        let half = self.halves.half_mut(dir);
        if header.kind() == CHANGE_CIPHER_SPEC && stage != Stage::Tls12 {
            half.input.take(whole);
            return Step::Read;
        }
        let mark = half.input.mark_at(whole);
        let State::Open(_, keys) = &mut half.state else {
            return Step::Wait;
        };
        let (Some(mark), Some(record)) = (mark, half.input.front_mut(whole)) else {
            return Step::Wait;
        };
        let payload = record.get_mut(HEADER_BYTES..).unwrap_or_default();
        let mut copy = Vec::new();
        // In a handshake whose Finished was lost it may be sealed under the next keys: it is kept as it is.
        let is_kept = stage == Stage::Handshake;
        let opened = if is_kept {
            keys.open_copy(header, payload, &mut copy)
        } else {
            keys.open(header, payload)
        };
        let Some(plain) = opened else {
            self.counts.failed_records += 1;
            if is_kept {
                return self.lose(dir, 0);
            }
            half.input.take(whole);
            return self.lose(dir, whole as u64);
        };
        let bytes = plain.bytes_in(if is_kept { &copy } else { payload });
        let given = Given { dir, mark, stage };
        let changes = given.give(plain, bytes, &mut half.messages, &mut self.counts, with.out);
        half.has_data |= plain.kind == APPLICATION_DATA;
        half.input.take(whole);
        self.apply(dir, changes, with);
        Step::Read
    }

    /// What a record changes.
    pub(super) fn apply(&mut self, dir: Dir, changes: Changes, with: &mut With<'_, M>) {
        let half = self.halves.half_mut(dir);
        if changes.ends {
            half.state = State::Closed;
        }
        if changes.changes_keys {
            half.state = State::Sealed(Stage::Tls12);
            half.has_data = false;
        }
        for message in changes.messages {
            self.handle(dir, &message, with);
        }
    }
}

/// Where a record belongs that was opened.
pub(super) struct Given<M> {
    pub(super) dir: Dir,
    pub(super) mark: M,
    pub(super) stage: Stage,
}

impl<M: Copy> Given<M> {
    /// Gives what it says to whom it concerns.
    pub(super) fn give(
        &self,
        plain: Plain,
        bytes: &[u8],
        messages: &mut Messages,
        counts: &mut Counts,
        out: &mut dyn Sink<M>,
    ) -> Changes {
        let mut changes = Changes::default();
        counts.records += 1;
        match plain.kind {
            APPLICATION_DATA if self.stage != Stage::Handshake && !bytes.is_empty() => {
                counts.plaintext_bytes += bytes.len() as u64;
                out.plaintext(self.dir, self.mark, bytes);
            }
            HANDSHAKE => {
                let mut bytes = bytes;
                while let Ok(Some(message)) = messages.next(&mut bytes) {
                    // Keys change with the record that says so.
                    if !bytes.is_empty() && message.kind == crate::message::KEY_UPDATE {
                        continue;
                    }
                    changes.messages.push(message);
                }
            }
            ALERT => {
                // Level and description. All but a close and, in TLS 1.2, warnings are the end, without saying one.
                let is_warning =
                    self.stage == Stage::Tls12 && matches!(bytes, [1, what] if *what != 0);
                changes.ends = !is_warning;
                if matches!(bytes, [_, 0]) {
                    out.close_notify(self.dir, self.mark);
                }
            }
            CHANGE_CIPHER_SPEC => changes.changes_keys = self.stage == Stage::Tls12,
            _ => {}
        }
        changes
    }
}
