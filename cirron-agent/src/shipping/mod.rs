//! Shipping: the processes that send the spool's batches on, and what the agent has to do with them.
//!
//! ```text
//!  agent (all rights, then few; no network)
//!    | starts, before it gives up its rights          pipe: a line of JSON a second
//!    v                                                        |
//!  keeper (no right; starts programs) -- starts again --> worker (no right; network) --> destinations
//! ```
//! The agent's threads may neither start a program nor open a socket once it watches, so that its child must be started
//! before, and cannot be started again. That is the keeper's work: a few pages of memory that wait for the worker to die.
//! Both end when the agent does, however it ends: the pipe closes, the worker sends what is there, and ends at the first
//! batch that must wait. What was not sent stays in the spool, and goes with the next agent's, or by `cirron-agent ship`.
//!
//! The agent never waits for either but at its own end, and there [`child::END_LIMIT`] at most.

pub mod child;
pub mod keeper;
pub mod plan;
pub mod worker;
