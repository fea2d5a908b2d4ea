//! Podman and CRI-O: the list of containers in the storage that both use.

use serde::Deserialize;

use super::root::Root;
use crate::about::{About, Pod, text};

/// Root's storage. That of a user who runs Podman alone is in their home, and is not looked at.
pub(super) const STORAGE: &str = "var/lib/containers/storage";

/// How it keeps layers, which names the directory of its list. A machine has one of these.
pub(super) const DRIVERS: [&str; 4] = ["overlay", "vfs", "btrfs", "zfs"];

#[derive(Deserialize)]
struct Container {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    /// JSON in a text.
    metadata: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Metadata {
    /// The container's name in its pod, or as Podman calls it.
    name: Option<String>,
    image_name: Option<String>,
    pod_name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
}

pub(super) fn look(root: &Root, id: &str) -> Option<About> {
    let mut lists = DRIVERS
        .iter()
        .map(|driver| format!("{driver}-containers/containers.json"));
    let json = lists.find_map(|list| root.read(STORAGE, &list))?;
    let all: Vec<Container> = serde_json::from_slice(&json).ok()?;
    let container = all.into_iter().find(|container| container.id == id)?;
    let metadata = container.metadata.as_deref().unwrap_or_default();
    let metadata: Metadata = serde_json::from_str(metadata).unwrap_or_default();
    let kept = |value: Option<&String>| text(value?);
    let pod = kept(metadata.pod_name.as_ref()).zip(kept(metadata.namespace.as_ref()));
    let names = container.names.unwrap_or_default();
    Some(About {
        // CRI-O's own name is made of the pod's and numbers.
        name: match pod {
            Some(_) => None,
            None => kept(names.first()).or_else(|| kept(metadata.name.as_ref())),
        },
        image: kept(metadata.image_name.as_ref()),
        pod: pod.map(|(name, namespace)| Pod {
            name,
            namespace,
            uid: kept(metadata.uid.as_ref()).unwrap_or_default(),
            ..Pod::default()
        }),
    })
}
