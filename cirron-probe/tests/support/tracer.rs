//! A tracer by `uprobe_events`: the kernel puts the breakpoints, raises the semaphores and fetches
//! the arguments as the note says where they lie.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::notes::{self, Note};

/// Where a tracer of the system mounts it.
const TRACEFS: &str = "/sys/kernel/tracing";

/// How much of names, of texts and of attributes is fetched: 64 bytes are an array's most.
const ARRAY: usize = 64;

/// One time that a probe was hit.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) probe: String,
    pub(crate) thread: u64,
    /// Nanoseconds.
    pub(crate) at: u64,
    numbers: BTreeMap<String, u64>,
    bytes: BTreeMap<String, Vec<u8>>,
}

impl Hit {
    /// An argument that is a number, by its position.
    pub(crate) fn number(&self, argument: usize) -> u64 {
        self.numbers[&format!("a{argument}")]
    }

    /// What an argument points to, with the length that the next one tells.
    pub(crate) fn bytes(&self, argument: usize) -> &[u8] {
        let len = self.number(argument + 1) as usize;
        if len == 0 {
            return &[];
        }
        &self.bytes[&format!("b{argument}")][..len.min(ARRAY)]
    }

    /// The same as text.
    pub(crate) fn text(&self, argument: usize) -> &str {
        std::str::from_utf8(self.bytes(argument)).expect("text")
    }
}

/// Which of a stub's two nops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The one that the note names.
    First,
    /// That of five bytes.
    Second,
}

/// Probes in the kernel, which are gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Tracer {
    group: String,
    instance: PathBuf,
    probes: Vec<String>,
}

/// Why there can be none here, or nothing.
fn obstacle() -> Option<String> {
    if !Path::new(TRACEFS).join("uprobe_events").exists() {
        // As the system's own tools do.
        let mount = Command::new("mount")
            .args(["-t", "tracefs", "nodev", TRACEFS])
            .output();
        if !mount.map_or(false, |output| output.status.success()) {
            return Some(format!("{TRACEFS} is not there and cannot be mounted"));
        }
    }
    fs::OpenOptions::new()
        .append(true)
        .open(Path::new(TRACEFS).join("uprobe_events"))
        .err()
        .map(|error| format!("uprobe_events: {error}"))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").map_or(false, |process| process.uid() == 0)
}

fn register(operand: &str) -> String {
    // The kernel names them without the size: %di, %r8, %x0.
    let name = operand.trim_start_matches('%');
    match name.strip_prefix('r') {
        Some(rest) if !rest.starts_with(|c: char| c.is_ascii_digit()) => format!("%{rest}"),
        _ => format!("%{name}"),
    }
}

/// An operand of a note, as the kernel's interface writes it.
fn fetch(operand: &str) -> String {
    let (size, place) = operand.split_once('@').expect("a size");
    assert_eq!(size, "8");
    match place.split_once('(') {
        Some((offset, base)) => format!("+{offset}({})", register(base.trim_end_matches(')'))),
        None => register(place),
    }
}

/// The arguments of a probe that point to bytes.
fn pointers(probe: &str) -> &'static [usize] {
    match probe {
        "mark" => &[1, 4, 6],
        "scope_begin" | "scope_open" | "request_begin" | "request_open" => &[2, 4],
        _ => &[],
    }
}

impl Tracer {
    /// Probes on all notes of a file, not yet listening. Says SKIP where the kernel or the rights are missing.
    pub(crate) fn new(test: &str, path: &Path) -> Option<Self> {
        Self::at(test, path, Place::First, true)
    }

    /// The same at a chosen place, and with or without what the arguments point to: the kernel
    /// fetches that byte by byte, which a benchmark must not count.
    pub(crate) fn at(test: &str, path: &Path, place: Place, pointed: bool) -> Option<Self> {
        if let Some(obstacle) = obstacle() {
            // These run as whoever builds, also where the real-server suite runs as root.
            let required = if is_root() { "CIRRON_REQUIRE_BPF" } else { "" };
            super::skip(test, &obstacle, required);
            return None;
        }
        let group = format!("cirron_{test}_{}", std::process::id());
        let instance = Path::new(TRACEFS).join("instances").join(&group);
        fs::create_dir(&instance).expect("an instance of the kernel's trace");
        let mut tracer = Self {
            group,
            instance,
            probes: Vec::new(),
        };
        for mut note in notes::read(path) {
            if place == Place::Second {
                note.offset += 1;
            }
            tracer.add(path, &note, pointed);
        }
        fs::write(tracer.instance.join("trace_clock"), "mono").expect("the clock");
        Some(tracer)
    }

    fn add(&mut self, path: &Path, note: &Note, pointed: bool) {
        let mut definition = format!(
            "p:{}/{} {}:{:#x}({:#x})",
            self.group,
            note.name,
            path.display(),
            note.offset,
            note.semaphore_offset
        );
        for (i, operand) in note.operands.iter().enumerate() {
            let place = fetch(operand);
            definition.push_str(&format!(" a{i}={place}:u64"));
            if pointed && pointers(&note.name).contains(&i) {
                definition.push_str(&format!(" b{i}=+0({place}):x8[{ARRAY}]"));
            }
        }
        fs::OpenOptions::new()
            .append(true)
            .open(Path::new(TRACEFS).join("uprobe_events"))
            .and_then(|mut events| events.write_all(definition.as_bytes()))
            .unwrap_or_else(|error| panic!("{definition}: {error}"));
        self.probes.push(note.name.clone());
    }

    fn switch(&self, on: bool) {
        for probe in &self.probes {
            let enable = self
                .instance
                .join("events")
                .join(&self.group)
                .join(probe)
                .join("enable");
            fs::write(&enable, if on { "1" } else { "0" }).expect("the switch of a probe");
        }
    }

    /// Semaphores up.
    pub(crate) fn listen(&self) {
        self.switch(true);
    }

    /// Semaphores down.
    pub(crate) fn stop(&self) {
        self.switch(false);
    }

    /// What was hit since the last time, in order.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        let path = self.instance.join("trace");
        let trace = fs::read_to_string(&path).expect("the trace");
        fs::write(&path, "").expect("the trace, emptied");
        trace.lines().filter_map(parse).collect()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.switch(false);
        for probe in &self.probes {
            let gone = fs::OpenOptions::new()
                .append(true)
                .open(Path::new(TRACEFS).join("uprobe_events"))
                .and_then(|mut events| {
                    events.write_all(format!("-:{}/{probe}", self.group).as_bytes())
                });
            if let Err(error) = gone {
                eprintln!("{}/{probe} stays: {error}", self.group);
            }
        }
        let _ = fs::remove_dir(&self.instance);
    }
}

/// A line: `comm-123 [000] ..... 12.345678: scope_end: (0x55..) a0=1 a1=0`.
fn parse(line: &str) -> Option<Hit> {
    if line.starts_with('#') {
        return None;
    }
    let (head, rest) = line.split_once(": ")?;
    let (probe, arguments) = rest.split_once(": ")?;
    let thread = head.split(" [").next()?.rsplit('-').next()?.trim();
    let (seconds, micros) = head.rsplit(' ').next()?.split_once('.')?;
    let mut hit = Hit {
        probe: probe.to_owned(),
        thread: thread.parse().ok()?,
        at: seconds.parse::<u64>().ok()? * 1_000_000_000 + micros.parse::<u64>().ok()? * 1_000,
        numbers: BTreeMap::new(),
        bytes: BTreeMap::new(),
    };
    for argument in arguments.split_whitespace() {
        let Some((name, value)) = argument.split_once('=') else {
            continue;
        };
        if let Ok(number) = value.parse() {
            hit.numbers.insert(name.to_owned(), number);
        } else if let Some(array) = value.strip_prefix('{') {
            let bytes = array
                .trim_end_matches('}')
                .split(',')
                .filter_map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).ok())
                .collect();
            hit.bytes.insert(name.to_owned(), bytes);
        }
    }
    Some(hit)
}
