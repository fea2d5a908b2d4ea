//! What the programs read at a probe that a rule put there: its values, and the texts among them.
//!
//! ```text
//! a note's arguments --> Shape of Operands --> map SHAPES <-- number in the attach cookie -- program at the probe
//! ```
//! It says where values stand, how many bytes of which are a text, and how a probe that is hit too often is thinned out.
//! What a hit means is the agent's `PROBE_SPEC` (`crate::hit`), which has the probe's number.

use crate::hit::{MAX_TEXTS, MAX_VALUES};
use crate::operand::Operand;

/// Bytes of all texts of a hit: the largest size class. `mark` has most: 128, 256 and 512.
pub const MAX_TEXT_BYTES: u16 = 1024;

/// Hits of one probe in a process that are told in a second. Each costs the thread 3 to 5 us, of which 2 are the
/// breakpoint, so that it is 5 % of a processor at most; the ring has room for ten times as many.
pub const HITS_A_SECOND: u64 = 10_000;

/// What hits of one probe in a process may weigh, told or not, in each of [`BUSY_SECONDS`]: above it the probe is
/// detached. A hit that weighs 1 costs the thread 1.3 to 4 us, so that it is 8 % of a processor at most, and as much at
/// the other end of a pair.
pub const WEIGHT_A_SECOND: u64 = 20_000;

/// What a hit weighs whose instruction the kernel single-steps in a virtual machine: 25 to 50 us were measured.
pub const STEPPED_WEIGHT: u8 = 16;

/// Seconds in a row. One may be a start, or a burst of requests.
pub const BUSY_SECONDS: u64 = 2;

/// Values of [`Shape::thinning`]: what becomes of hits past [`HITS_A_SECOND`].
pub mod thinning {
    /// Each is told.
    pub const NONE: u8 = 0;
    /// It is left out by itself.
    pub const EACH: u8 = 1;
    /// It begins something: it is left out with its end, and with all of its pair inside of it.
    pub const BEGIN: u8 = 2;
    /// It is the end of such.
    pub const END: u8 = 3;
    /// A function is entered: as [`BEGIN`]. The stack pointer says which later hits are inside of the call, so that an exit
    /// which was not seen does no harm.
    pub const ENTER: u8 = 4;
    /// It is an exit of such.
    pub const EXIT: u8 = 5;
    /// A thread lands in a frame further up: it is told where something has begun on the thread.
    pub const LANDED: u8 = 6;
}

/// Where a text stands. Both are the same where a 0 ends it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextAt {
    /// Index of the value that is its address.
    pub address: u8,
    /// Index of the value that is its length.
    pub length: u8,
}

/// What is read at a probe.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Where its values stand.
    pub operands: [Operand; MAX_VALUES],
    /// Of a value that is a text's length, or the address of one that a 0 ends: bytes of it that are read at most. Else 0.
    pub most: [u16; MAX_VALUES],
    /// Its texts, in the order of their values.
    pub text: [TextAt; MAX_TEXTS],
    /// Number of values.
    pub values: u8,
    /// Number of texts.
    pub texts: u8,
    /// One of [`thinning`].
    pub thinning: u8,
    /// 1: it is a function of Go's, whose hits mean something with the goroutine alone.
    pub of_goroutine: u8,
    /// What a hit weighs, by which it is detached ([`WEIGHT_A_SECOND`]); 0: it never is.
    pub weight: u8,
    /// Zero.
    pub padding: u8,
    /// Beginnings and ends that belong together have the same.
    pub pair: u32,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Shape>() == 160);
    assert!(offset_of!(Shape, most) == 128);
    assert!(offset_of!(Shape, text) == 144);
    assert!(offset_of!(Shape, values) == 150);
    assert!(offset_of!(Shape, weight) == 154);
    assert!(offset_of!(Shape, pair) == 156);
};

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding but what is named, every bit pattern is valid.
unsafe impl aya::Pod for Shape {}

impl Shape {
    /// Whether the programs can read it: each operand is one and stands there at this moment, and the texts have room.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let values = usize::from(self.values);
        let is_value = |index: u8| usize::from(index) < values;
        let texts = self.text.iter().take(self.texts.into());
        let room: u32 = self.most.iter().map(|most| u32::from(*most)).sum();
        values <= MAX_VALUES
            && usize::from(self.texts) <= MAX_TEXTS
            && self.operands.iter().all(is_read_here)
            && texts
                .clone()
                .all(|t| is_value(t.address) && is_value(t.length))
            && room <= MAX_TEXT_BYTES.into()
    }
}

fn is_read_here(operand: &Operand) -> bool {
    operand.spot().is_some() && operand.is_late == 0 && operand.is_pointer == 0
}

/// A probe in a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateKey {
    /// Number of the probe.
    pub probe: u32,
    /// Process id.
    pub tgid: u32,
}

/// How often it is hit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// When the second began in which hits are counted, monotonic ns.
    pub since_ns: u64,
    /// Hits in it that were told.
    pub told: u64,
    /// Hits that were left out since the probe is there.
    pub left_out: u64,
    /// Of those, before this second.
    pub left_out_before: u64,
    /// Seconds in a row before this one with more than [`WEIGHT_A_SECOND`].
    pub busy: u64,
    /// Hits in the last of them.
    pub busiest: u64,
    /// 1: there were [`BUSY_SECONDS`] of them. Nothing more is told.
    pub is_too_busy: u64,
}

/// A thread or goroutine that is inside of beginnings that were left out.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkipKey {
    /// Address of the goroutine; else 0.
    pub context: u64,
    /// As the helper gives them: of a goroutine without the thread.
    pub pid_tgid: u64,
    /// [`Shape::pair`].
    pub pair: u64,
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, two `u32`, every bit pattern is valid.
unsafe impl aya::Pod for RateKey {}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, nothing but `u64`, every bit pattern is valid.
unsafe impl aya::Pod for Rate {}

/// The attach cookie of such a probe.
///
/// ```text
/// 63    32 31   12 11    0
///   probe | depth | shape
/// ```
pub mod cookie {
    const SHAPE_BITS: u32 = 12;
    const DEPTH_BITS: u32 = 20;

    /// `shape`: number of the [`super::Shape`]. `depth`: as in `crate::signature::cookie`. `None`: one of them does not fit.
    pub const fn pack(shape: u16, depth: u32, probe: u32) -> Option<u64> {
        if shape as u32 >> SHAPE_BITS != 0 || depth >> DEPTH_BITS != 0 {
            return None;
        }
        Some((probe as u64) << 32 | (depth as u64) << SHAPE_BITS | shape as u64)
    }

    /// Number of its shape.
    pub const fn shape(cookie: u64) -> u32 {
        cookie as u32 & ((1 << SHAPE_BITS) - 1)
    }

    /// Its depth.
    pub const fn depth(cookie: u64) -> u64 {
        cookie >> SHAPE_BITS & ((1 << DEPTH_BITS) - 1)
    }

    /// Its number.
    pub const fn probe(cookie: u64) -> u32 {
        (cookie >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{Shape, TextAt, cookie};
    use crate::operand::{Operand, Register};

    #[test]
    fn a_cookie_gives_back_what_was_put_into_it() {
        for shape in [0, 1, 4095] {
            for depth in [0, 8, (1 << 20) - 1] {
                for probe in [0, 7, u32::MAX] {
                    let Some(cookie) = cookie::pack(shape, depth, probe) else {
                        panic!("{shape} {depth} {probe}");
                    };
                    assert_eq!(cookie::shape(cookie), u32::from(shape));
                    assert_eq!(cookie::depth(cookie), u64::from(depth));
                    assert_eq!(cookie::probe(cookie), probe);
                }
            }
        }
        assert_eq!(cookie::pack(4096, 0, 0), None);
        assert_eq!(cookie::pack(0, 1 << 20, 0), None);
    }

    #[test]
    fn only_what_the_programs_can_read_is_valid() {
        let mut shape = Shape {
            values: 2,
            texts: 1,
            text: [
                TextAt {
                    address: 0,
                    length: 1,
                },
                TextAt::default(),
                TextAt::default(),
            ],
            ..Shape::default()
        };
        shape.operands[0] = Operand::register(Register::Rdi);
        shape.operands[1] = Operand::register(Register::Rsi);
        shape.most[1] = 1024;
        assert!(shape.is_valid() && Shape::default().is_valid());
        let mut refused = [shape; 6];
        refused[0].values = 9;
        refused[1].texts = 4;
        refused[2].text[0].length = 2;
        refused[3].most[0] = 1;
        refused[4].operands[0] = Operand::register(Register::Rdi).at_exit();
        refused[5].operands[1] = Operand::register(Register::Rdi).unsigned(3);
        for shape in refused {
            assert!(!shape.is_valid(), "{shape:?}");
        }
    }
}
