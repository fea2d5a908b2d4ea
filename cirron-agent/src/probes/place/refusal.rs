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
    /// A tail call of which it is not known whether it is made.
    #[error("it ends in another function on a condition")]
    Conditional,
    /// It may end in another function, or go on in a part of itself.
    #[error("where its stack stands is not known at an end of it")]
    Depth,
    /// By landing pads that were not found, or by code that is dead.
    #[error("code of it that nothing is known to lead to may leave it")]
    Unseen,
    /// Its entry would be told in each round.
    #[error("its first instruction is the head of a loop")]
    Loops,
    /// There is no room for two places.
    #[error("it does nothing but return, or jump to another function")]
    Empty,
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
