//! The list itself: of each pod what [`crate::about`] keeps, by the ids of its containers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::owner::owner;
use crate::about::{self, About, Pod, text};

/// Containers of one answer. A kubelet runs 110 pods by default, and some have five hundred of a few containers each.
pub(crate) const MAX_CONTAINERS: usize = 4_096;

/// Digits of a container's id.
const ID_DIGITS: usize = 64;

#[derive(Deserialize)]
struct PodList {
    /// That it is one: an answer of another kind has none.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    creation_timestamp: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    owner_references: Option<Vec<OwnerReference>>,
}

#[derive(Deserialize)]
struct OwnerReference {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

/// Its variables and arguments are passed over: they hold secrets.
#[derive(Deserialize)]
struct Container {
    name: String,
    image: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    image: Option<String>,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    /// The container before it, that ended: its processes may have requests that end now.
    #[serde(default)]
    last_state: State,
}

#[derive(Default, Deserialize)]
struct State {
    #[serde(default)]
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
struct Terminated {
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

/// The containers of a list of pods, by their ids, and how many had no room.
///
/// # Errors
/// It is no such list.
pub(crate) fn containers(json: &[u8]) -> Result<(BTreeMap<String, About>, u64), serde_json::Error> {
    let list: PodList = serde_json::from_slice(json)?;
    let Some(items) = list.items else {
        // An empty list has `null` there, but no other answer has a `kind` that says so.
        return match serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(json)?
            .contains_key("items")
        {
            true => Ok(Default::default()),
            false => Err(serde::de::Error::missing_field("items")),
        };
    };
    let (mut all, mut left_out) = (BTreeMap::new(), 0);
    for item in items {
        let images = images(&item.spec);
        let statuses = statuses(item.status);
        let Some(pod) = pod(item.metadata, item.spec.node_name.as_deref()) else {
            continue;
        };
        for status in statuses {
            let Some(name) = text(&status.name) else {
                continue;
            };
            let image = images.get(&name).cloned();
            let image = image.or_else(|| text(status.image.as_deref()?));
            let before = status.last_state.terminated.and_then(|it| it.container_id);
            let ids = [status.container_id, before].into_iter().flatten();
            for id in ids.filter_map(|id| bare(&id)) {
                if all.len() >= MAX_CONTAINERS {
                    left_out += 1;
                    continue;
                }
                let about = About {
                    name: Some(name.clone()),
                    image: image.clone(),
                    pod: Some(pod.clone()),
                };
                all.insert(id, about);
            }
        }
    }
    Ok((all, left_out))
}

/// `containerd://ID` without its runtime.
fn bare(id: &str) -> Option<String> {
    let bare = id.split_once("://")?.1;
    let is_id = bare.len() == ID_DIGITS && bare.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| bare.to_owned())
}

/// Images by the names of containers.
fn images(spec: &Spec) -> BTreeMap<String, String> {
    let kinds = [
        &spec.containers,
        &spec.init_containers,
        &spec.ephemeral_containers,
    ];
    let all = kinds.into_iter().flatten().flatten();
    all.filter_map(|its| Some((text(&its.name)?, text(its.image.as_deref()?)?)))
        .collect()
}

fn statuses(status: Status) -> impl Iterator<Item = ContainerStatus> {
    let kinds = [
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    ];
    kinds.into_iter().flatten().flatten()
}

fn pod(metadata: Metadata, node: Option<&str>) -> Option<Pod> {
    let labels = metadata.labels.unwrap_or_default();
    let owners = metadata.owner_references.unwrap_or_default();
    let controller = owners.iter().find(|owner| owner.controller == Some(true));
    let created = metadata.creation_timestamp.as_deref();
    Some(Pod {
        name: text(&metadata.name)?,
        namespace: text(&metadata.namespace).unwrap_or_default(),
        uid: text(&metadata.uid).unwrap_or_default(),
        node: node.and_then(text),
        owner: controller.and_then(|its| owner((&its.kind, &its.name), &labels, created)),
        env: about::env(&labels, &metadata.annotations.unwrap_or_default()),
        labels: about::labels(labels),
        is_whole: true,
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
