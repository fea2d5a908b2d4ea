//! `cirron-agent top`: endpoints and models as they are now.
//!
//! ```text
//! DIR/spool (batches) --feed--> Board (a window of requests) --view()--> View --> screen | JSON | text
//! the agent's socket  --live--/  (what goes on, what was lost)
//! ```
//! What has ended comes from the spool that the agent writes anyway, once a second; what goes on, and the counters of
//! loss, from the agent's socket. So it costs a target nothing that was not paid before, and it works on the spool of an
//! agent that is gone, where what goes on is unknown and said to be.
//!
//! [`board`] and [`view`] have neither clock nor file: times come in as arguments.

pub mod board;
pub mod feed;
pub mod live;
pub mod run;
pub mod screen;
#[cfg(test)]
mod testing;
pub mod text;
pub mod view;
