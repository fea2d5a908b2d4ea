//! Whose secrets a direction's first sealed record needs: a set that is known, or a trial that the tag decides.

use super::{Connection, Early, Stage, State, Step, With};
use crate::keys::{Agreed12, Keys, Side};
use crate::label::Label;
use crate::limits::MAX_TRIALS;
use crate::pool::{Asked, Pool};
use crate::record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_BYTES, Header};
use crate::secret::Secret;
use crate::sink::{Dir, Reason, Verdict};
use crate::suite::{Suite, Version};

/// The secret of a stage of TLS 1.3 in a direction.
pub(super) fn label(stage: Stage, is_client: bool) -> Option<Label> {
    match (stage, is_client) {
        (Stage::Early, true) => Some(Label::ClientEarly),
        (Stage::Handshake, true) => Some(Label::ClientHandshake),
        (Stage::Handshake, false) => Some(Label::ServerHandshake),
        (Stage::Application, true) => Some(Label::ClientTraffic),
        (Stage::Application, false) => Some(Label::ServerTraffic),
        (Stage::Early, false) | (Stage::Tls12, _) => None,
    }
}

impl<M: Copy> Connection<M> {
    /// A record whose keys are not known.
    pub(super) fn unseal(
        &mut self,
        dir: Dir,
        stage: Stage,
        header: Header,
        whole: usize,
        with: &mut With<'_, M>,
    ) -> Step {
        if stage == Stage::Tls12 {
            return self.unseal_12(dir, header, whole, with);
        }
        let is_client = self.hellos.client_dir == Some(dir);
        let half = self.halves.half_mut(dir);
        match header.kind() {
            CHANGE_CIPHER_SPEC => {
                half.input.take(whole);
                return Step::Read;
            }
            // Another hello: the server asked for it, and with that has rejected the early data.
            HANDSHAKE if is_client && stage != Stage::Application => {
                half.state = State::Clear;
                return Step::Read;
            }
            ALERT => {
                half.state = State::Closed;
                return Step::Read;
            }
            _ => {}
        }
        if stage == Stage::Early {
            match self.hellos.early() {
                Early::Offered => return Step::Wait,
                Early::Accepted => {}
                Early::NotOffered | Early::Rejected => {
                    if let Some(mark) = half.input.mark_at(whole)
                        && self.hellos.is_early_unknown
                    {
                        with.out.gap(dir, mark, None);
                    }
                    half.state = State::Sealed(Stage::Handshake);
                    return Step::Read;
                }
            }
        }
        let (Some(suite), Some(label)) = (self.hellos.suite, label(stage, is_client)) else {
            return Step::Wait;
        };
        let Some(set) = self.set else {
            return self.find_set(dir, suite, label, header, whole, with);
        };
        let keys = match with.pool.secret(set, label) {
            Asked::Has(secret) => Keys::of_13(suite, secret),
            Asked::NotYet => return Step::Wait,
            Asked::Gone => {
                self.give_up(Verdict::GaveUp(Reason::NoSecret), with);
                return Step::Wait;
            }
        };
        let Some(mut keys) = keys else {
            self.give_up(Verdict::GaveUp(Reason::NoMatch), with);
            return Step::Wait;
        };
        if is_client && stage == Stage::Handshake && self.hellos.early() == Early::Rejected {
            let record = half.input.front().get(HEADER_BYTES..whole);
            let record = record.unwrap_or_default();
            if keys.open_copy(header, record, &mut Vec::new()).is_none() {
                self.counts.rejected_early_bytes += whole as u64;
                half.input.take(whole);
                return Step::Read;
            }
            keys.rewind();
        }
        self.open_with(dir, stage, keys, with.pool);
        Step::Read
    }

    /// A direction's keys are known from here on.
    pub(super) fn open_with(&mut self, dir: Dir, stage: Stage, keys: Keys, pool: &mut Pool) {
        let half = self.halves.half_mut(dir);
        half.state = State::Open(stage, Box::new(keys));
        half.messages.reset();
        half.has_data = false;
        half.may_have_early &= stage == Stage::Early;
        if stage == Stage::Application {
            self.complete += 1;
            if let Some(set) = self.set
                && self.complete == 2
            {
                pool.release(set);
            }
        }
    }

    /// Tries secrets of the pool on a direction's first sealed record.
    fn find_set(
        &mut self,
        dir: Dir,
        suite: Suite,
        label: Label,
        header: Header,
        whole: usize,
        with: &mut With<'_, M>,
    ) -> Step {
        let half = self.halves.half_mut(dir);
        let sealed = half.input.front().get(HEADER_BYTES..whole);
        let sealed = sealed.unwrap_or_default();
        let random = self.hellos.client.map(|hello| hello.random);
        let mut copy = Vec::with_capacity(sealed.len());
        let mut found = None;
        for (id, secret) in with.pool.candidates(label, random, half.tried) {
            let Some(mut keys) = Keys::of_13(suite, secret) else {
                continue;
            };
            self.counts.trials += 1;
            if keys.open_copy(header, sealed, &mut copy).is_some() {
                found = Some(id);
                break;
            }
            if self.counts.trials >= MAX_TRIALS {
                break;
            }
        }
        half.tried = with.pool.stamp();
        match found {
            Some(id) => {
                with.pool.bind(id);
                self.set = Some(id);
                self.is_bound = true;
                Step::Read
            }
            None => self.not_found(with),
        }
    }

    /// No secret fits: another must come, unless too many have been tried.
    pub(super) fn not_found(&mut self, with: &mut With<'_, M>) -> Step {
        if self.counts.trials >= MAX_TRIALS {
            self.give_up(Verdict::GaveUp(Reason::NoMatch), with);
        }
        Step::Wait
    }

    /// A record of TLS 1.2 behind a ChangeCipherSpec.
    fn unseal_12(
        &mut self,
        dir: Dir,
        header: Header,
        whole: usize,
        with: &mut With<'_, M>,
    ) -> Step {
        let half = self.halves.half_mut(dir);
        if header.kind() == CHANGE_CIPHER_SPEC && half.ready.is_none() {
            half.input.take(whole);
            return Step::Read;
        }
        if let Some(keys) = half.ready.take() {
            self.open_with(dir, Stage::Tls12, *keys, with.pool);
            return Step::Read;
        }
        let sealed = half.input.front().get(HEADER_BYTES..whole);
        let sealed = sealed.unwrap_or_default().to_vec();
        let first =
            |keys: &mut Keys, copy: &mut Vec<u8>| keys.open_copy(header, &sealed, copy).is_some();
        match self.find_master(dir, with.pool, first) {
            Some(mut keys) => {
                keys.rewind();
                self.open_with(dir, Stage::Tls12, keys, with.pool);
                Step::Read
            }
            None => self.not_found(with),
        }
    }

    /// Tries masters by what `opens` says of a direction's keys. The other direction gets its own.
    pub(super) fn find_master(
        &mut self,
        dir: Dir,
        pool: &Pool,
        mut opens: impl FnMut(&mut Keys, &mut Vec<u8>) -> bool,
    ) -> Option<Keys> {
        let (suite, agreed) = self.agreed_12()?;
        // The other direction's last keys have not been taken: it must go on first.
        if self.halves.half(dir.other()).ready.is_some() {
            return None;
        }
        let side = if self.hellos.client_dir == Some(dir) {
            Side::Client
        } else {
            Side::Server
        };
        let half = self.halves.half_mut(dir);
        let mut copy = Vec::new();
        let mut found: Option<(Keys, Secret)> = None;
        for master in pool.masters(agreed.client_random, self.hellos.is_full, half.tried) {
            let Some(mut keys) = Keys::of_12(suite, &agreed, master, side) else {
                continue;
            };
            self.counts.trials += 1;
            if opens(&mut keys, &mut copy) {
                found = Some((keys, master.copy()));
                break;
            }
            if self.counts.trials >= MAX_TRIALS {
                break;
            }
        }
        half.tried = pool.stamp();
        let (keys, master) = found?;
        // The next handshake inside tries all again.
        half.tried = 0;
        let other = Keys::of_12(suite, &agreed, &master, side.other())?;
        let half = self.halves.half_mut(dir.other());
        half.ready = Some(Box::new(other));
        half.tried = 0;
        self.is_bound = true;
        Some(keys)
    }

    /// What both hellos of one handshake of TLS 1.2 said.
    pub(super) fn agreed_12(&self) -> Option<(Suite, Agreed12)> {
        let suite = self.hellos.suite?;
        let (client, server) = (self.hellos.client?, self.hellos.server?);
        if suite.version != Version::Tls12 || self.hellos.of_client != self.hellos.of_server {
            return None;
        }
        let agreed = Agreed12 {
            client_random: client.random,
            server_random: server.random,
            encrypt_then_mac: server.encrypt_then_mac,
        };
        Some((suite, agreed))
    }
}
