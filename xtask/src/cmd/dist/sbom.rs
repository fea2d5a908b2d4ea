//! What the binary is made of, as CycloneDX 1.6: every crate that is linked into it or into the eBPF programs inside,
//! with its licence, the sum that the lock file has of it, and who needs whom.
//!
//! `cargo tree` says which crates those are (features as they are built, no build scripts, no macros, no tests),
//! `cargo metadata` what they are. What only helped to build is not listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::binary::{Built, NAME, TARGET};
use super::sums::sha256;
use super::{VERSION, Work};
use crate::{paths, sh};

/// A workspace, the package of it that is shipped, and what that is built for.
const PARTS: [(&str, &str, &str); 2] = [
    ("", NAME, TARGET),
    ("cirron-ebpf", "cirron-ebpf", "bpfel-unknown-none"),
];

/// The product's name.
pub(super) fn name() -> String {
    format!("{NAME}-{VERSION}.cdx.json")
}

/// A crate: name and version.
type Crate = (String, String);

/// Makes it.
pub(super) fn make(work: &Work, built: &Built) -> Result<()> {
    let mut components = BTreeMap::new();
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (folder, package, target) in PARTS {
        let linked = linked(folder, package, target)?;
        let sums = sums(folder)?;
        let metadata = metadata(folder, target)?;
        let ids = ids(&metadata)?;
        for (id, this) in &ids {
            if !linked.contains(this) {
                continue;
            }
            let about = packages(&metadata)
                .find(|p| p["id"] == id.as_str())
                .context("a crate without a description")?;
            components.insert(reference(this), component(this, about, sums.get(this)));
            let needed = nodes(&metadata)
                .filter(|node| node["id"] == id.as_str())
                .flat_map(|node| node["dependencies"].as_array().into_iter().flatten())
                .filter_map(|id| ids.get(id.as_str()?))
                .filter(|other| linked.contains(other))
                .map(reference);
            needs.entry(reference(this)).or_default().extend(needed);
        }
    }
    let own = reference(&(NAME.to_owned(), VERSION.to_owned()));
    let mut main = components.remove(&own).context("the agent itself")?;
    let sum = sha256(&built.program)?;
    main["type"] = json!("application");
    main["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    let mut components: Vec<Value> = components.into_values().collect();
    components.extend(runtime(work)?);
    // The programs are inside: no crate depends on them.
    let programs = components
        .iter()
        .find(|c| c["name"] == "cirron-ebpf")
        .and_then(|c| c["bom-ref"].as_str().map(str::to_owned));
    needs.entry(own).or_default().extend(programs);
    let needs: Vec<Value> = needs
        .into_iter()
        .map(|(who, whom)| json!({ "ref": who, "dependsOn": whom }))
        .collect();
    let mut date = work.command("date");
    date.args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"])
        .arg(format!("@{}", work.epoch));
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&sum)),
        "version": 1,
        "metadata": {
            "timestamp": sh::output(&mut date)?.trim(),
            "tools": { "components": [{ "type": "application", "name": "cargo xtask dist", "version": VERSION }] },
            "component": main,
        },
        "components": components,
        "dependencies": needs,
    });
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    fs::write(work.out.join(name()), text)?;
    Ok(())
}

/// What comes with the compilers.
fn runtime(work: &Work) -> Result<[Value; 2]> {
    let rustc = sh::output(work.command("rustc").arg("--version"))?;
    let version = rustc.split_whitespace().nth(1).context("rustc's version")?;
    let libc = sh::output(work.command("getconf").arg("GNU_LIBC_VERSION"))?;
    let libc = libc.split_whitespace().nth(1).context("glibc's version")?;
    let part = |name: &str, licence: &str, version: &str, description: &str| {
        json!({
            "type": "library",
            "bom-ref": name,
            "name": name,
            "version": version,
            "description": description,
            "licenses": [{ "expression": licence }],
        })
    };
    Ok([
        part(
            "rust-std",
            "MIT OR Apache-2.0",
            version,
            "Rust's standard library",
        ),
        part("glibc", "LGPL-2.1-or-later", libc, "the C library"),
    ])
}

fn component(this: &Crate, about: &Value, sum: Option<&String>) -> Value {
    let reference = reference(this);
    let (name, version) = this;
    let mut component = json!({
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
    });
    if let Some(text) = about["description"].as_str() {
        let words: Vec<&str> = text.split_whitespace().collect();
        component["description"] = json!(words.join(" "));
    }
    if let Some(licence) = about["license"].as_str() {
        // Cargo's old form of "or".
        let licence = licence.replace('/', " OR ");
        component["licenses"] = json!([{ "expression": licence }]);
    }
    if let Some(sum) = sum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    if let Some(url) = about["repository"].as_str() {
        component["externalReferences"] = json!([{ "type": "vcs", "url": url }]);
    }
    component
}

/// A package URL.
fn reference((name, version): &Crate) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// The crates that are linked.
fn linked(folder: &str, package: &str, target: &str) -> Result<BTreeSet<Crate>> {
    let mut tree = sh::cargo(["tree", "--locked", "--prefix", "none", "--format", "{p}"]);
    tree.current_dir(paths::root().join(folder));
    tree.args(["--edges", "normal,no-proc-macro", "--package", package]);
    let text = sh::output(tree.args(["--target", target]))?;
    Ok(text.lines().filter_map(name_and_version).collect())
}

/// Of a line such as `aya v0.14.0 (*)`.
fn name_and_version(line: &str) -> Option<Crate> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some((name.to_owned(), version.to_owned()))
}

fn metadata(folder: &str, target: &str) -> Result<Value> {
    let mut metadata = sh::cargo(["metadata", "--locked", "--format-version", "1"]);
    metadata.current_dir(paths::root().join(folder));
    let text = sh::output(metadata.args(["--filter-platform", target]))?;
    Ok(serde_json::from_str(&text)?)
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn nodes(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
}

/// Cargo's ids, and the crates that they are.
fn ids(metadata: &Value) -> Result<BTreeMap<String, Crate>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    packages(metadata)
        .map(|p| {
            let this = (text(&p["name"])?, text(&p["version"])?);
            Some((text(&p["id"])?, this))
        })
        .collect::<Option<_>>()
        .context("a crate without id, name or version")
}

/// The sums of the lock file.
fn sums(folder: &str) -> Result<BTreeMap<Crate, String>> {
    let text = fs::read_to_string(paths::root().join(folder).join("Cargo.lock"))?;
    Ok(sums_in(&text))
}

fn sums_in(lock: &str) -> BTreeMap<Crate, String> {
    let value = |part: &str, key: &str| {
        part.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))
            .map(|rest| rest.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|part| {
            let this = (value(part, "name")?, value(part, "version")?);
            Some((this, value(part, "checksum")?))
        })
        .collect()
}

/// A UUID (version 8: the maker's own) of a sum, so that the same binary has the same.
fn uuid(sum: &str) -> String {
    let part = |from: usize, to: usize| sum.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

#[cfg(test)]
mod tests {
    use super::{name_and_version, sums_in, uuid};

    #[test]
    fn what_cargo_prints_is_read() {
        let aya = ("aya".to_owned(), "0.14.0".to_owned());
        for line in ["aya v0.14.0", "aya v0.14.0 (*)", "aya v0.14.0 (/a/b)"] {
            assert_eq!(name_and_version(line), Some(aya.clone()));
        }
        assert_eq!(name_and_version(""), None);
        let lock = "version = 4\n\n[[package]]\nname = \"aya\"\nversion = \"0.14.0\"\nchecksum = \"ab\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        assert_eq!(
            sums_in(lock).into_iter().collect::<Vec<_>>(),
            [(aya, "ab".to_owned())]
        );
    }

    #[test]
    fn the_serial_number_is_a_uuid_of_the_sum() {
        let sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(uuid(sum), "01234567-89ab-8cde-8f01-23456789abcd");
    }
}
