//! Records of probes that a rule put into a program: what each one means, and that one was reached.
//!
//! ```text
//! PROBE_SPEC  Spec 16, the name, then for each value: form, length of its name, its name
//! PROBE_HIT   Hit 112, then the bytes of the texts, one behind the other
//! ```
//! The agent writes a `PROBE_SPEC` before the first hit of that number, so that a recording says what its hits mean; the
//! programs write `PROBE_HIT`. A probe is one of the provider `cirron` (`docs/probes.md`), another USDT probe, or a
//! function's entry or exit. What a tree is made of is the core's.

/// Values of one probe. `mark` of the provider `cirron` has eight.
pub const MAX_VALUES: usize = 8;

/// Texts among them. `mark` has three: its name, its value, its attributes.
pub const MAX_TEXTS: usize = 3;

/// Payload of [`crate::record::kind::PROBE_SPEC`], before its name and values.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// The file that has the probe: the same number, the same file. Ids of the provider `cirron` are unique in it.
    pub image: u64,
    /// Its number, which hits have. One number has one meaning while the agent runs.
    pub probe: u32,
    /// One of [`role`].
    pub role: u8,
    /// Number of values, [`MAX_VALUES`] at most.
    pub values: u8,
    /// Bytes of the name of the scope or mark that it makes.
    pub name_len: u16,
}

/// Payload of [`crate::record::kind::PROBE_HIT`], before its texts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hit {
    /// Number of its [`Spec`].
    pub probe: u32,
    /// Number of values that are given.
    pub values: u8,
    /// Number of texts that are given.
    pub texts: u8,
    /// Bit `n`: value `n` could not be read.
    pub unread: u16,
    /// At a function's entry and exits: where the stack pointer stood at the function's first instruction. Elsewhere
    /// where it stands. Of a goroutine whose number is known it is told from the end of its stack, so that it stays the
    /// same when that moves.
    pub stack: u64,
    /// Processor time of the thread since it began, ns; 0: not known.
    pub cpu_ns: u64,
    /// The values; of a text its address.
    pub value: [u64; MAX_VALUES],
    /// The texts, in the order of their values.
    pub text: [Text; MAX_TEXTS],
}

/// A text of a hit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Bytes that it has; of a text that a 0 ends those before it, or what was looked at if there was none.
    pub len: u32,
    /// Bytes of it that were captured, a prefix.
    pub captured: u16,
    /// 1: reading the target's memory failed.
    pub fault: u16,
}

/// Bytes of a [`Spec`].
pub const SPEC_LEN: usize = 16;
/// Bytes of a [`Hit`].
pub const HIT_LEN: usize = 112;

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Spec>() == SPEC_LEN);
    assert!(offset_of!(Spec, image) == 0);
    assert!(offset_of!(Spec, probe) == 8);
    assert!(offset_of!(Spec, role) == 12);
    assert!(offset_of!(Spec, values) == 13);
    assert!(offset_of!(Spec, name_len) == 14);
    assert!(size_of::<Text>() == 8);
    assert!(offset_of!(Text, len) == 0);
    assert!(offset_of!(Text, captured) == 4);
    assert!(offset_of!(Text, fault) == 6);
    assert!(size_of::<Hit>() == HIT_LEN);
    assert!(offset_of!(Hit, probe) == 0);
    assert!(offset_of!(Hit, values) == 4);
    assert!(offset_of!(Hit, texts) == 5);
    assert!(offset_of!(Hit, unread) == 6);
    assert!(offset_of!(Hit, stack) == 8);
    assert!(offset_of!(Hit, cpu_ns) == 16);
    assert!(offset_of!(Hit, value) == 24);
    assert!(offset_of!(Hit, text) == 88);
};

/// Values of [`Spec::role`]: what a hit means.
pub mod role {
    /// `cirron:scope_begin`. This and those below: arguments as `docs/probes.md` says, in that order.
    pub const SCOPE_BEGIN: u8 = 1;
    /// `cirron:scope_open`.
    pub const SCOPE_OPEN: u8 = 2;
    /// `cirron:request_begin`.
    pub const REQUEST_BEGIN: u8 = 3;
    /// `cirron:request_open`.
    pub const REQUEST_OPEN: u8 = 4;
    /// `cirron:scope_enter`.
    pub const SCOPE_ENTER: u8 = 5;
    /// `cirron:scope_exit`.
    pub const SCOPE_EXIT: u8 = 6;
    /// `cirron:scope_end`.
    pub const SCOPE_END: u8 = 7;
    /// `cirron:mark`.
    pub const MARK: u8 = 8;
    /// `cirron:dropped`.
    pub const DROPPED: u8 = 9;
    /// Another provider's probe, by a rule: a scope of the thread begins. Its values are the scope's attributes.
    pub const BEGIN: u8 = 16;
    /// The same: the innermost open scope of that name that the thread began ends. Its values are attributes.
    pub const END: u8 = 17;
    /// The same: a mark. Its first value is the mark's, the others are its attributes; without any it is 1.
    pub const POINT: u8 = 18;
    /// A function is entered. Its values are the scope's attributes.
    pub const ENTER: u8 = 32;
    /// A function is left, by the frame that [`super::Hit::stack`] names.
    pub const EXIT: u8 = 33;
    /// The thread goes on in a frame further up, by an exception, a panic or `longjmp`. Frames below
    /// [`super::Hit::stack`] are over.
    pub const LANDED: u8 = 34;
}

/// How a value is to be read.
pub mod form {
    /// A whole number with a sign.
    pub const INT: u8 = 1;
    /// A whole number without one.
    pub const UINT: u8 = 2;
    /// The bits of a floating-point number of 8 bytes.
    pub const FLOAT: u8 = 3;
    /// 0: false.
    pub const BOOL: u8 = 4;
    /// The address of a text, which is among the texts.
    pub const TEXT: u8 = 5;
}
