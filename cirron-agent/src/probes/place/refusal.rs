//! Why a function, or a call of one, is not watched. A probe stands only where an instruction is known to begin, and an entry
//! only where every exit is known.

use thiserror::Error;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Control flow comes to bytes that are none.
    #[error("following its code comes to bytes that are no instruction")]
    NoCode,
    /// See `MAX_INSTRUCTIONS`.
    #[error("its code is too large to be followed")]
    TooLarge,
    /// Nothing that is known leads there.
    #[error("no way through its code leads to the place")]
    Unreached,
    /// Two ways through the code disagree about where instructions begin.
    #[error("the place may lie inside of an instruction")]
    Inside,
    /// It ends in code that was not found.
    #[error("it ends in code that is not followed")]
    Leaves,
    /// It ends in what a pointer holds.
    #[error("it ends in a jump through a pointer")]
    Pointer,
    /// See [`super::switch`].
    #[error("it has a switch whose table is not understood")]
    Switch,
    /// Its exits are those of others.
    #[error("it only ends in what is watched by itself")]
    Watched,
    /// It is over where nobody sees it.
    #[error("it never returns")]
    NoReturn,
    /// See `MAX_EXITS`.
    #[error("it has too many exits")]
    ManyExits,
    /// What is to be a call is none.
    #[error("there is no call at the place")]
    NoCall,
}
