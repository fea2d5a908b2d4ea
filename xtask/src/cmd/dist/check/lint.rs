//! lintian of the `.deb`, man of the manual pages, bash of its completions.

use anyhow::{Result, ensure};

use super::super::binary::Built;
use super::super::layout::files;
use super::super::{VERSION, Work};
use crate::{paths, sh};

pub(super) fn check(work: &Work, built: &Built) -> Result<String> {
    let mut lintian = work.command("lintian");
    lintian.args(["--fail-on", "error,warning", "--allow-root"]);
    sh::run(lintian.arg(work.out.join(format!("cirron-agent_{VERSION}_amd64.deb"))))?;
    let pages = files(&built.generated.join("man"))?;
    for page in &pages {
        let mut man = work.command("man");
        let said = man
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(page)
            .output()?;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        ensure!(said.is_empty(), "{}: {said}", page.display());
    }
    if paths::in_path("bash").is_some() {
        let mut bash = work.command("bash");
        sh::run_quietly(
            bash.arg("-n")
                .arg(built.generated.join("completions/cirron-agent.bash")),
        )?;
    }
    Ok(format!(
        "lintian has no remark that is not explained, {} manual pages",
        pages.len()
    ))
}
