//! The Python module: its wheel, and a real tracer on its library. The tour of the examples is told as
//! the SDK itself tells it, name by name and mark by mark.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    clippy::unwrap_used,
    clippy::incompatible_msrv,
    reason = "a test may panic, and is built by today's compiler"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};

use support::tracer::{Hit, Tracer};
use support::{notes, package, scratch, skip, stacks, PROBES};

/// A probe listens to the library, which all tests load.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Where the module was unpacked from its wheel, if it could be built; once for all tests.
fn installed() -> Option<&'static Path> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !is_there("python3") || !is_there("cc") {
            return None;
        }
        let directory = scratch("python");
        let wheels = directory.join("wheels");
        let built = Command::new("python3")
            .arg(package().join("python/build_backend.py"))
            .arg(&wheels)
            .output()
            .unwrap();
        let wheel = succeeded(&built);
        // A wheel is an archive of what is to be imported.
        let target = directory.join("site");
        let unpacked = Command::new("python3")
            .args(["-m", "zipfile", "-e", wheel.trim()])
            .arg(&target)
            .output()
            .unwrap();
        succeeded(&unpacked);
        Some(target)
    };
    let installed = INSTALLED.get_or_init(build).as_deref();
    if installed.is_none() {
        skip(
            "the Python module",
            "no python3 or no cc",
            "CIRRON_REQUIRE_COMPILERS",
        );
    }
    installed
}

fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn python(site: &Path, arguments: &[&str]) -> String {
    let output = Command::new("python3")
        .args(arguments)
        .env("PYTHONPATH", site)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    succeeded(&output)
}

/// A program as the tracer sees it.
fn traced(test: &str, program: &str) -> Option<Vec<Hit>> {
    let site = installed()?;
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let tracer = Tracer::new(test, &site.join("cirron_probe/libcirron_probe.so"))?;
    tracer.listen();
    python(site, &["-c", program]);
    tracer.stop();
    Some(tracer.hits())
}

fn integer(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().unwrap())
}

fn shown(kind: u8, word: u64) -> String {
    match kind {
        1 | 6 => (word as i64).to_string(),
        2 => format!("{:.3}", f64::from_bits(word)),
        3 if word == 0 => "False".to_owned(),
        3 => "True".to_owned(),
        _ => word.to_string(),
    }
}

/// Attributes as ` key=value`, in order, and the index as `[i]`.
fn attributes(mut bytes: &[u8]) -> (String, String) {
    let (mut index, mut all) = (String::new(), BTreeMap::new());
    while let [kind, key_len, low, high, rest @ ..] = bytes {
        let (key, rest) = rest.split_at(usize::from(*key_len));
        let (value, rest) = rest.split_at(usize::from(u16::from_ne_bytes([*low, *high])));
        let value = match kind {
            4 => String::from_utf8(value.to_vec()).unwrap(),
            3 => shown(3, value[0].into()),
            kind => shown(*kind, integer(value)),
        };
        if *kind == 6 {
            index = format!("[{value}]");
        } else {
            all.insert(String::from_utf8(key.to_vec()).unwrap(), value);
        }
        bytes = rest;
    }
    let all = all.iter().map(|(key, value)| format!(" {key}={value}"));
    (index, all.collect())
}

/// One line for each scope and mark, sorted, as `python/sdk_tree.py` writes the SDK's.
fn lines(hits: &[Hit]) -> Vec<String> {
    let mut places: BTreeMap<u64, String> = BTreeMap::from([(0, String::new())]);
    let mut lines = Vec::new();
    for hit in hits {
        match hit.probe.as_str() {
            begins if begins.ends_with("_begin") || begins.ends_with("_open") => {
                let request = begins.starts_with("request");
                let name = if request { "request" } else { hit.text(2) };
                let (index, attributes) = attributes(hit.bytes(4));
                let mut place = places[&hit.number(1)].clone();
                if !place.is_empty() {
                    place.push_str(" > ");
                }
                place.push_str(&format!("{name}{index}{attributes}"));
                lines.push(place.clone());
                places.insert(hit.number(0), place);
            }
            "mark" => {
                let name = hit.text(1);
                let kind = hit.number(3);
                let types = ["", "int", "float", "bool", "string", "int"];
                let value = match kind & 0xff {
                    _ if name.ends_with("_ms") || name == "tokens_per_second" => "*".to_owned(),
                    4 => hit.text(4).to_owned(),
                    kind => shown(kind as u8, hit.number(4)),
                };
                lines.push(format!(
                    "{} : {name} = {value} ({} {}){}",
                    places[&hit.number(0)],
                    types[(kind & 0xff) as usize],
                    if kind & 1 << 8 == 0 {
                        "point"
                    } else {
                        "summary"
                    },
                    attributes(hit.bytes(6)).1
                ));
            }
            _ => {}
        }
    }
    lines.sort();
    lines
}

#[test]
fn the_wheel_has_the_library_and_its_notes() {
    let Some(site) = installed() else {
        return;
    };
    notes::check(&site.join("cirron_probe/libcirron_probe.so"), &PROBES);
    let printed = python(
        site,
        &[
            "-c",
            "import cirron_probe as p; print(p.available(), p.dropped())",
        ],
    );
    assert_eq!(printed, "True 0\n");
}

#[test]
fn without_its_library_the_module_tells_nothing() {
    let Some(site) = installed() else {
        return;
    };
    let bare = scratch("python").join("bare");
    std::fs::create_dir_all(bare.join("cirron_probe")).unwrap();
    for file in ["__init__.py", "_library.py", "_scope.py", "_inference.py"] {
        let from = site.join("cirron_probe").join(file);
        std::fs::copy(from, bare.join("cirron_probe").join(file)).unwrap();
    }
    let tour = package().join("examples/python/tour.py");
    assert_eq!(python(&bare, &[tour.to_str().unwrap()]), "");
}

#[test]
fn the_tour_is_told_as_the_sdk_tells_it() {
    let Some(site) = installed() else {
        return;
    };
    let tour = package().join("examples/python/tour.py");
    let tour = tour.to_str().unwrap();
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|lock| lock.into_inner());
    let Some(tracer) = Tracer::new("tour", &site.join("cirron_probe/libcirron_probe.so")) else {
        return;
    };
    tracer.listen();
    python(site, &[tour]);
    tracer.stop();
    let hits = tracer.hits();
    let told = lines(&hits);
    assert_eq!(told.iter().filter(|line| *line == "request").count(), 7);
    let ends = hits.iter().filter(|hit| hit.probe == "scope_end");
    assert_eq!(
        ends.count(),
        told.iter().filter(|line| !line.contains(" : ")).count()
    );
    let sdk = stacks().join("venv/bin/python");
    if !sdk.exists() {
        return skip("the SDK's own tour", "no stacks", "CIRRON_REQUIRE_STACKS");
    }
    let out = scratch("python").join(format!("sdk-{}", std::process::id()));
    let run = Command::new(&sdk)
        .args([tour, "cirron"])
        .env("CIRRON_OUTPUT_DIR", &out)
        .output()
        .unwrap();
    succeeded(&run);
    let tree = Command::new(&sdk)
        .arg(package().join("tests/python/sdk_tree.py"))
        .arg(&out)
        .output()
        .unwrap();
    let tree = succeeded(&tree);
    let mut expected: Vec<&str> = tree.lines().collect();
    expected.sort_unstable();
    assert_eq!(told, expected);
    std::fs::remove_dir_all(out).unwrap();
}

#[test]
fn tasks_threads_and_generators_keep_their_own_scopes() {
    let program = r#"
import asyncio, contextvars, threading
from cirron_probe import inference, mark, scope

async def child(i):
    with scope("child", index=i):
        await asyncio.sleep(0.001 * (3 - i))
        mark("i", i)

async def main():
    with scope("outer"):
        await asyncio.gather(*(child(i) for i in range(3)))
        await asyncio.to_thread(lambda: mark("of outer", 1))
    threading.Thread(target=lambda: mark("of nobody", 1)).start()

asyncio.run(main())
a, b = scope("a"), scope("b")
a.__enter__(); b.__enter__()
a.__exit__(None, None, None)
with scope("in b"): pass
b.__exit__(None, None, None)
with scope("in nothing"): pass

@scope("decorated", index=1)
def generate():
    mark("inside", 1)
    yield 1
list(generate())

@inference
def serve():
    with scope("held"):
        yield 1
        mark("still inside", 2)
        yield 2
for _ in serve():
    with scope("outside"): pass
"#;
    let Some(hits) = traced("tasks", program) else {
        return;
    };
    let told = lines(&hits);
    for expected in [
        "outer",
        "outer > child[0]",
        "outer > child[1] : i = 1 (int point)",
        "outer : of outer = 1 (int point)",
        " : of nobody = 1 (int point)",
        "a > b > in b",
        "in nothing",
        "decorated[1] : inside = 1 (int point)",
        "request > held : still inside = 2 (int point)",
        "outside",
    ] {
        assert!(
            told.iter().any(|line| line == expected),
            "{expected}\n{told:#?}"
        );
    }
    // Inside of the loop no thread is claimed; the generator's request and scope rest with it.
    let probe = |name: &str| {
        let named = |hit: &&Hit| {
            ["scope_begin", "scope_open"].contains(&hit.probe.as_str()) && hit.text(2) == name
        };
        hits.iter().find(named).unwrap()
    };
    assert_eq!(probe("child").probe, "scope_open");
    assert_eq!(probe("b").probe, "scope_begin");
    let held = probe("held").number(0);
    let turns: Vec<_> = hits
        .iter()
        .filter(|hit| hit.number(0) == held)
        .map(|hit| hit.probe.as_str())
        .collect();
    assert_eq!(
        turns,
        [
            "scope_begin",
            "scope_exit",
            "scope_enter",
            "mark",
            "scope_exit",
            "scope_enter",
            "scope_end"
        ]
    );
}

#[test]
fn errors_limits_and_values_of_no_kind() {
    let program = r#"
import asyncio, contextlib
from cirron_probe import dropped, inference, mark, scope

with contextlib.ExitStack() as stack:
    for i in range(67):
        stack.enter_context(scope("deep", index=i))
    assert dropped() == 3
with scope("big", text="\u20ac" * 1000, more="x" * 1000, none=None, odd=[1]):
    mark("huge", 1 << 70)
    mark("unsigned", (1 << 64) - 1)
    mark("nan", float("nan"))
for wrong in [lambda: mark("a", None), lambda: mark("a", 1, kind="other")]:
    try:
        wrong()
        raise SystemExit("no error")
    except (TypeError, ValueError):
        pass

@inference
async def cancelled():
    with scope("waits"):
        await asyncio.sleep(9)

async def main():
    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(0.01)
    task.cancel()
asyncio.run(main())
try:
    with scope("fails"):
        raise KeyError
except KeyError:
    pass
"#;
    let Some(hits) = traced("errors", program) else {
        return;
    };
    let dropped: Vec<_> = hits
        .iter()
        .filter(|hit| hit.probe == "dropped")
        .map(|hit| (hit.number(0), hit.number(1)))
        .collect();
    assert_eq!(dropped, [(1, 1), (1, 2), (1, 3), (2, 1)]);
    let begun = |name: &str| {
        let named = |hit: &&Hit| {
            ["scope_begin", "scope_open"].contains(&hit.probe.as_str()) && hit.text(2) == name
        };
        hits.iter().find(named).unwrap()
    };
    // One text of 255 bytes; the other has no room, and a list no kind.
    assert_eq!(begun("big").number(5), (4 + 4 + 255) + 8);
    let marks: Vec<_> = hits
        .iter()
        .filter(|hit| hit.probe == "mark")
        .map(|hit| (hit.text(1), hit.number(3), hit.number(4)))
        .collect();
    assert_eq!(marks[0], ("unsigned", 5, u64::MAX));
    assert!(marks[1].1 == 2 && f64::from_bits(marks[1].2).is_nan());
    let outcome = |name: &str| {
        let id = begun(name).number(0);
        let end = hits
            .iter()
            .find(|hit| hit.probe == "scope_end" && hit.number(0) == id);
        end.unwrap().number(1)
    };
    assert_eq!(
        (outcome("big"), outcome("fails"), outcome("waits")),
        (0, 1, 2)
    );
}

#[test]
fn streams_end_their_requests_however_they_end() {
    let program = r#"
import asyncio, gc
from cirron_probe import inference, mark, scope

@inference
async def chat(n):
    async def tokens():
        try:
            for i in range(n):
                with scope("step", index=i):
                    await asyncio.sleep(0)
                yield {"usage": {"completion_tokens": 40 + i}}
        finally:
            mark("cleaned", 1)
    return tokens()

@inference
def echo():
    got = yield 1
    mark("got", got or "nothing")
    yield 2

@scope("coroutine")
async def coroutine():
    mark("in coroutine", 1)

@scope("stream")
async def stream():
    yield 1
    mark("in stream", 1)

async def main():
    async for _ in await chat(3):
        with scope("outside"): pass
    broken = await chat(3)
    async for _ in broken:
        break
    await broken.aclose()
    await coroutine()
    async for _ in stream(): pass

asyncio.run(main())
e = echo()
assert next(e) == 1 and e.send("sent") == 2
try:
    e.throw(KeyError("thrown"))
except KeyError:
    pass
e = echo(); next(e); e.close()
e = echo(); next(e); del e; gc.collect()
list(echo())
with scope("after"): pass
"#;
    let Some(hits) = traced("streams", program) else {
        return;
    };
    let told = lines(&hits);
    let count = |line: &str| told.iter().filter(|told| *told == line).count();
    assert_eq!(count("request"), 6, "{told:#?}");
    for (line, times) in [
        ("request > step[0]", 2),
        ("request > step[2]", 1),
        ("request : cleaned = 1 (int point)", 2),
        // The last chunk that was taken has said it.
        (
            "request : output_tokens = 42 (int summary) normalized=True",
            1,
        ),
        (
            "request : output_tokens = 40 (int summary) normalized=True",
            1,
        ),
        ("request : got = sent (string point)", 1),
        (
            "request : output_tokens = 1 (int summary) normalized=True",
            2,
        ),
        ("request : request_duration_ms = * (float summary)", 6),
        ("outside", 3),
        ("coroutine : in coroutine = 1 (int point)", 1),
        ("stream : in stream = 1 (int point)", 1),
        ("after", 1),
    ] {
        assert_eq!(count(line), times, "{line}\n{told:#?}");
    }
    let begun = hits.iter().filter(|hit| hit.probe.starts_with("request_"));
    let outcomes: Vec<_> = begun
        .map(|request| {
            let ends = |hit: &&Hit| hit.probe == "scope_end" && hit.number(0) == request.number(0);
            let ends: Vec<_> = hits.iter().filter(ends).collect();
            assert_eq!(ends.len(), 1);
            ends[0].number(1)
        })
        .collect();
    assert_eq!(outcomes, [0, 2, 1, 2, 2, 0]);
}
