//! The name of an image: `REGISTRY/PATH:TAG@DIGEST`, of which most may lack.

/// Parts of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image<'i> {
    /// Registry and path.
    pub(crate) name: &'i str,
    pub(crate) tag: Option<&'i str>,
}

impl Image<'_> {
    /// `None`: it has no name, as an image that is known by its digest alone.
    pub(crate) fn read(reference: &str) -> Option<Image<'_>> {
        let reference = reference.split('@').next().unwrap_or_default();
        let is_hash = |text: &str| text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
        // A colon before the last slash is a registry's port.
        let path = reference.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match reference.get(path..)?.split_once(':') {
            Some((last, tag)) => (reference.get(..path + last.len())?, Some(tag)),
            None => (reference, None),
        };
        let is_digest = name == "sha256" || (path == 0 && tag.is_none() && is_hash(name));
        (!name.is_empty() && !is_digest).then_some(Image {
            name,
            tag: tag.filter(|tag| !tag.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_name_and_a_tag() {
        let hash = "0123456789abcdef".repeat(4);
        for (reference, want) in [
            (
                "vllm/vllm-openai:v0.6.1",
                Some(("vllm/vllm-openai", Some("v0.6.1"))),
            ),
            ("nginx", Some(("nginx", None))),
            ("localhost:5000/a/b", Some(("localhost:5000/a/b", None))),
            ("r:5000/a:1@sha256:0123", Some(("r:5000/a", Some("1")))),
            ("ghcr.io/a@sha256:0123", Some(("ghcr.io/a", None))),
            (&format!("sha256:{hash}"), None),
            (&hash, None),
            ("", None),
            ("a:", Some(("a", None))),
        ] {
            let got = Image::read(reference).map(|image| (image.name, image.tag));
            assert_eq!(got, want, "{reference}");
        }
    }
}
