//! cirron-agent.
mod kernel;
fn main() {}
