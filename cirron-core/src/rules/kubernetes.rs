//! Settings of what is asked about Kubernetes: `[kubernetes]` of the agent's file.
//!
//! What they are set to is read here, and what they mean together is said. Nobody is asked: that is the shell's.

use serde_json::Value;

use super::keys::{one, text, url};
use super::pattern::Glob;
use super::schema::{Fault, Section, TableKey, Wrong, table_keys, texts};

/// Who is asked for the pods of this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodSource {
    /// The kubelet of this node.
    #[default]
    Kubelet,
    /// The API server, for those of this node.
    ApiServer,
}

/// `[kubernetes]`: what is not set is `None`, and has the default that the documents say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kubernetes {
    /// Whether anybody is asked.
    pub enabled: Option<bool>,
    /// Who.
    pub source: PodSource,
    /// Where the list of pods is.
    pub url: Option<String>,
    /// This node's name.
    pub node: Option<String>,
    /// The file with the token that says who asks.
    pub token_file: Option<String>,
    /// The file with the certificates that the answer's must be signed by.
    pub ca_file: Option<String>,
    /// Any certificate is taken.
    pub insecure: bool,
    labels: Option<Vec<Glob>>,
}

/// Labels that are written where nobody chose any: what a pod is called, and what it is of.
const LABELS: [&str; 2] = ["app", "app.kubernetes.io/*"];

impl Kubernetes {
    /// Whether a label of a pod is written.
    pub fn writes_label(&self, name: &str) -> bool {
        match &self.labels {
            Some(labels) => labels.iter().any(|glob| glob.matches(name)),
            None => LABELS
                .iter()
                .any(|text| Glob::new(text).is_ok_and(|glob| glob.matches(name))),
        }
    }
}

table_keys! {
    /// Every key of `[kubernetes]`.
    KUBERNETES_KEYS, READ_BY: Kubernetes {
    "enabled", false, "true or false",
    "whether the pods of this node are asked for. Where it is not said they are, if the file with the token is there when the agent starts",
    |value, its| one(value, &mut its.enabled, Value::as_bool);

    "source", false, "\"kubelet\" or \"api-server\"",
    "who is asked: the kubelet of this node (default), or the API server, which has more to do with each node that asks",
    |value, its| {
        let mut source = None;
        let faults = one(value, &mut source, source_of);
        its.source = source.unwrap_or_default();
        faults
    };

    "url", false, "a URL that begins with https:// or http://",
    "where the list of pods is. By default `https://NODE:10250/pods`, where NODE is `node`, else the environment's `NODE_IP` or `NODE_NAME`, else `127.0.0.1`; of the API server `https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/pods?fieldSelector=spec.nodeName%3DNODE`. Over http:// no token is sent",
    |value, its| one(value, &mut its.url, url);

    "node", false, "a name or an address",
    "this node. By default the environment's `NODE_NAME`",
    |value, its| one(value, &mut its.node, |value| text(value).filter(|text| !text.contains(['/', ' '])));

    "token_file", false, "a path",
    "the file with the token that says who asks; read again for each question. By default the service account's, `/var/run/secrets/kubernetes.io/serviceaccount/token`",
    |value, its| one(value, &mut its.token_file, text);

    "ca_file", false, "a path",
    "the file with the certificates, as PEM, of which one has to have signed the answerer's. By default the service account's, `/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`",
    |value, its| one(value, &mut its.ca_file, text);

    "insecure", false, "true or false",
    "`true`: whoever answers is believed, and gets the token. For kubelets that have a certificate which nobody signed, on their own node",
    |value, its| {
        let mut is = None;
        let faults = one(value, &mut is, Value::as_bool);
        its.insecure = is.unwrap_or_default();
        faults
    };

    "labels", false, "a name, or a list of them, each with `*` for any characters: \"app\", \"app.kubernetes.io/*\"",
    "labels of pods that are written, as `k8s.pod.label.NAME`. By default `app` and `app.kubernetes.io/*`",
    labels;
    }
}

impl Section for Kubernetes {
    const NAME: &'static str = "kubernetes";
    const KEYS: &'static [TableKey<Kubernetes>] = READ_BY;
}

fn labels(value: &Value, its: &mut Kubernetes) -> Vec<Fault> {
    let mut labels = Vec::new();
    let faults = texts(value, &mut labels, |text| {
        // A list that was written where a text belongs is none of a name's.
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_./*".contains(c);
        match text.chars().all(is_name) {
            true => Glob::new(text),
            false => Err(Wrong::Value),
        }
    });
    its.labels = Some(labels);
    faults
}

fn source_of(value: &Value) -> Option<PodSource> {
    match value.as_str()? {
        "kubelet" => Some(PodSource::Kubelet),
        "api-server" => Some(PodSource::ApiServer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::read_section;
    use super::*;

    #[test]
    fn of_two_files_the_first_that_has_a_key_decides() {
        let first = json!({"kubernetes": {"node": "a", "labels": "team"}});
        let second = json!({"kubernetes": {"node": "b", "insecure": true, "labels": ["app"]}});
        let (read, wrong) = read_section::<Kubernetes>(&[(1, &first), (2, &second)]);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!((read.node.as_deref(), read.insecure), (Some("a"), true));
        assert!(read.writes_label("team") && !read.writes_label("app"));
        let default = Kubernetes::default();
        assert!(default.writes_label("app") && default.writes_label("app.kubernetes.io/name"));
        assert!(!default.writes_label("pod-template-hash"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (section, said) in [
            (json!(7), "kubernetes: this is no table"),
            (
                json!({"uri": "x"}),
                "kubernetes.uri: there is no such key\n  did you mean `url`?",
            ),
            (
                json!({"url": "kubelet"}),
                "kubernetes.url: this value is not taken",
            ),
            (json!({"source": "etcd"}), "kubernetes.source: "),
            (json!({"enabled": "yes"}), "kubernetes.enabled: "),
            (json!({"insecure": 1}), "kubernetes.insecure: "),
            (json!({"labels": ["a b"]}), "kubernetes.labels[0]: "),
            (json!({"token_file": ""}), "kubernetes.token_file: "),
            (json!({"ca_file": "x".repeat(2000)}), "kubernetes.ca_file: "),
            (json!({"node": "a/b"}), "kubernetes.node: "),
        ] {
            let file = json!({ "kubernetes": section });
            let (_, wrong) = read_section::<Kubernetes>(&[(4, &file)]);
            assert_eq!(wrong.len(), 1, "{file}");
            assert!(wrong.iter().all(|problem| problem.layer == 4));
            let text = wrong.first().map(ToString::to_string).unwrap_or_default();
            assert!(text.starts_with(said), "{text}");
        }
    }
}
