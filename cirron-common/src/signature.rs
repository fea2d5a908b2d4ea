//! What a function means to the programs inside it, and where its values stand.
//!
//! A family's table gives each function that it names a [`Signature`]. The agent puts each different one once into the map
//! [`crate::maps::SIGNATURES`], and its number into the cookies of the function's places. The programs read by it, so that a function
//! of a convention that is known needs no program of its own.

use crate::operand::Operand;

/// What a function does, and where its values stand.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    /// One of [`crate::tls::op`].
    pub op: u64,
    /// Address of the connection's object, at the entry.
    pub object: Operand,
    /// The caller's buffer, at the entry; absent where the bytes never are in memory.
    pub buffer: Operand,
    /// Number of bytes that moved, known at the exit; nothing moved where it is not above 0.
    pub moved: Operand,
    /// Whether the call succeeded, at the exit: above 0 it did. Absent: `moved` tells that alone.
    pub success: Operand,
    /// Address of a text that ends with 0, at the entry: what the bytes in `buffer` are. Of [`crate::tls::op::SECRET`] alone.
    pub name: Operand,
}

const _: () = {
    assert!(core::mem::size_of::<Signature>() == 88);
    assert!(core::mem::offset_of!(Signature, op) == 0);
    assert!(core::mem::offset_of!(Signature, object) == 8);
    assert!(core::mem::offset_of!(Signature, buffer) == 24);
    assert!(core::mem::offset_of!(Signature, moved) == 40);
    assert!(core::mem::offset_of!(Signature, success) == 56);
    assert!(core::mem::offset_of!(Signature, name) == 72);
};

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding (asserted by its offsets), every bit pattern is valid.
unsafe impl aya::Pod for Signature {}

impl Signature {
    /// Of a function that acts on `object` and moves nothing.
    #[must_use]
    pub const fn event(op: u64, object: Operand) -> Signature {
        Signature {
            op,
            object,
            buffer: Operand::ABSENT,
            moved: Operand::ABSENT,
            success: Operand::ABSENT,
            name: Operand::ABSENT,
        }
    }

    /// Its operands.
    #[must_use]
    pub const fn operands(&self) -> [Operand; 5] {
        [
            self.object,
            self.buffer,
            self.moved,
            self.success,
            self.name,
        ]
    }

    /// Whether the programs can read it: each operand is one, and stands at the moment at which it is read.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        let Signature {
            object,
            buffer,
            moved,
            success,
            name,
            ..
        } = self;
        if object.is_absent()
            || object.spot().is_none()
            || buffer.spot().is_none()
            || moved.spot().is_none()
            || success.spot().is_none()
            || name.spot().is_none()
        {
            return false;
        }
        is_noted(object)
            && is_noted(buffer)
            && is_noted(name)
            && (success.is_absent() || success.is_late == 1)
    }
}

/// It is known at the entry.
const fn is_noted(operand: &Operand) -> bool {
    operand.is_late == 0 && operand.is_pointer == 0
}

/// The attach cookie: the number of a [`Signature`], and how deep in the function's frame the place lies.
///
/// ```text
/// 63    48 47        16 15       0
///   unused | depth     | signature
/// ```
pub mod cookie {
    const SIGNATURE_BITS: u32 = 16;

    /// `depth`: bytes that the stack pointer stands at the place below where it stood at the
    /// function's first instruction.
    pub const fn pack(signature: u16, depth: u32) -> u64 {
        (depth as u64) << SIGNATURE_BITS | signature as u64
    }

    /// Its signature's number.
    pub const fn signature(cookie: u64) -> u32 {
        (cookie & ((1 << SIGNATURE_BITS) - 1)) as u32
    }

    /// Its depth.
    pub const fn depth(cookie: u64) -> u64 {
        (cookie >> SIGNATURE_BITS) & u32::MAX as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{Signature, cookie};
    use crate::operand::{Convention, Operand, Register};
    use crate::tls::op;

    #[test]
    fn a_cookie_gives_back_what_was_put_into_it() {
        for signature in [0, 1, 1023, u16::MAX] {
            for depth in [0, 8, 4096, u32::MAX] {
                let cookie = cookie::pack(signature, depth);
                assert_eq!(cookie::signature(cookie), u32::from(signature));
                assert_eq!(cookie::depth(cookie), u64::from(depth));
            }
        }
    }

    #[test]
    fn only_what_the_programs_can_read_is_valid() {
        let c = Convention::SystemV;
        let read = Signature {
            op: op::READ,
            object: c.argument(0),
            buffer: c.argument(1),
            moved: c.argument(3).pointee(),
            success: c.result().signed(4),
            name: Operand::ABSENT,
        };
        assert!(read.is_valid());
        assert!(Signature::event(op::FREE, c.argument(7)).is_valid());
        let broken = Operand {
            width: 3,
            ..Operand::register(Register::Rax)
        };
        let refused = [
            Signature::default(),
            Signature {
                object: broken,
                ..read
            },
            Signature {
                buffer: broken,
                ..read
            },
            Signature {
                moved: broken,
                ..read
            },
            Signature {
                success: broken.at_exit(),
                ..read
            },
            // The object is known from the entry on, not behind it.
            Signature {
                object: c.result(),
                ..read
            },
            Signature {
                object: c.argument(0).pointee(),
                ..read
            },
            Signature {
                buffer: c.result(),
                ..read
            },
            Signature {
                success: c.argument(0),
                ..read
            },
            Signature {
                name: c.result(),
                ..read
            },
        ];
        for signature in refused {
            assert!(!signature.is_valid(), "{signature:?}");
        }
    }
}
