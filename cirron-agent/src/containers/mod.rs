//! What the containers of targets are, for whoever has their ids: the core, which writes it on sessions, and the finder,
//! whose rules ask for it.
//!
//! ```text
//!  core, finder --told(id): never waits--> Known <--what it finds-- the thread `containers`
//!                                            '--wanted ids-----------> | runtimes' state on disk
//!                                                                      | a pipe: the process that asks the kubelet
//!  core: another version --> the sessions of those whose container is known now are written again
//! ```
//! Nobody waits for an answer: what is not known yet is absent from a session, and is written on it when it comes; a rule of
//! targets that asks for it is decided then ([`known`] says how long). What is in files and answers is
//! `cirron_containers`' matter.

pub mod asker;
pub mod check;
pub mod helper;
pub mod known;
pub mod settings;

pub use known::Containers;
