//! What runtimes keep of their containers on disk: names and images, and of pods their names.
//!
//! ```text
//!  id --> docker: var/lib/docker/containers/ID/config.v2.json
//!     --> storage (Podman, CRI-O): var/lib/containers/storage/DRIVER-containers/containers.json
//!     --> oci (containerd, CRI-O): run/.../ID/config.json, its annotations
//! ```
//! No daemon is asked: none need run, and none notices. A runtime whose files are elsewhere, or in another form, tells
//! nothing. Of a container of Kubernetes this knows the pod at once, where the kubelet's list has it a moment later.

mod docker;
mod oci;
mod root;
mod storage;

use std::path::Path;

pub use root::Root;

use crate::about::About;

/// What the state of this machine's runtimes says of a container; `None`: nothing.
pub fn look(root: &Root, id: &str) -> Option<About> {
    // It becomes a part of paths.
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        return None;
    }
    docker::look(root, id)
        .or_else(|| oci::look(root, id))
        .or_else(|| storage::look(root, id))
}

/// The runtimes that keep containers on this machine.
pub fn runtimes(root: &Root) -> Vec<&'static str> {
    let places = [
        ("Docker", docker::CONTAINERS),
        ("containerd", oci::CONTAINERD),
        ("Podman or CRI-O", storage::STORAGE),
    ];
    let kept = places
        .into_iter()
        .filter(|(_, place)| !root.names(place, 1).is_empty());
    kept.map(|(name, _)| name).collect()
}

/// The machine's own files: of the first process, so that an agent in a container with the host's processes sees the
/// host's.
pub fn of_this_machine() -> Option<Root> {
    Root::open(Path::new("/proc/1/root")).or_else(|| Root::open(Path::new("/")))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
