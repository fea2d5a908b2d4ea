//! What is known of a container, and what of that is written.

use std::collections::BTreeMap;

use cirron_core::rules::wanted_config;
use cirron_core::scope::names as n;
use serde::{Deserialize, Serialize};

use crate::image::Image;

/// Bytes of one text: Kubernetes's names have 253 at most, values of labels 63, and images' names 255 with a tag of 128.
const MAX_TEXT_BYTES: usize = 512;

/// Bytes of a configuration in an annotation: as many as are looked at of a process's variable.
const MAX_CONFIG_BYTES: usize = 64 * 1024;

/// Labels of a pod that are kept: pods have five to twenty. Past it, those behind in the order of their names are not.
const MAX_LABELS: usize = 64;

/// Labels or annotations that say whose a deployment is, and the variables of the environment that say the same.
const DEPLOYMENT: [(&str, &str); 3] = [
    ("cirron.com/deployment-id", "CIRRON_DEPLOYMENT_ID"),
    ("cirron.com/workspace-id", "CIRRON_WORKSPACE_ID"),
    ("cirron.com/config", "CONFIG"),
];

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What it is called: in its pod where it is in one, else by its runtime.
    pub name: Option<String>,
    /// Its image, as whoever started it named it.
    pub image: Option<String>,
    /// Its pod.
    pub pod: Option<Pod>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its id.
    pub uid: String,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// Who controls it.
    pub owner: Option<Owner>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Variables that its labels and annotations stand for.
    pub env: BTreeMap<String, String>,
    /// A list of pods has it: what lacks is not there. Else a container's runtime told of it, who knows its name alone.
    pub is_whole: bool,
}

/// Who controls a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// A ReplicaSet, and the Deployment that made it.
    ReplicaSet {
        /// Its name.
        name: String,
        /// That of the Deployment, where one made it.
        deployment: Option<String>,
    },
    /// A StatefulSet.
    StatefulSet(String),
    /// A DaemonSet.
    DaemonSet(String),
    /// A Job, and the CronJob that made it.
    Job {
        /// Its name.
        name: String,
        /// That of the CronJob, where one made it.
        cron_job: Option<String>,
    },
    /// Something else: its kind and name.
    Other(String, String),
}

/// A text as it is kept; `None`: it is longer than any may be.
pub(crate) fn text(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= MAX_TEXT_BYTES).then(|| text.to_owned())
}

/// Texts by name as they are kept.
pub(crate) fn labels(all: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let fits = |(name, value): &(String, String)| {
        name.len() <= MAX_TEXT_BYTES && value.len() <= MAX_TEXT_BYTES
    };
    all.into_iter().filter(fits).take(MAX_LABELS).collect()
}

/// What labels and annotations say that a variable of the process's environment says too. Of both the annotation is
/// taken: a label has fewer characters to say it.
pub(crate) fn env(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let said = DEPLOYMENT.into_iter().filter_map(|(name, variable)| {
        let value = annotations.get(name).or_else(|| labels.get(name))?;
        let kept = match variable {
            "CONFIG" if value.len() <= MAX_CONFIG_BYTES => wanted_config(value),
            "CONFIG" => None,
            _ => text(value),
        };
        Some((variable.to_owned(), kept?))
    });
    said.collect()
}

impl About {
    /// All is known that anybody will say.
    pub fn is_whole(&self) -> bool {
        self.pod.as_ref().is_none_or(|pod| pod.is_whole)
    }

    /// What is written of it, by names of attributes. `writes_label`: whether a label is.
    pub fn attributes(&self, writes_label: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                all.insert(name.to_owned(), value.to_owned());
            }
        };
        if let Some(image) = self.image.as_deref().and_then(Image::read) {
            set(n::IMAGE_NAME, Some(image.name));
            set(n::IMAGE_TAGS, image.tag);
        }
        let Some(pod) = &self.pod else {
            set(n::CONTAINER_NAME, self.name.as_deref());
            return all;
        };
        set(n::POD_CONTAINER, self.name.as_deref());
        set(n::POD, Some(&pod.name));
        set(n::NAMESPACE, Some(&pod.namespace));
        set(n::POD_UID, Some(&pod.uid));
        set(n::NODE, pod.node.as_deref());
        match &pod.owner {
            None => {}
            Some(Owner::ReplicaSet { name, deployment }) => {
                set(n::REPLICASET, Some(name));
                set(n::DEPLOYMENT, deployment.as_deref());
            }
            Some(Owner::StatefulSet(name)) => set(n::STATEFULSET, Some(name)),
            Some(Owner::DaemonSet(name)) => set(n::DAEMONSET, Some(name)),
            Some(Owner::Job { name, cron_job }) => {
                set(n::JOB, Some(name));
                set(n::CRONJOB, cron_job.as_deref());
            }
            Some(Owner::Other(kind, name)) => set(n::POD_OWNER, Some(&format!("{kind}/{name}"))),
        }
        for (name, value) in pod.labels.iter().filter(|(name, _)| writes_label(name)) {
            set(&format!("{}{name}", n::POD_LABEL), Some(value));
        }
        all
    }
}
