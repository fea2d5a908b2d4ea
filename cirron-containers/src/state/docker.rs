//! Docker: `config.v2.json` of each container.

use serde::Deserialize;

use super::root::Root;
use crate::about::{About, text};

/// Where it is, unless `data-root` moved it without a link.
pub(super) const CONTAINERS: &str = "var/lib/docker/containers";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    name: Option<String>,
    #[serde(default)]
    config: Config,
}

/// Its variables and arguments are passed over.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    image: Option<String>,
}

pub(super) fn look(root: &Root, id: &str) -> Option<About> {
    let json = root.read(CONTAINERS, &format!("{id}/config.v2.json"))?;
    let container: Container = serde_json::from_slice(&json).ok()?;
    let name = container.name.as_deref();
    Some(About {
        name: name.and_then(|name| text(name.strip_prefix('/').unwrap_or(name))),
        image: container.config.image.as_deref().and_then(text),
        pod: None,
    })
}
