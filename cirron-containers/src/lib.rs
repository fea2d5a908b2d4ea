//! What the containers of this machine are: their names and images, the pods that they are in, and who made those.
//!
//! ```text
//!  kubelet or API server --HTTPS--> ask -> pods (a list of pods, as JSON) --.
//!                                                                           |--> About, by container id
//!  state of Docker, Podman, CRI-O, containerd on disk --------> state ------'
//! ```
//! The agent knows the id of each process's container from its cgroup; who asks here, and when, is its matter. The
//! network is asked by a process of its own ([`asker`]): the agent's threads may open no socket, and what reads a
//! stranger's answer has no rights.
//!
//! Promised: nothing is guessed (what nobody said is absent), answers and files are read up to a bound, and of a pod
//! nothing is kept but what is listed in [`about`]: no variables, volumes, arguments or other annotations.

pub mod about;
mod ask;
pub mod asker;
mod image;
mod pods;
pub mod state;

pub use about::About;
