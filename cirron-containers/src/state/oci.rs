//! containerd and CRI-O: what they write beside a container's bundle for the program that starts it, whose annotations
//! say what Kubernetes, or nerdctl, calls it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::root::Root;
use super::storage::DRIVERS;
use crate::about::{About, Pod, text};

/// containerd's bundles, below a directory for each of its namespaces.
pub(super) const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task";

/// CRI-O's.
const CRI_O: &str = "run/containers/storage";

/// Namespaces of containerd that are looked into: `k8s.io`, `moby`, `default`, and what people make.
const MAX_NAMESPACES: usize = 32;

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

pub(super) fn look(root: &Root, id: &str) -> Option<About> {
    let namespaces = root.names(CONTAINERD, MAX_NAMESPACES).into_iter();
    let mut bundles = namespaces
        .map(|namespace| (CONTAINERD, format!("{namespace}/{id}/config.json")))
        .chain(DRIVERS.iter().map(|driver| {
            let bundle = format!("{driver}-containers/{id}/userdata");
            (CRI_O, format!("{bundle}/config.json"))
        }));
    let json = bundles.find_map(|(runtime, file)| root.read(runtime, &file))?;
    let bundle: Bundle = serde_json::from_slice(&json).ok()?;
    about(&bundle.annotations)
}

/// Whoever wrote it; `None`: nobody whose names we know.
fn about(annotations: &BTreeMap<String, String>) -> Option<About> {
    let get = |name: &str| annotations.get(name).and_then(|value| text(value));
    if annotations.contains_key("io.kubernetes.cri.container-type") {
        let cri = |name: &str| get(&format!("io.kubernetes.cri.{name}"));
        return Some(About {
            name: cri("container-name"),
            image: cri("image-name"),
            pod: pod([
                cri("sandbox-name"),
                cri("sandbox-namespace"),
                cri("sandbox-uid"),
            ]),
        });
    }
    if annotations.contains_key("io.kubernetes.cri-o.ContainerID") {
        let kubernetes = |name: &str| get(&format!("io.kubernetes.{name}"));
        return Some(About {
            name: kubernetes("container.name"),
            image: get("io.kubernetes.cri-o.ImageName"),
            pod: pod([
                kubernetes("pod.name"),
                kubernetes("pod.namespace"),
                kubernetes("pod.uid"),
            ]),
        });
    }
    let name = get("nerdctl/name")?;
    Some(About {
        name: Some(name),
        ..About::default()
    })
}

fn pod([name, namespace, uid]: [Option<String>; 3]) -> Option<Pod> {
    Some(Pod {
        name: name?,
        namespace: namespace?,
        uid: uid.unwrap_or_default(),
        ..Pod::default()
    })
}
