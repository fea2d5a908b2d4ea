//! Where the threads of a Python process keep what they run: `contextvars`' current context.
//!
//! The agent finds it out in the process's memory (`cirron-agent/src/probes/python`), the programs read by it. It says nothing of
//! what contexts mean: that is the core's.

/// Value of the map of interpreters, key: process id. All but `thread` and `told` is the agent's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interpreter {
    /// From what `fs` points to on a thread, to the pointer to its `PyThreadState`.
    pub slot: i64,
    /// From there to its pointer to the current context; the number that counts enterings and leavings lies behind it. 0: not
    /// known yet, nothing is told.
    pub context: u64,
    /// Address of `PyContext_Type`, which every context points to.
    pub kind: u64,
    /// What `fs` points to on a thread of the process that moved bytes; 0: none did so far. The programs write it.
    pub thread: u64,
    /// Contexts of which was told that they were made or have ended. The programs write it.
    pub told: u64,
}

/// Bytes of an [`Interpreter`].
pub const INTERPRETER_LEN: usize = 40;
const _: () = assert!(core::mem::size_of::<Interpreter>() == INTERPRETER_LEN);

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, no padding (asserted by its size), every bit pattern is valid.
unsafe impl aya::Pod for Interpreter {}
