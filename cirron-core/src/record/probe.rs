//! Views of the records of probes: what one means, and that one was reached.
//!
//! Their layout is `cirron_common::hit`'s. A view is made of bytes that were checked once, when the record was decoded, and
//! reads them when it is asked: most records are none of these, and their type stays small.

use std::mem::offset_of;

use cirron_common::hit::{self as abi, HIT_LEN, MAX_TEXTS, MAX_VALUES, SPEC_LEN, form};

use super::{DecodeError, Fixed, fixed};

/// What hits of one number mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec<'a> {
    /// The number.
    pub probe: u32,
    /// The file that has the probe.
    pub image: u64,
    /// One of `cirron_common::hit::role`.
    pub role: u8,
    /// Name of the scope or mark that it makes.
    pub name: &'a [u8],
    /// Form, length of the name and name of each value.
    values: &'a [u8],
}

/// A value of a probe, as its [`Spec`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// One of `cirron_common::hit::form`.
    pub form: u8,
    /// Its name, as an attribute.
    pub name: &'a [u8],
}

/// A probe was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    fixed: &'a [u8],
    texts: &'a [u8],
}

/// A text of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// Bytes that it has.
    pub len: u32,
    /// Those that were captured, a prefix.
    pub bytes: &'a [u8],
    /// Reading the target's memory failed.
    pub fault: bool,
}

impl<'a> Spec<'a> {
    /// Of these values, [`MAX_VALUES`] at most; with a form and a name of 255 bytes at most each, written to `to`.
    pub fn new(
        (probe, image, role): (u32, u64, u8),
        name: &'a [u8],
        values: &[Value<'_>],
        to: &'a mut Vec<u8>,
    ) -> Spec<'a> {
        for Value { form, name } in values.iter().take(MAX_VALUES) {
            let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
            to.extend([*form, len]);
            to.extend(name.iter().take(len.into()));
        }
        Spec {
            probe,
            image,
            role,
            name: name.get(..u16::MAX.into()).unwrap_or(name),
            values: to,
        }
    }

    pub(super) fn decode(payload: &'a [u8]) -> Result<Spec<'a>, DecodeError> {
        let (head, rest) = fixed(payload, SPEC_LEN)?;
        let short = |more: usize| DecodeError::Payload {
            promised: payload.len() + more,
            present: payload.len(),
        };
        let name_len = usize::from(head.u16(offset_of!(abi::Spec, name_len)));
        let (name, values) = rest.split_at_checked(name_len).ok_or(short(1))?;
        let mut at = 0;
        for _ in 0..head.u8(offset_of!(abi::Spec, values)) {
            let len = values.get(at + 1).ok_or(short(1))?;
            at += 2 + usize::from(*len);
        }
        Ok(Spec {
            probe: head.u32(offset_of!(abi::Spec, probe)),
            image: head.u64(offset_of!(abi::Spec, image)),
            role: head.u8(offset_of!(abi::Spec, role)),
            name,
            values: values.get(..at).ok_or(short(1))?,
        })
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SPEC_LEN + self.name.len() + self.values.len());
        out.extend(self.image.to_ne_bytes());
        out.extend(self.probe.to_ne_bytes());
        let values = u8::try_from(self.values().count()).unwrap_or(u8::MAX);
        out.extend([self.role, values]);
        let name_len = u16::try_from(self.name.len()).unwrap_or(u16::MAX);
        out.extend(name_len.to_ne_bytes());
        out.extend(self.name);
        out.extend(self.values);
        out
    }

    /// Its values, in their order.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> {
        let mut rest = self.values;
        std::iter::from_fn(move || {
            let (&[form, len], more) = rest.split_first_chunk()?;
            let (name, more) = more.split_at_checked(len.into())?;
            rest = more;
            Some(Value { form, name })
        })
    }

    /// Which text of a hit is the value at `index`; `None`: the value is no text.
    pub fn text_index(&self, index: usize) -> Option<usize> {
        let mut values = self.values();
        let before = values.by_ref().take(index);
        let texts = before.filter(|v| v.form == form::TEXT).count();
        (values.next()?.form == form::TEXT).then_some(texts)
    }
}

impl<'a> Hit<'a> {
    pub(super) fn decode(payload: &'a [u8]) -> Result<Hit<'a>, DecodeError> {
        let short = DecodeError::Payload {
            promised: payload.len().max(HIT_LEN) + 1,
            present: payload.len(),
        };
        let (fixed, texts) = payload.split_at_checked(HIT_LEN).ok_or(short)?;
        let hit = Hit { fixed, texts };
        let texts_len: usize = (0..MAX_TEXTS).map(|n| hit.captured(n)).sum();
        if texts_len > texts.len() {
            return Err(short);
        }
        Ok(hit)
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        [self.fixed, self.texts].concat()
    }

    fn fixed(&self) -> Fixed<'a> {
        Fixed(self.fixed)
    }

    /// Number of its [`Spec`].
    pub fn probe(&self) -> u32 {
        self.fixed().u32(offset_of!(abi::Hit, probe))
    }

    /// Where the stack pointer stood: `cirron_common::hit::Hit::stack`.
    pub fn stack(&self) -> u64 {
        self.fixed().u64(offset_of!(abi::Hit, stack))
    }

    /// Processor time of the thread, ns.
    pub fn cpu_ns(&self) -> Option<u64> {
        let ns = self.fixed().u64(offset_of!(abi::Hit, cpu_ns));
        (ns != 0).then_some(ns)
    }

    /// The value at `index`; of a text its address. `None`: there is none, or it could not be read.
    pub fn value(&self, index: usize) -> Option<u64> {
        let fixed = self.fixed();
        let given = usize::from(fixed.u8(offset_of!(abi::Hit, values))).min(MAX_VALUES);
        let unread = fixed.u16(offset_of!(abi::Hit, unread));
        let is_known = index < given && unread >> index & 1 == 0;
        is_known.then(|| fixed.u64(offset_of!(abi::Hit, value) + index * 8))
    }

    /// The text of that number among its texts ([`Spec::text_index`]).
    pub fn text(&self, index: usize) -> Option<Text<'a>> {
        let given = usize::from(self.fixed().u8(offset_of!(abi::Hit, texts))).min(MAX_TEXTS);
        if index >= given {
            return None;
        }
        let at = self.text_at(index);
        let begin: usize = (0..index).map(|n| self.captured(n)).sum();
        let bytes = self.texts.get(begin..begin + self.captured(index))?;
        Some(Text {
            len: self.fixed().u32(at + offset_of!(abi::Text, len)),
            bytes,
            fault: self.fixed().u16(at + offset_of!(abi::Text, fault)) != 0,
        })
    }

    fn text_at(&self, index: usize) -> usize {
        offset_of!(abi::Hit, text) + index * size_of::<abi::Text>()
    }

    fn captured(&self, index: usize) -> usize {
        let at = self.text_at(index) + offset_of!(abi::Text, captured);
        self.fixed().u16(at).into()
    }
}

/// A hit as the programs write it, of values and texts: for tests, and for whoever replays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HitParts<'a> {
    /// Number of its [`Spec`].
    pub probe: u32,
    /// As in `cirron_common::hit::Hit`.
    pub stack: u64,
    /// 0: not known.
    pub cpu_ns: u64,
    /// `None`: it could not be read. [`MAX_VALUES`] at most.
    pub values: &'a [Option<u64>],
    /// [`MAX_TEXTS`] at most, of 65 535 bytes at most.
    pub texts: &'a [Text<'a>],
}

impl HitParts<'_> {
    /// The payload of its record, to be read by [`Hit::view`].
    pub fn payload(&self) -> Vec<u8> {
        let unread = self.values.iter().take(MAX_VALUES).enumerate();
        let unread = unread.filter(|(_, value)| value.is_none());
        let unread = unread.fold(0_u16, |bits, (n, _)| bits | 1 << n);
        let mut out = Vec::with_capacity(HIT_LEN);
        let count = |n: usize, most: usize| u8::try_from(n.min(most)).unwrap_or(u8::MAX);
        out.extend(self.probe.to_ne_bytes());
        out.push(count(self.values.len(), MAX_VALUES));
        out.push(count(self.texts.len(), MAX_TEXTS));
        out.extend(unread.to_ne_bytes());
        out.extend(self.stack.to_ne_bytes());
        out.extend(self.cpu_ns.to_ne_bytes());
        for n in 0..MAX_VALUES {
            let value = self.values.get(n).copied().flatten().unwrap_or_default();
            out.extend(value.to_ne_bytes());
        }
        for n in 0..MAX_TEXTS {
            let text = self.texts.get(n);
            out.extend(text.map_or(0, |text| text.len).to_ne_bytes());
            let captured = text.map_or(0, |text| text.bytes.len());
            out.extend(u16::try_from(captured).unwrap_or(u16::MAX).to_ne_bytes());
            out.extend(u16::from(text.is_some_and(|text| text.fault)).to_ne_bytes());
        }
        for text in self.texts.iter().take(MAX_TEXTS) {
            out.extend(text.bytes.iter().take(u16::MAX.into()));
        }
        out
    }
}

impl<'a> Hit<'a> {
    /// A view of a payload.
    ///
    /// # Errors
    /// Where it is shorter than it says.
    pub fn view(payload: &'a [u8]) -> Result<Hit<'a>, DecodeError> {
        Hit::decode(payload)
    }
}
