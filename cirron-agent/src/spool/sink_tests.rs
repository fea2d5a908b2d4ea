#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use cirron_core::scope::{MarkValue, Span};

use super::*;
use crate::spool::stamp::CountingStamp;
use crate::spool::testing::{finished, id, mark, read_spool, span, timed};

fn sink(path: &Path, max_bytes: u64) -> SpoolSink {
    let dir = SpoolDir::open(path.to_path_buf(), max_bytes, None).unwrap();
    SpoolSink::new(dir, Box::new(CountingStamp::new(0)))
}

fn accept(sink: &mut SpoolSink, span: Span) {
    sink.accept(&timed(finished(span, Vec::new())));
}

/// Ids of spans whose chain does not reach a session root: those that a reader loses.
fn orphans(path: &Path) -> Vec<String> {
    let spool = read_spool(path).unwrap();
    spool
        .spans
        .values()
        .filter(|s| {
            s.parent_id
                .as_ref()
                .is_some_and(|p| !spool.spans.contains_key(p))
        })
        .map(|s| s.id.clone())
        .collect()
}

#[test]
fn nothing_is_written_when_there_is_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let mut sink = sink(tmp.path(), 1 << 20);
    sink.flush();
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
    assert_eq!(sink.stats, SpoolStats::default());
}

#[test]
fn a_full_batch_is_written_before_its_time() {
    let tmp = tempfile::tempdir().unwrap();
    let mut sink = sink(tmp.path(), 1 << 30);
    for _ in 0..crate::spool::batch::MAX_BATCH_SPANS + 1 {
        accept(&mut sink, span(2, Some(1), 0, Some(1)));
    }
    assert_eq!(sink.stats.batches_written, 1);
    sink.flush();
    assert_eq!(sink.stats.batches_written, 2);
}

#[test]
fn a_closed_root_wins_over_the_open_one() {
    let tmp = tempfile::tempdir().unwrap();
    let mut sink = sink(tmp.path(), 1 << 20);
    accept(&mut sink, span(1, None, 0, None));
    sink.flush();
    let live = read_spool(tmp.path()).unwrap();
    assert_eq!(live.spans[&id(1).to_string()].end_ns, None);
    accept(&mut sink, span(1, None, 0, Some(9)));
    sink.flush();
    let closed = read_spool(tmp.path()).unwrap();
    assert_eq!(closed.spans[&id(1).to_string()].end_ns, Some(1_000_000_009));
}

#[test]
fn marks_come_with_their_span() {
    let tmp = tempfile::tempdir().unwrap();
    let mut sink = sink(tmp.path(), 1 << 20);
    let scope = finished(
        span(2, Some(1), 0, Some(1)),
        vec![mark(9, 2, "output_tokens", MarkValue::Int(5))],
    );
    sink.accept(&timed(scope));
    sink.flush();
    let spool = read_spool(tmp.path()).unwrap();
    assert_eq!(spool.marks[&id(2).to_string()][0].value, 5);
    assert_eq!(sink.stats.marks_written, 1);
}

#[test]
fn after_the_directory_was_wiped_spans_still_find_their_root() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("spool");
    let mut sink = sink(&path, 1 << 20);
    accept(&mut sink, span(1, None, 0, None));
    sink.flush();
    fs::remove_dir_all(&path).unwrap();
    accept(&mut sink, span(2, Some(1), 0, Some(1)));
    sink.flush();
    accept(&mut sink, span(3, Some(1), 0, Some(1)));
    sink.flush();
    assert_eq!(orphans(&path), Vec::<String>::new());
    assert_eq!(sink.stats.dirs_recreated, 1);
    assert_eq!(sink.stats.batches_lost, 0);
}

#[test]
fn after_evictions_spans_still_find_their_root() {
    let tmp = tempfile::tempdir().unwrap();
    let mut sink = sink(tmp.path(), 3_000);
    accept(&mut sink, span(1, None, 0, None));
    for n in 2..40 {
        accept(&mut sink, span(n, Some(1), 0, Some(1)));
        sink.flush();
    }
    assert!(sink.stats.batches_evicted > 10);
    assert_eq!(orphans(tmp.path()), Vec::<String>::new());
}

#[test]
fn a_write_that_fails_costs_its_batch_but_no_root_and_no_close() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("spool");
    let mut sink = sink(&path, 1 << 20);
    accept(&mut sink, span(1, None, 0, None));
    accept(&mut sink, span(4, None, 0, None));
    accept(&mut sink, span(5, Some(4), 0, Some(1)));
    // A file where the directory was: no batch can be written, whoever we are.
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "").unwrap();
    sink.flush();
    accept(&mut sink, span(4, None, 0, Some(5)));
    sink.flush();
    assert_eq!(sink.stats.batches_lost, 2);
    assert_eq!(sink.stats.spans_lost, 1);
    fs::remove_file(&path).unwrap();
    accept(&mut sink, span(2, Some(1), 0, Some(1)));
    sink.flush();
    let spool = read_spool(&path).unwrap();
    assert_eq!(orphans(&path), Vec::<String>::new());
    assert_eq!(spool.spans[&id(4).to_string()].end_ns, Some(1_000_000_005));
    assert_eq!(spool.spans[&id(1).to_string()].end_ns, None);
}

/// A file system of 32 KiB; gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32k", "tmpfs"])
            .arg(dir.path())
            .stderr(std::process::Stdio::null())
            .status();
        made.is_ok_and(|status| status.success())
            .then_some(SmallDisk(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg(self.0.path())
            .status();
    }
}

#[test]
fn a_full_disk_costs_batches_and_leaves_no_half_of_one() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let path = disk.0.path().join("spool");
    let mut sink = sink(&path, 1 << 20);
    accept(&mut sink, span(1, None, 0, None));
    for _ in 0..20 {
        for n in 2..40 {
            accept(&mut sink, span(n, Some(1), 0, Some(1)));
        }
        sink.flush();
    }
    let stats = sink.stats;
    assert!(
        stats.batches_lost > 0 && stats.batches_written > 0,
        "{stats:?}"
    );
    assert_eq!(stats.batches_lost + stats.batches_written, 20);
    assert_eq!(stats.spans_lost, stats.batches_lost * 38);
    let spool = read_spool(&path).unwrap();
    assert_eq!(
        (spool.batches as u64, spool.unreadable),
        (stats.batches_written, 0)
    );
    assert!(
        fs::read_dir(&path)
            .unwrap()
            .all(|e| e.unwrap().path().extension().unwrap() == "json")
    );
    // Once there is room again, everything goes on.
    for entry in fs::read_dir(&path).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    accept(&mut sink, span(50, Some(1), 0, Some(1)));
    sink.flush();
    assert_eq!(orphans(&path), Vec::<String>::new());
    assert_eq!(sink.stats.batches_lost, stats.batches_lost);
}
