//! Facts of a process: the few variables of its environment that concern us, and its program.
//!
//! Nothing else of the environment is kept: it holds secrets, and a recording would carry them. The
//! names are a list of those that are wanted, and of `CONFIG` only what is for us is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use cirron_core::engine::{ProcessFacts, WANTED_ENV};
use cirron_core::rules::wanted_config;

use super::{asked, cgroup, identity};
use cirron_spool::shown::shown_bytes;

/// Bytes of an environment that are looked at. `execve` allows 6 MiB at most (3/4 of the 8 MiB
/// that a stack has). Past it variables are not seen.
const MAX_ENVIRON_BYTES: u64 = 6 * 1024 * 1024;

/// Bytes of one variable. `CONFIG` may be a JSON document; what is longer is left out.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Stands for a rank that is no number.
const NO_NUMBER: &str = "?";

/// Reads them; `None` where the process has gone. An environment that may not be read is empty.
pub fn facts(tgid: u32) -> Option<ProcessFacts> {
    let process = identity::open(tgid)?;
    let exe = process
        .exe()
        .ok()
        .and_then(|path| base_name(&path.to_string_lossy()));
    let environ = environ(tgid);
    if exe.is_none() && environ.is_empty() && !process.is_alive() {
        return None;
    }
    Some(ProcessFacts {
        tgid,
        explicit: false,
        env: wanted(&environ),
        exe,
        container: container(tgid),
        workload: BTreeMap::new(),
        target: None,
        blind: Vec::new(),
    })
}

/// The id of the container that it is in.
fn container(tgid: u32) -> Option<String> {
    cgroup::container(&cgroup::read(tgid)?).map(str::to_owned)
}

/// The block of its variables; empty where it may not be read.
pub fn environ(tgid: u32) -> Vec<u8> {
    asked();
    let mut environ = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{tgid}/environ")) {
        // A process that ends while it is read leaves what was read so far.
        let _ = file.take(MAX_ENVIRON_BYTES).read_to_end(&mut environ);
    }
    environ
}

/// The variables that concern us, of a block of `NAME=value` ended by zeros.
pub fn wanted(environ: &[u8]) -> BTreeMap<String, String> {
    environ
        .split(|&byte| byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .filter(|(name, value)| WANTED_ENV.contains(name) && value.len() <= MAX_VALUE_BYTES)
        .filter_map(|(name, value)| Some((name.to_owned(), needed(name, value)?)))
        .collect()
}

/// What is needed of a value: of a number the number, of `CONFIG` what is for us.
fn needed(name: &str, value: &str) -> Option<String> {
    match name {
        // That one is set matters too: then the other is not asked.
        "RANK" | "LOCAL_RANK" if !value.is_empty() => {
            let rank = value.trim().parse::<i64>();
            Some(rank.map_or_else(|_| NO_NUMBER.to_owned(), |rank| rank.to_string()))
        }
        "CONFIG" => wanted_config(value),
        _ => Some(value.to_owned()),
    }
}

/// What `ps` calls it (`/proc/PID/comm`), to be shown: a script's own name where it has one.
pub fn short_name(tgid: u32) -> Option<String> {
    asked();
    let comm = std::fs::read(format!("/proc/{tgid}/comm")).ok()?;
    Some(shown_bytes(comm.strip_suffix(b"\n").unwrap_or(&comm)))
}

/// The last component, without the mark of a file that was replaced since.
pub fn base_name(path: &str) -> Option<String> {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let name = path.rsplit('/').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::process::Command;

    #[test]
    fn only_variables_that_concern_us_are_kept_and_of_them_what_is_needed() {
        let environ = b"PATH=/bin\0CIRRON_RUN_ID=r1\0RANK=3\0AWS_KEY=x\0CIRRON_API_KEY=s\0\
                        CONFIG={\"a\":\"s\",\"stream_chunk_timing\":true,\"b\":{\"key\":\"s\"}}\0\
                        CIRRON_PASSWD=s\0CIRRON_AUTH=s\0CIRRON_X_TOKEN=s\0CIRRON_RUN_IDS=s\0\
                        CIRRON_API_ENDPOINT=https://u:s@h/\0CIRRON_OUTPUT_DIR=s\0cirron_run_id=s\0\
                        CIRRON_WORKSPACE_ID=\0LOCAL_RANK= 1 \0bad\0\xff=1\0RANKS=9";
        let got: Vec<_> = wanted(environ).into_iter().collect();
        let want = [
            ("CIRRON_RUN_ID", "r1"),
            ("CIRRON_WORKSPACE_ID", ""),
            ("CONFIG", "{\"stream_chunk_timing\":true}"),
            ("LOCAL_RANK", "1"),
            ("RANK", "3"),
        ];
        assert_eq!(got, want.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_value_that_says_nothing_to_us_is_not_kept() {
        for environ in [
            "CONFIG=postgres://u:s@h/db",
            "CONFIG={\"key\":\"s\"}",
            "CONFIG=[\"s\"]",
            "CONFIG=",
        ] {
            assert!(wanted(environ.as_bytes()).is_empty(), "{environ}");
        }
        assert_eq!(wanted(b"RANK=s")["RANK"], NO_NUMBER);
    }

    #[test]
    fn a_value_past_the_bound_is_left_out() {
        let environ = format!("CIRRON_RUN_ID={}\0RANK=1", "x".repeat(MAX_VALUE_BYTES + 1));
        assert_eq!(wanted(environ.as_bytes()).len(), 1);
    }

    #[test]
    fn facts_are_those_of_the_target_and_not_ours() {
        let mut child = Command::new("sleep")
            .arg("100")
            .env("CIRRON_RUN_ID", "theirs")
            .spawn()
            .unwrap();
        // The kernel wakes us before it has written down where the new environment is.
        let mut facts = facts(child.id()).unwrap();
        for _ in 0..200 {
            if !facts.env.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            facts = super::facts(child.id()).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            facts.env.get("CIRRON_RUN_ID").map(String::as_str),
            Some("theirs")
        );
        assert!(facts.exe.is_some());
        assert!(super::facts(child.id()).is_none());
    }

    #[test]
    fn the_base_name_survives_a_replaced_file() {
        assert_eq!(
            base_name("/usr/bin/python3.11 (deleted)").as_deref(),
            Some("python3.11")
        );
        assert_eq!(base_name("/").as_deref(), None);
    }
}
