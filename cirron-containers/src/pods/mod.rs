//! A list of pods (`v1.PodList`), as the kubelet and the API server give it, to its containers by id.

mod list;
mod owner;

pub(crate) use list::containers;
