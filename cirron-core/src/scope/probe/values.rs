//! What stands in a hit: names, values and attributes, as scopes and marks have them.
//!
//! All of it is a stranger's memory: lengths are checked, texts are cleaned and cut ([`Label::foreign`]), what does not fit
//! is counted by the caller. A value that could not be read is absent.

use cirron_common::hit::form;

use crate::limits::MAX_PROBE_ATTRS;
use crate::record::{Hit, Text};
use crate::scope::label::Label;
use crate::scope::span::{AttrValue, Attrs, MarkKind, MarkValue, text};

/// Attributes as the provider `cirron` packs them (`docs/probes.md`).
#[derive(Debug, Default, PartialEq)]
pub(super) struct Packed {
    pub(super) attrs: Attrs,
    pub(super) index: Option<i64>,
    /// How many had no room: there, or here.
    pub(super) left_out: u32,
    /// An entry did not fit, or the bytes were not all there.
    pub(super) is_broken: bool,
}

// Kinds of its entries; those of a mark's value are the same numbers.
const KIND_INT: u8 = 1;
const KIND_FLOAT: u8 = 2;
const KIND_BOOL: u8 = 3;
const KIND_TEXT: u8 = 4;
const KIND_UINT: u8 = 5;
const KIND_INDEX: u8 = 6;
const KIND_LEFT_OUT: u8 = 127;

impl Packed {
    pub(super) fn read(packed: Option<Text<'_>>) -> Packed {
        let mut out = Packed::default();
        let Some(packed) = packed else {
            return out;
        };
        out.is_broken = packed.fault || packed.len as usize > packed.bytes.len();
        let mut rest = packed.bytes;
        while let Some((&[kind, key_len, low, high], more)) = rest.split_first_chunk() {
            let value_len = usize::from(u16::from_ne_bytes([low, high]));
            let entry = more.split_at_checked(usize::from(key_len));
            let entry =
                entry.and_then(|(key, more)| Some((key, more.split_at_checked(value_len)?)));
            let Some((key, (value, more))) = entry else {
                out.is_broken = true;
                return out;
            };
            rest = more;
            out.take(kind, key, value);
        }
        out.is_broken |= !rest.is_empty();
        out
    }

    fn take(&mut self, kind: u8, key: &[u8], value: &[u8]) {
        let word = || value.try_into().ok().map(u64::from_ne_bytes);
        match kind {
            KIND_INDEX => self.index = word().map(u64::cast_signed).or(self.index),
            KIND_LEFT_OUT => {
                let count = value.try_into().ok().map(u32::from_ne_bytes);
                self.left_out = self.left_out.saturating_add(count.unwrap_or_default());
            }
            KIND_INT => self.put(key, word().map(|word| AttrValue::Int(word.cast_signed()))),
            KIND_FLOAT => self.put(key, word().map(float)),
            KIND_BOOL => self.put(key, value.first().map(|v| AttrValue::Bool(*v != 0))),
            KIND_TEXT => self.put(key, Some(text(&String::from_utf8_lossy(value)))),
            KIND_UINT => self.put(key, word().map(uint)),
            // Of a later version.
            _ => {}
        }
    }

    fn put(&mut self, key: &[u8], value: Option<AttrValue>) {
        let Some(value) = value else {
            self.is_broken = true;
            return;
        };
        if self.attrs.len() < MAX_PROBE_ATTRS {
            self.attrs.insert(label(key), value);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }
}

/// What is larger than a whole number of the spool is told as text: no digit of it is lost.
fn uint(word: u64) -> AttrValue {
    match i64::try_from(word) {
        Ok(small) => AttrValue::Int(small),
        Err(_) => AttrValue::from(word.to_string()),
    }
}

/// An attribute has no other way to say that it is no number.
fn float(bits: u64) -> AttrValue {
    let value = f64::from_bits(bits);
    match value.is_finite() {
        true => AttrValue::Float(value),
        false => AttrValue::from(value.to_string()),
    }
}

/// A name out of any bytes.
pub(super) fn label(bytes: &[u8]) -> Label {
    Label::foreign(&String::from_utf8_lossy(bytes))
}

/// A text of a hit, where it could be read.
pub(super) fn readable(text: Option<Text<'_>>) -> Option<&[u8]> {
    let text = text.filter(|text| !text.fault)?;
    (!text.bytes.is_empty() || text.len == 0).then_some(text.bytes)
}

/// One value of a probe by a rule.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) form: u8,
    pub(super) name: Label,
}

impl Slot {
    /// Its value in a hit; `texts`: how many texts stand before it.
    fn value(&self, hit: &Hit<'_>, index: usize, texts: usize) -> Option<AttrValue> {
        let word = hit.value(index);
        match self.form {
            form::INT => Some(AttrValue::Int(word?.cast_signed())),
            form::UINT => Some(uint(word?)),
            form::FLOAT => Some(float(word?)),
            form::BOOL => Some(AttrValue::Bool(word? != 0)),
            form::TEXT => {
                let bytes = readable(hit.text(texts))?;
                Some(text(&String::from_utf8_lossy(bytes)))
            }
            _ => None,
        }
    }
}

/// The values of a hit by their names, those that could be read, and how many could not.
pub(super) fn named(slots: &[Slot], hit: &Hit<'_>) -> (Vec<(Label, AttrValue)>, u64) {
    let (mut out, mut unread, mut texts) = (Vec::new(), 0, 0);
    for (index, slot) in slots.iter().enumerate() {
        match slot.value(hit, index, texts) {
            Some(value) => out.push((slot.name.clone(), value)),
            None => unread += 1,
        }
        texts += usize::from(slot.form == form::TEXT);
    }
    (out, unread)
}

/// A mark's value and kind, of the provider `cirron`; `None`: a kind that is not known.
pub(super) fn marked(
    kind: u64,
    word: u64,
    value: Option<Text<'_>>,
) -> Option<(MarkValue, MarkKind)> {
    let [low, ..] = kind.to_le_bytes();
    let said = match low {
        KIND_INT => MarkValue::Int(word.cast_signed()),
        KIND_FLOAT => MarkValue::Float(f64::from_bits(word)),
        KIND_BOOL => MarkValue::Bool(word != 0),
        KIND_TEXT => MarkValue::text(&String::from_utf8_lossy(readable(value)?)),
        KIND_UINT => as_mark(uint(word)),
        _ => return None,
    };
    let kind = match kind >> 8 & 1 {
        0 => MarkKind::Point,
        _ => MarkKind::Summary,
    };
    Some((said, kind))
}

/// An attribute's value as a mark's.
pub(super) fn as_mark(value: AttrValue) -> MarkValue {
    match value {
        AttrValue::Str(text) => MarkValue::Str(text),
        AttrValue::Int(value) => MarkValue::Int(value),
        AttrValue::Float(value) => MarkValue::Float(value),
        AttrValue::Bool(value) => MarkValue::Bool(value),
    }
}

#[cfg(test)]
mod tests;
