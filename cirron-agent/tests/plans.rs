//! The places that files with TLS functions get, as text, to compare two states of the planner.
//!
//! `plans.txt` has those of the libraries that the test stacks and Debian 12 bring along, each by its build: a place that moves is
//! seen. An intended change: `UPDATE_GOLDENS=1 cargo test -p cirron-agent --test plans`. Of all files below some paths:
//! `CIRRON_PLANS="/usr /opt" cargo test -p cirron-agent --test plans -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use cirron_agent::{Attach, Choice, Class, Exit, Place, Plan, Quiet, plan};
use object::Object as _;
use object::read::ReadCache;

/// What stands for the folder of the stacks.
const STACKS: &str = "$STACKS";
/// Where the files of the golden lie.
const GOLDEN_ROOTS: [&str; 7] = [
    "$STACKS/python39-root/usr/lib/x86_64-linux-gnu",
    "$STACKS/python-sid-root/usr/lib/x86_64-linux-gnu",
    "$STACKS/llama-root/usr/lib/x86_64-linux-gnu",
    "$STACKS/venv/lib/python3.11/site-packages/cryptography",
    "$STACKS/venv/lib/python3.11/site-packages/curl_cffi",
    "$STACKS/venv/lib/python3.11/site-packages/nassl",
    "$STACKS/venv/lib/python3.11/site-packages/go/bin",
];
/// Of the machine, where they are there.
const GOLDEN_FILES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/libssl.so.3",
    "/usr/lib/x86_64-linux-gnu/libgnutls.so.30",
    "/usr/bin/node",
];

/// As `cargo xtask stacks` has it.
fn stacks() -> Option<PathBuf> {
    if let Some(stacks) = std::env::var_os("CIRRON_STACKS") {
        return Some(stacks.into());
    }
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    Some(cache.join("cirron-agent/stacks"))
}

/// The plan of a file: a line with its name and its build, and its places.
struct Listed {
    head: String,
    places: String,
}

#[test]
fn the_places_of_known_builds_are_what_they_were() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans.txt");
    let known = fs::read_to_string(&golden).unwrap();
    let mut known = parse(&known);
    let stacks = stacks().unwrap_or_default();
    let mut files = Vec::new();
    for root in GOLDEN_ROOTS {
        let root = root.replace(STACKS, &stacks.to_string_lossy());
        find(Path::new(&root), &mut files);
    }
    files.sort();
    files.extend(GOLDEN_FILES.map(PathBuf::from));
    let found = files.iter().filter_map(|path| {
        let shown = path.display().to_string();
        list(path, &shown.replace(&*stacks.to_string_lossy(), STACKS))
    });
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut compared = 0;
    for now in found {
        match known.iter_mut().find(|k| k.head == now.head) {
            Some(known) if update => known.places = now.places,
            Some(known) => {
                assert_eq!(known.places, now.places, "{}", now.head);
                compared += 1;
            }
            None if update => known.push(now),
            // Another build: the distribution went on.
            None => {}
        }
    }
    if update {
        let text: String = known
            .iter()
            .map(|k| k.head.clone() + "\n" + &k.places)
            .collect();
        fs::write(&golden, text).unwrap();
    } else if compared == 0 {
        let required = std::env::var_os("CIRRON_REQUIRE_STACKS").is_some();
        assert!(!required, "none of the builds of plans.txt is here");
        println!("SKIP: none of the builds of plans.txt is here");
    }
}

#[test]
#[ignore = "lists what is below CIRRON_PLANS"]
fn list_of_paths() {
    let paths = std::env::var("CIRRON_PLANS").unwrap_or_default();
    let mut files = Vec::new();
    for path in paths.split_whitespace() {
        find(Path::new(path), &mut files);
    }
    files.sort();
    for path in files {
        if let Some(Listed { head, places }) = list(&path, &path.display().to_string()) {
            print!("{head}\n{places}");
        }
    }
}

/// A head begins a line, its places are indented.
fn parse(text: &str) -> Vec<Listed> {
    let mut all: Vec<Listed> = Vec::new();
    for line in text.lines() {
        match all.last_mut() {
            Some(last) if line.starts_with(' ') => {
                last.places.push_str(line);
                last.places.push('\n');
            }
            _ => all.push(Listed {
                head: line.to_owned(),
                places: String::new(),
            }),
        }
    }
    all
}

/// The regular files at or below `path`. Links are not followed.
fn find(path: &Path, files: &mut Vec<PathBuf>) {
    let Ok(info) = fs::symlink_metadata(path) else {
        return;
    };
    if info.is_file() {
        files.push(path.to_owned());
    } else if info.is_dir()
        && let Ok(entries) = fs::read_dir(path)
    {
        for entry in entries.flatten() {
            find(&entry.path(), files);
        }
    }
}

/// `None` where nothing is said of the file.
fn list(path: &Path, shown: &str) -> Option<Listed> {
    let file = File::open(path).ok()?;
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).ok()?;
    if magic != *b"\x7fELF" {
        return None;
    }
    let look = plan(&Quiet::new(&file), Choice::Cheapest);
    let mut places = String::new();
    match look.plan {
        Plan::Nothing if look.refused.is_empty() => return None,
        Plan::Nothing => {}
        Plan::Unfollowed => places.push_str("  unfollowed\n"),
        Plan::Watch(functions) => functions.iter().for_each(|f| write_places(&mut places, f)),
    }
    for refused in &look.refused {
        let _ = writeln!(places, "  {refused}");
    }
    let head = format!("{shown} {}", build_id(file));
    Some(Listed { head, places })
}

fn build_id(file: File) -> String {
    let cache = ReadCache::new(file);
    let elf = object::File::parse(&cache).ok();
    let id = elf.as_ref().and_then(|elf| elf.build_id().ok().flatten());
    let hex = |id: &[u8]| id.iter().map(|b| format!("{b:02x}")).collect();
    id.map_or_else(|| "-".to_owned(), hex)
}

fn write_places(out: &mut String, attach: &Attach) {
    let place = |place: &Place| {
        let class = match place.class {
            Class::Emulated => "emulated",
            Class::Stepped => "stepped",
        };
        let sign = if place.offset < 0 { "-" } else { "+" };
        let offset = place.offset.unsigned_abs();
        format!("{sign}{offset:#x} {class} {}", place.depth)
    };
    let (name, offset) = (attach.function.name, attach.offset);
    let _ = write!(out, "  {name} {offset:#x}: {}", place(&attach.entry));
    if let Exit::Places(places) = &attach.exit {
        let places: Vec<String> = places.iter().map(place).collect();
        let _ = write!(out, " -> {}", places.join(", "));
    }
    out.push('\n');
}
