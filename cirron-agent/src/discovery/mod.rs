//! What procfs says of processes: facts, children, whether they still live.
//!
//! Everything here may be outdated when it is returned: a process can end, and its number be
//! given to another. An [`Identity`] (pid and start time) tells the two apart.
//!
//! It may block, and is never read by the core thread (`guard`).

pub mod cgroup;
pub mod facts;
mod guard;
pub mod identity;
pub mod ours;
pub mod owner;
pub mod tree;

pub use facts::{facts, short_name};
pub(crate) use guard::asked;
pub use guard::never_here;
pub use identity::Identity;

use cirron_core::engine::ProcessFacts;

/// What the driver asks about processes; procfs, or a test's table.
pub trait Processes: Send {
    /// The process that has this number now.
    fn identify(&self, tgid: u32) -> Option<Identity>;
    /// Whether that very process still runs.
    fn is_alive(&self, identity: &Identity) -> bool;
    /// Its facts, without `explicit`; `None` where it has gone.
    fn facts(&self, tgid: u32) -> Option<ProcessFacts>;
    /// Descendants of these, see [`tree::descendants`], each with which of them it descends from, without the
    /// agent and its own.
    fn descendants(&self, roots: &[u32]) -> Vec<(u32, u32)>;
    /// Whether it is an ancestor of this agent: a `sudo` or a shell that waits for us, and that we
    /// must not wait for.
    fn waits_for_us(&self, _tgid: u32) -> bool {
        false
    }
}

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Procfs;

impl Processes for Procfs {
    fn identify(&self, tgid: u32) -> Option<Identity> {
        Identity::read(tgid)
    }
    fn is_alive(&self, identity: &Identity) -> bool {
        identity.is_alive()
    }
    fn facts(&self, tgid: u32) -> Option<ProcessFacts> {
        facts(tgid)
    }
    fn descendants(&self, roots: &[u32]) -> Vec<(u32, u32)> {
        let parents = tree::parents();
        let of_one = |root: &u32| {
            let all = tree::descendants(*root, &parents).into_iter();
            let root = *root;
            all.map(move |tgid| (tgid, root))
        };
        let found = roots.iter().flat_map(of_one);
        found.filter(|(tgid, _)| !ours::is_ours(*tgid)).collect()
    }
    fn waits_for_us(&self, tgid: u32) -> bool {
        tree::ancestors(std::process::id(), &tree::parents()).contains(&tgid)
    }
}
