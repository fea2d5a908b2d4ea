//! What `doctor` says of containers and pods: whose state is on this machine, whether somebody answers for its pods, and
//! what is known of the containers of the processes that were named.
//!
//! None of it keeps a capture from beginning, so that it changes no exit code.

use std::collections::BTreeMap;

use cirron_containers::About;
use cirron_containers::asker::{Answer, Settings, Trouble};
use cirron_containers::state::{self, Root};

use super::asker;
use crate::discovery::cgroup;

/// As text, with a line for each. `asks`: whom a daemon would ask.
pub fn containers(asks: Result<Option<Settings>, String>, pids: &[u32]) -> String {
    let root = state::of_this_machine();
    let runtimes = root.as_ref().map(state::runtimes).unwrap_or_default();
    let mut out = String::from("\ncontainers:\n");
    out.push_str(&match runtimes.is_empty() {
        true => row(
            "none",
            "state on disk",
            "no runtime that we know keeps any here",
            None,
        ),
        false => row("ok", "state on disk", &runtimes.join(", "), None),
    });
    let (said, listed) = pods(asks);
    out.push_str(&said);
    for pid in pids {
        out.push_str(&of_process(*pid, root.as_ref(), &listed));
    }
    out
}

/// One check. Its fix stands on a line of its own.
fn row(answer: &str, what: &str, found: &str, fix: Option<&str>) -> String {
    let fix = fix.map_or(String::new(), |fix| {
        format!("         {:13}  fix: {fix}\n", "")
    });
    format!("{answer:8} {what:13}  {found}\n{fix}")
}

/// Asks for the pods of this node, by a process without rights as an agent does.
fn pods(asks: Result<Option<Settings>, String>) -> (String, BTreeMap<String, About>) {
    let none = BTreeMap::new();
    let url = match asks {
        Err(why) => {
            let (what, fix) = why.split_once("\n  ").unwrap_or((&why, ""));
            return (row("MISSING", "pods", what, Some(fix)), none);
        }
        Ok(None) => {
            let why = "not asked for: this is no pod with a service account, or the configuration says so";
            let fix = "in a cluster: `[kubernetes] enabled = true`, with a `token_file`";
            return (row("none", "pods", why, Some(fix)), none);
        }
        Ok(Some(settings)) => match answer(&settings) {
            Ok(Answer::Pods {
                containers,
                left_out,
            }) => {
                return (
                    row(
                        "ok",
                        "pods",
                        &counted(&settings.url, &containers, left_out),
                        None,
                    ),
                    containers,
                );
            }
            Ok(Answer::None(Trouble { what, fix })) => {
                let fix = fix.unwrap_or_else(|| {
                    "see that it runs, and that it can be reached from here".to_owned()
                });
                return (row("MISSING", "pods", &what, Some(&fix)), none);
            }
            Err(e) => format!("{}: {e:#}", settings.url),
        },
    };
    (row("unknown", "pods", &url, None), none)
}

fn answer(settings: &Settings) -> anyhow::Result<Answer> {
    let mut asker = asker::start()?;
    asker.set(settings)?;
    Ok(asker.ask()?)
}

fn counted(url: &str, containers: &BTreeMap<String, About>, left_out: u64) -> String {
    let pods = containers.values().filter_map(|about| about.pod.as_ref());
    let pods: std::collections::BTreeSet<_> = pods.map(|pod| &pod.uid).collect();
    let more = match left_out {
        0 => String::new(),
        n => format!(", {n} more left out"),
    };
    format!(
        "{} containers of {} pods{more}, says {url}",
        containers.len(),
        pods.len()
    )
}

/// The container of a process, and what is known of it.
fn of_process(pid: u32, root: Option<&Root>, listed: &BTreeMap<String, About>) -> String {
    let what = format!("process {pid}");
    let Some(path) = cgroup::read(pid) else {
        return row("unknown", &what, "its cgroup cannot be read", None);
    };
    let Some(id) = cgroup::container(&path) else {
        return row("none", &what, "in no container", None);
    };
    let on_disk = || state::look(root?, id);
    let short = id.get(..12).unwrap_or(id);
    match listed.get(id).cloned().or_else(on_disk) {
        Some(about) => row(
            "ok",
            &what,
            &format!("container {short}: {}", told(&about)),
            None,
        ),
        None => row(
            "unknown",
            &what,
            &format!("container {short}: neither a list of pods nor a runtime's state names it"),
            None,
        ),
    }
}

/// What is known, in the order of a rule's keys.
fn told(about: &About) -> String {
    let pod = about.pod.as_ref();
    let parts = [
        ("container", about.name.as_deref()),
        ("image", about.image.as_deref()),
        ("pod", pod.map(|pod| pod.name.as_str())),
        ("namespace", pod.map(|pod| pod.namespace.as_str())),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key} = \"{}\"", value?)));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use cirron_containers::about::Pod;

    use super::*;

    #[test]
    fn why_nobody_is_asked_is_said_with_what_to_do() {
        let (said, _) = pods(Err(
            "kubernetes.source: nobody says where\n  set kubernetes.url".into(),
        ));
        assert_eq!(
            said,
            "MISSING  pods           kubernetes.source: nobody says where\n         \
             \u{20}              fix: set kubernetes.url\n"
        );
        let (said, _) = pods(Ok(None));
        assert!(
            said.starts_with("none     pods           not asked for"),
            "{said}"
        );
        assert!(said.contains("fix: "), "{said}");
    }

    #[test]
    fn a_process_is_told_by_its_container_as_rules_name_it() {
        let about = About {
            name: Some("vllm".into()),
            image: Some("vllm/vllm-openai:v1".into()),
            pod: Some(Pod {
                name: "llama-0".into(),
                namespace: "models".into(),
                ..Pod::default()
            }),
        };
        assert_eq!(
            told(&about),
            r#"container = "vllm", image = "vllm/vllm-openai:v1", pod = "llama-0", namespace = "models""#
        );
        let of_us = of_process(std::process::id(), None, &BTreeMap::new());
        assert!(
            of_us.contains(&format!("process {}", std::process::id())),
            "{of_us}"
        );
        let gone = of_process(u32::MAX, None, &BTreeMap::new());
        assert!(gone.starts_with("unknown"), "{gone}");
        let counted = counted("https://n/pods", &[("a".to_owned(), about)].into(), 2);
        assert_eq!(
            counted,
            "1 containers of 1 pods, 2 more left out, says https://n/pods"
        );
    }
}
