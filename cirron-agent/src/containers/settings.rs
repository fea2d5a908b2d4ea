//! Whom to ask about Kubernetes, of what the file says and what the platform gives a pod.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cirron_containers::asker::Settings;
use cirron_core::rules::{Kubernetes, PodSource};

use super::Containers;
use crate::cli::say;

/// What a pod gets of its service account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// The kubelet's port.
const KUBELET_PORT: u16 = 10_250;

/// Whom to ask; `None`: nobody. `is_there`: a file is.
///
/// # Errors
/// What lacks, and what would be right.
pub fn settings(
    its: &Kubernetes,
    env: &dyn Fn(&str) -> Option<OsString>,
    is_there: &dyn Fn(&Path) -> bool,
) -> Result<Option<Settings>, String> {
    let token = PathBuf::from(its.token_file.as_deref().unwrap_or(TOKEN));
    if !its.enabled.unwrap_or_else(|| is_there(&token)) {
        return Ok(None);
    }
    let variable = |name: &str| {
        let value = env(name)?.into_string().ok()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        (!value.is_empty() && value.chars().all(is_plain)).then_some(value)
    };
    let node = || its.node.clone().or_else(|| variable("NODE_NAME"));
    let url = match (&its.url, its.source) {
        (Some(url), _) => url.clone(),
        (None, PodSource::Kubelet) => {
            // Names of nodes are seldom known to a cluster's DNS.
            let address = its.node.clone().or_else(|| variable("NODE_IP"));
            let node = address.or_else(node);
            let node = node.unwrap_or_else(|| "127.0.0.1".to_owned());
            format!("https://{}:{KUBELET_PORT}/pods", host(&node))
        }
        (None, PodSource::ApiServer) => {
            let node = node().ok_or(
                "kubernetes.source: the API server is to be asked, and nobody says for which node\n  \
                 set kubernetes.node, or the variable NODE_NAME from `spec.nodeName`",
            )?;
            let place =
                variable("KUBERNETES_SERVICE_HOST").zip(variable("KUBERNETES_SERVICE_PORT"));
            let (api, port) = place.ok_or(
                "kubernetes.source: the API server is to be asked, and nobody says where it is\n  \
                 set kubernetes.url, or the variables KUBERNETES_SERVICE_HOST and _PORT",
            )?;
            let of_node = format!("fieldSelector=spec.nodeName%3D{node}");
            format!("https://{}:{port}/api/v1/pods?{of_node}", host(&api))
        }
    };
    Ok(Some(Settings {
        url,
        token_file: Some(token).filter(|token| its.token_file.is_some() || is_there(token)),
        ca_file: Some(its.ca_file.as_deref().unwrap_or(CA).into()),
        insecure: its.insecure,
    }))
}

/// Puts what a configuration says that was read again into force, where it is something else than `before`.
pub fn change(now: Kubernetes, before: &Mutex<Kubernetes>, containers: &Containers) {
    let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
    if *before == now {
        return;
    }
    match settings(&now, &|name| std::env::var_os(name), &|path| path.exists()) {
        Ok(asks) => {
            containers.set(now.clone(), asks);
            *before = now;
        }
        Err(e) => say(&format!(
            "warning: [kubernetes] is not taken, what held before holds:\n{e}"
        )),
    }
}

/// A name or address as it stands in a URL.
fn host(name: &str) -> String {
    match name.contains(':') && !name.starts_with('[') {
        true => format!("[{name}]"),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn resolved(
        its: &Kubernetes,
        env: &[(&str, &str)],
        token_is_there: bool,
    ) -> Result<Option<Settings>, String> {
        let get = |name: &str| {
            let value = env.iter().find(|(its, _)| *its == name);
            value.map(|(_, value)| OsString::from(value))
        };
        settings(its, &get, &|_| token_is_there)
    }

    #[test]
    fn in_a_pod_the_kubelet_of_its_node_is_asked_and_outside_nobody() {
        let its = Kubernetes::default();
        assert_eq!(resolved(&its, &[], false), Ok(None));
        let asked = resolved(&its, &[("NODE_NAME", "gpu-1")], true)
            .unwrap()
            .unwrap();
        assert_eq!(asked.url, "https://gpu-1:10250/pods");
        assert_eq!(asked.token_file.as_deref(), Some(Path::new(TOKEN)));
        assert_eq!(asked.ca_file.as_deref(), Some(Path::new(CA)));
        let url = |env| resolved(&its, env, true).unwrap().unwrap().url;
        assert_eq!(url(&[]), "https://127.0.0.1:10250/pods");
        assert_eq!(
            url(&[("NODE_NAME", "fd00::1")]),
            "https://[fd00::1]:10250/pods"
        );
        assert_eq!(
            url(&[("NODE_NAME", "a/b?c")]),
            "https://127.0.0.1:10250/pods"
        );
        // By its address where that is told too; a name of the file wins.
        let told = [("NODE_NAME", "gpu-1"), ("NODE_IP", "fd00::2")];
        assert_eq!(url(&told), "https://[fd00::2]:10250/pods");
        let mut named = its.clone();
        named.node = Some("gpu-2".into());
        let asked = resolved(&named, &told, true).unwrap().unwrap();
        assert_eq!(asked.url, "https://gpu-2:10250/pods");
        let mut off = its;
        off.enabled = Some(false);
        assert_eq!(resolved(&off, &[], true), Ok(None));
    }

    #[test]
    fn the_api_server_is_asked_for_the_pods_of_one_node() {
        let mut its = Kubernetes::default();
        its.source = PodSource::ApiServer;
        its.enabled = Some(true);
        let place = [
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
        ];
        let whole = [&place[..], &[("NODE_NAME", "gpu-1")]].concat();
        assert_eq!(
            resolved(&its, &whole, false).unwrap().unwrap().url,
            "https://10.0.0.1:443/api/v1/pods?fieldSelector=spec.nodeName%3Dgpu-1"
        );
        assert!(
            resolved(&its, &place, false)
                .unwrap_err()
                .contains("which node")
        );
        assert!(
            resolved(&its, &[("NODE_NAME", "a")], false)
                .unwrap_err()
                .contains("where it is")
        );
        let mut named = its;
        named.url = Some("https://x/y".into());
        assert_eq!(
            resolved(&named, &[], false).unwrap().unwrap().url,
            "https://x/y"
        );
    }
}
