//! A reader of BTF that finds the offset of a structure's member, and nothing else.
//!
//! Ours, because the library that does this is under the LGPL, which a static binary under
//! Apache-2.0 or MIT cannot include, and the one that could be used builds tables of the kernel's
//! 100 000 types (tens of MB) and keeps one type for each name, where a structure and a typedef
//! share it. This walks the file's bytes in place.
//!
//! Format: the kernel's `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h`.

/// Values of `BTF_INFO_KIND` with something behind the type's 12 bytes.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const POINTER: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const ENUM64: u32 = 19;
}

/// `BTF_MAGIC`, in this machine's order.
const MAGIC: u16 = 0xeb9f;
/// Bytes of `struct btf_type`.
const TYPE_LEN: usize = 12;
/// Bytes of an argument in a function's type.
const PARAMETER_LEN: usize = 8;
/// Anonymous structures within anonymous structures; the kernel's go three deep.
const MAX_DEPTH: u32 = 8;

/// Why the bytes are no BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no BTF of this machine's byte order")]
pub(super) struct NotBtf;

/// The types of one BTF blob.
pub(super) struct Types<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins in `types`; type 1 is the first.
    starts: Vec<u32>,
}

/// One type: its fixed part, taken apart.
#[derive(Clone, Copy)]
struct Type {
    /// Of its first byte, in the type section.
    at: usize,
    name: u32,
    kind: u32,
    members: usize,
    /// Members carry a bit-field size in the upper byte of their offset.
    bit_fields: bool,
    /// A size or another type.
    size_or_type: u32,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

impl<'a> Types<'a> {
    /// Checks the header and finds where each type begins.
    pub(super) fn new(blob: &'a [u8]) -> Result<Types<'a>, NotBtf> {
        Types::sections(blob).ok_or(NotBtf)
    }

    fn sections(blob: &'a [u8]) -> Option<Types<'a>> {
        let magic = u16::from_ne_bytes(blob.get(..2)?.try_into().ok()?);
        if magic != MAGIC {
            return None;
        }
        let at = |i| word(blob, i).and_then(|n| usize::try_from(n).ok());
        let header = at(4)?;
        let section = |offset: usize, len: usize| {
            let start = header.checked_add(offset)?;
            blob.get(start..start.checked_add(len)?)
        };
        let mut types = Types {
            types: section(at(8)?, at(12)?)?,
            strings: section(at(16)?, at(20)?)?,
            starts: Vec::new(),
        };
        let mut start = 0;
        while start < types.types.len() {
            types.starts.push(u32::try_from(start).ok()?);
            start += types.length(&types.read(start)?)?;
        }
        Some(types)
    }

    fn read(&self, at: usize) -> Option<Type> {
        let info = word(self.types, at + 4)?;
        Some(Type {
            at,
            name: word(self.types, at)?,
            kind: (info >> 24) & 0x1f,
            members: usize::try_from(info & 0xffff).ok()?,
            bit_fields: info >> 31 == 1,
            size_or_type: word(self.types, at + 8)?,
        })
    }

    /// Bytes of a type with what follows it; `None` for a kind that we do not know.
    fn length(&self, t: &Type) -> Option<usize> {
        let behind = match t.kind {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * t.members,
            kind::ENUM | kind::FUNC_PROTO => 8 * t.members,
            // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
            kind::POINTER | 7..=12 | 16 | 18 => 0,
            _ => return None,
        };
        Some(TYPE_LEN + behind)
    }

    fn by_id(&self, id: u32) -> Option<Type> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.read(usize::try_from(*self.starts.get(index)?).ok()?)
    }

    fn is_named(&self, name: u32, wanted: &str) -> bool {
        usize::try_from(name)
            .ok()
            .and_then(|at| self.strings.get(at..))
            .and_then(|rest| rest.strip_prefix(wanted.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// Byte offset of `member` in `struct owner`, also where it lies inside anonymous structures
    /// and unions. Of several structures with this name the first that has the member.
    pub(super) fn offset(&self, owner: &str, member: &str) -> Option<u32> {
        self.bits(owner, &[member]).map(|bits| bits / 8)
    }

    /// Bit offset of the last of `path`, each of which is a member of the one before.
    pub(super) fn bits(&self, owner: &str, path: &[&str]) -> Option<u32> {
        self.starts
            .iter()
            .filter_map(|at| self.read(usize::try_from(*at).ok()?))
            .filter(|t| t.kind == kind::STRUCT && self.is_named(t.name, owner))
            .find_map(|t| self.follow(t, path))
    }

    fn follow(&self, mut owner: Type, path: &[&str]) -> Option<u32> {
        let (last, upper) = path.split_last()?;
        let mut bits = 0;
        for member in upper {
            let (at, id) = self.within(&owner, member, MAX_DEPTH)?;
            bits += at;
            owner = self.resolve(id)?;
        }
        Some(bits + self.within(&owner, last, MAX_DEPTH)?.0)
    }

    /// Bit offset and type of `member`.
    fn within(&self, owner: &Type, member: &str, depth: u32) -> Option<(u32, u32)> {
        for i in 0..owner.members {
            let at = owner.at + TYPE_LEN + 12 * i;
            let name = word(self.types, at)?;
            let offset = word(self.types, at + 8)?;
            let bits = if owner.bit_fields {
                offset & 0x00ff_ffff
            } else {
                offset
            };
            if self.is_named(name, member) {
                return Some((bits, word(self.types, at + 4)?));
            }
            if depth > 0
                && self.is_named(name, "")
                && let Some(inner) = self.resolve(word(self.types, at + 4)?)
                && let Some((found, id)) = self.within(&inner, member, depth - 1)
            {
                return Some((bits + found, id));
            }
        }
        None
    }

    /// Whether the first argument of the tracepoint `name` is a pointer to `struct owner`. The argument before it is the
    /// tracepoint's own.
    pub(super) fn takes(&self, name: &str, owner: &str) -> bool {
        let typedef = format!("btf_trace_{name}");
        self.starts
            .iter()
            .filter_map(|at| self.read(usize::try_from(*at).ok()?))
            .filter(|t| t.kind == kind::TYPEDEF && self.is_named(t.name, &typedef))
            .filter_map(|t| {
                let proto = self.by_id(self.pointed_at(t.size_or_type)?)?;
                let parameter = proto.at + TYPE_LEN + PARAMETER_LEN;
                let is_there = proto.kind == kind::FUNC_PROTO && proto.members > 1;
                let points_to = word(self.types, parameter + 4).filter(|_| is_there)?;
                self.resolve(self.pointed_at(points_to)?)
            })
            .any(|t| t.kind == kind::STRUCT && self.is_named(t.name, owner))
    }

    fn pointed_at(&self, id: u32) -> Option<u32> {
        let t = self.by_id(id)?;
        (t.kind == kind::POINTER).then_some(t.size_or_type)
    }

    /// The structure or union behind typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<Type> {
        for _ in 0..MAX_DEPTH {
            let t = self.by_id(id)?;
            match t.kind {
                kind::STRUCT | kind::UNION => return Some(t),
                kind::TYPEDEF | kind::VOLATILE | kind::CONST => id = t.size_or_type,
                _ => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// `struct s { int a; struct { int b; union { int c; int d; }; }; unsigned e:3; int f:5; }`,
    /// beside a typedef of the same name.
    fn blob() -> Vec<u8> {
        let mut strings = vec![0];
        let mut name = |text: &str| {
            let at = u32::try_from(strings.len()).unwrap();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let (int, s) = (name("int"), name("s"));
        let [a, b, c, d, e, f] = ["a", "b", "c", "d", "e", "f"].map(&mut name);
        let trace = name("btf_trace_t");
        let info = |kind: u32, members: u32| kind << 24 | members;
        let words = [
            // 1: int; 2: typedef s; 3: union; 4: struct; 5: struct s.
            vec![int, info(kind::INT, 0), 4, 32],
            vec![s, info(kind::TYPEDEF, 0), 1],
            vec![0, info(kind::UNION, 2), 4, c, 1, 0, d, 1, 0],
            vec![0, info(kind::STRUCT, 2), 8, b, 1, 0, 0, 3, 32],
            vec![s, info(kind::STRUCT, 4) | 1 << 31, 16],
            vec![a, 1, 0, 0, 4, 32, e, 1, 3 << 24 | 96, f, 1, 5 << 24 | 104],
            // 6: const s; 7: its pointer; 8: void(void *, const struct s *, int); 9: its pointer; 10: a tracepoint.
            vec![0, info(kind::CONST, 0), 5],
            vec![0, info(kind::POINTER, 0), 6],
            vec![0, info(kind::FUNC_PROTO, 3), 0, 0, 0, a, 7, b, 1],
            vec![0, info(kind::POINTER, 0), 8],
            vec![trace, info(kind::TYPEDEF, 0), 9],
        ]
        .concat();
        let types: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let lengths = [types.len(), strings.len()].map(|n| u32::try_from(n).unwrap());
        let mut blob = MAGIC.to_ne_bytes().to_vec();
        blob.extend_from_slice(&[1, 0]);
        for word in [24, 0, lengths[0], lengths[0], lengths[1]] {
            blob.extend_from_slice(&word.to_ne_bytes());
        }
        [blob, types, strings].concat()
    }

    #[test]
    fn members_are_found_also_inside_anonymous_ones() {
        let blob = blob();
        let types = Types::new(&blob).unwrap();
        let offsets = ["a", "b", "c", "d", "e", "f"].map(|m| types.offset("s", m));
        assert_eq!(
            offsets,
            [Some(0), Some(4), Some(8), Some(8), Some(12), Some(13)]
        );
        assert_eq!(types.offset("s", "g"), None);
        assert_eq!(types.offset("t", "a"), None);
    }

    #[test]
    fn a_tracepoint_is_known_by_its_first_argument() {
        let blob = blob();
        let types = Types::new(&blob).unwrap();
        assert!(types.takes("t", "s"));
        assert!(!types.takes("t", "int") && !types.takes("u", "s"));
    }

    #[test]
    fn damaged_bytes_are_refused_or_give_nothing_and_never_panic() {
        let blob = blob();
        for len in 0..blob.len() {
            if let Ok(types) = Types::new(&blob[..len]) {
                types.offset("s", "d");
                types.takes("t", "s");
            }
        }
        for at in 0..blob.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = blob.clone();
                damaged[at] = value;
                if let Ok(types) = Types::new(&damaged) {
                    types.offset("s", "d");
                    types.takes("t", "s");
                }
            }
        }
    }
}
