//! Marks of programs, and what they say of their own losses.

use super::values::{Packed, as_mark, marked};
use super::{
    Belongs, Found, Join, Known, Label, Made, NewMark, ProbeScope, Probes, Reached, Store, Text,
    evidence, label, named, readable,
};
use crate::id::Id;
use crate::scope::span::{Attrs, MarkKind, MarkValue};

impl Probes {
    /// `cirron:mark`.
    pub(super) fn tell_mark(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        let hit = at.hit;
        let text = |value, usual| -> Option<Text<'_>> { hit.text(known.text_index(value, usual)) };
        let name = readable(text(1, 0)).map(label);
        let value = hit.value(3).zip(hit.value(4));
        let value = value.and_then(|(kind, word)| marked(kind, word, text(4, 1)));
        let (Some(name), Some((value, kind)), Some(scope)) = (name, value, hit.value(0)) else {
            self.counts.unread += 1;
            return;
        };
        let has_some = hit.value(7).is_some_and(|len| len > 0);
        let packed = Packed::read(text(6, 2).filter(|_| has_some));
        self.counts.unread += u64::from(packed.is_broken);
        let said = Said {
            name,
            value,
            kind,
            attrs: packed.attrs,
        };
        if scope == 0 {
            let image = Some(known.image);
            return self.mark_place(said, at, image, store);
        }
        let key = (known.image, scope);
        let process = self.processes.get(&at.head.tgid);
        match process.map_or(Found::NotSeen, |process| process.find(key)) {
            Found::Open(scope, _) if process.is_some_and(|p| p.open_node(key) == Some(scope)) => {
                self.mark(said, scope, Belongs::Surely, at, store);
            }
            // It was written when it ended.
            Found::Open(..) | Found::Around(..) | Found::Ended => self.counts.marks_left_out += 1,
            Found::NotSeen => self.counts.unseen += 1,
        }
    }

    /// Another provider's probe: a mark.
    pub(super) fn point(&mut self, known: &Known, at: &Reached<'_>, store: &mut Store) {
        let (values, unread) = named(&known.slots, at.hit);
        self.counts.unread += unread;
        let mut values = values.into_iter();
        let value = match (known.slots.is_empty(), unread) {
            (true, _) => MarkValue::Int(1),
            // Which of them could not be read is not told here: the first is its value.
            (false, 0) => values.next().map_or(MarkValue::Int(1), |(_, v)| as_mark(v)),
            (false, _) => return,
        };
        let said = Said {
            name: known.name.clone(),
            value,
            kind: MarkKind::Point,
            attrs: values.collect(),
        };
        self.mark_place(said, at, None, store);
    }

    /// A mark of whatever the thread works for.
    fn mark_place(&mut self, said: Said, at: &Reached<'_>, image: Option<u64>, store: &mut Store) {
        if let Made::For { request, .. } = at.made {
            let judged = store.next_id();
            self.note(judged, Join::Presumed(evidence::CONTEXT_DESCENT), None);
            return self.mark(said, request, Belongs::Judged(judged), at, store);
        }
        match self.place(at, image) {
            (Some(scope), join) => {
                let is_presumed = matches!(join, Join::Presumed(_));
                let belongs = match is_presumed {
                    true => Belongs::Presumed,
                    false => Belongs::Surely,
                };
                self.mark(said, scope, belongs, at, store);
            }
            (None, _) => self.counts.marks_unplaced += 1,
        }
    }

    fn mark(
        &mut self,
        said: Said,
        scope: Id,
        belongs: Belongs,
        at: &Reached<'_>,
        store: &mut Store,
    ) {
        let Said {
            name,
            value,
            kind,
            attrs,
        } = said;
        let mark = NewMark {
            name,
            value,
            attrs,
            ts: at.head.ts,
            kind,
            belongs,
        };
        if !store.mark(scope, mark) {
            self.counts.marks_left_out += 1;
            if let Some(content) = store.get_mut::<ProbeScope>(scope) {
                content.marks_left_out += 1;
            }
        }
    }

    /// `cirron:dropped`: a file's copy of the library says how often it left something out so far. What came before the first
    /// time that it says so was before anybody listened.
    pub(super) fn tell_left_out(&mut self, known: &Known, at: &Reached<'_>) {
        let (Some(reason), Some(total)) = (at.hit.value(0), at.hit.value(1)) else {
            self.counts.unread += 1;
            return;
        };
        let reasons = &mut self.process(at.head.tgid).left_out;
        if reasons.len() >= MAX_REASONS && !reasons.contains_key(&(known.image, reason)) {
            self.counts.told_left_out += 1;
            return;
        }
        let before = reasons.insert((known.image, reason), total);
        let before = before.unwrap_or(total.saturating_sub(1));
        self.counts.told_left_out += total.saturating_sub(before);
    }
}

/// Reasons of one process's files whose totals are remembered: there are two for a file. Past it each time that one is said
/// counts once.
const MAX_REASONS: usize = 64;

/// What a mark says.
struct Said {
    name: Label,
    value: MarkValue,
    kind: MarkKind,
    attrs: Attrs,
}
