#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::spool::json::WallTimes;
use crate::spool::testing::{anchor, id, span};

fn batch() -> Batch {
    let mut batch = Batch::default();
    let s = span(2, Some(1), 0, Some(1));
    batch
        .push(&s, WallTimes::new(&s, &anchor()), &[], &anchor())
        .unwrap();
    batch
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn open(dir: &Path, max_bytes: u64) -> SpoolDir {
    SpoolDir::open(dir.join("spool"), max_bytes, None).unwrap()
}

fn age(path: &Path, by: Duration) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(SystemTime::now() - by)
        .unwrap();
}

#[test]
fn a_batch_has_the_contract_s_name_and_leaves_no_temporary_file() {
    let tmp = tempfile::tempdir().unwrap();
    let mut dir = open(tmp.path(), 1 << 20);
    let written = dir.write(&batch(), 42, id(7)).unwrap();
    let want = format!("{:020}-{:032x}.json", 42, 7);
    assert_eq!(names(dir.path()), std::slice::from_ref(&want));
    assert_eq!(
        fs::metadata(dir.path().join(want)).unwrap().len(),
        written.bytes
    );
}

#[test]
fn over_the_cap_the_oldest_batches_go_first() {
    let tmp = tempfile::tempdir().unwrap();
    let one = open(tmp.path(), 1 << 20)
        .write(&batch(), 10, id(1))
        .unwrap()
        .bytes;
    let mut dir = open(tmp.path(), one * 3 + one / 2);
    for n in 2..=5 {
        let written = dir.write(&batch(), 10 * u64::from(n), id(n)).unwrap();
        assert_eq!(written.evicted, u64::from(n > 3), "batch {n}");
    }
    let left = names(dir.path());
    assert_eq!(left.len(), 3);
    assert!(left[0].starts_with("00000000000000000030-"), "{left:?}");
}

#[test]
fn orphans_are_swept_before_a_batch_is_evicted_and_young_ones_are_left() {
    let tmp = tempfile::tempdir().unwrap();
    let mut dir = open(tmp.path(), 1 << 20);
    let one = dir.write(&batch(), 1, id(1)).unwrap().bytes;
    let old = dir.path().join("00000000000000000000-aa.json.tmp");
    let young = dir.path().join("00000000000000000000-bb.json.tmp");
    for path in [&old, &young] {
        fs::write(path, vec![b' '; one as usize]).unwrap();
    }
    age(&old, TMP_STALE + Duration::from_secs(1));
    let mut dir = open(tmp.path(), one * 3);
    let written = dir.write(&batch(), 2, id(2)).unwrap();
    assert_eq!((written.evicted, written.swept), (0, 1));
    assert!(!old.exists() && young.exists());
}

#[test]
fn where_only_others_temporary_files_are_over_the_cap_nothing_is_evicted() {
    let tmp = tempfile::tempdir().unwrap();
    let mut dir = open(tmp.path(), 2_000);
    fs::write(
        dir.path().join("00000000000000000000-bb.json.tmp"),
        vec![b' '; 2_000],
    )
    .unwrap();
    let mut dir2 = open(tmp.path(), 2_000);
    for d in [&mut dir, &mut dir2] {
        assert_eq!(d.enforce_cap().unwrap(), (0, 0));
        assert!(d.cap_blocked);
    }
    assert_eq!(dir2.write(&batch(), 2, id(2)).unwrap().evicted, 0);
}

#[test]
fn foreign_files_neither_count_nor_go() {
    let tmp = tempfile::tempdir().unwrap();
    let mut dir = open(tmp.path(), 10);
    for name in [
        "notes.jsonl",
        "a.json.bak",
        "x",
        "package.json",
        "package.json.tmp",
        "2024-11-27.json",
        "1-X.json",
    ] {
        fs::write(dir.path().join(name), "0123456789abcdef").unwrap();
    }
    assert_eq!(dir.enforce_cap().unwrap(), (0, 0));
    assert_eq!(dir.total_bytes, 0);
    assert_eq!(names(dir.path()).len(), 7);
}

#[test]
fn a_vanished_directory_is_made_again() {
    let tmp = tempfile::tempdir().unwrap();
    let mut dir = open(tmp.path(), 1 << 20);
    fs::remove_dir_all(dir.path()).unwrap();
    let written = dir.write(&batch(), 1, id(1)).unwrap();
    assert!(written.recreated);
    assert_eq!(names(dir.path()).len(), 1);
}

#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let mut dir = open(tmp.path(), 1 << 20);
    // The batch's own name is taken by a directory: the rename is refused.
    let name = format!("{:020}-{}.json", 1, id(1));
    fs::create_dir_all(dir.path().join(&name).join("x")).unwrap();
    dir.write(&batch(), 1, id(1)).unwrap_err();
    assert_eq!(names(dir.path()), [name]);
}

#[test]
fn what_root_makes_under_sudo_belongs_to_the_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("a/b/spool");
    let owner = Owner {
        uid: 12_345,
        gid: 12_346,
    };
    let mut dir = SpoolDir::open(path.clone(), 1 << 20, Some(owner)).unwrap();
    dir.write(&batch(), 1, id(1)).unwrap();
    let file = path.join(&names(&path)[0]);
    for p in [&tmp.path().join("a"), &tmp.path().join("a/b"), &path, &file] {
        let meta = fs::metadata(p).unwrap();
        assert_eq!(
            (meta.uid(), meta.gid()),
            (12_345, 12_346),
            "{}",
            p.display()
        );
    }
    assert_eq!(
        fs::metadata(tmp.path()).unwrap().uid(),
        0,
        "only what it made"
    );
}

#[test]
fn what_it_makes_is_for_its_owner_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let mut dir = open(&tmp.path().join("a"), 1 << 20);
    dir.write(&batch(), 1, id(1)).unwrap();
    let file = dir.path().join(&names(dir.path())[0]);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&tmp.path().join("a")), 0o700);
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_directory_that_anybody_may_write_to_is_refused_and_so_is_one_in_such_a_one() {
    let tmp = tempfile::tempdir().unwrap();
    let spool = tmp.path().join("spool");
    fs::create_dir(&spool).unwrap();
    for path in [tmp.path(), &spool] {
        let set = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(0o777);
        let e = SpoolDir::open(spool.clone(), 1 << 20, None).unwrap_err();
        assert!(e.to_string().contains("chmod o-w"), "{e}");
        set(0o1777);
        SpoolDir::open(spool.clone(), 1 << 20, None).unwrap();
        set(0o755);
    }
}

/// Somebody else's link, where we may make one.
fn strange_link(to: &Path, at: &Path) -> bool {
    symlink(to, at).unwrap();
    std::os::unix::fs::lchown(at, Some(12_345), Some(12_345)).is_ok()
}

#[test]
fn a_link_of_somebody_else_is_not_written_through() {
    let tmp = tempfile::tempdir().unwrap();
    let victim = tmp.path().join("victim");
    fs::create_dir(&victim).unwrap();
    let at = tmp.path().join("spool");
    if strange_link(&victim, &at) {
        let e = SpoolDir::open(at, 1 << 20, None).unwrap_err();
        assert!(e.to_string().contains("of another user"), "{e}");
    }
    // One of our own is.
    symlink(&victim, tmp.path().join("ours")).unwrap();
    let mut dir = SpoolDir::open(tmp.path().join("ours"), 1 << 20, None).unwrap();
    dir.write(&batch(), 1, id(1)).unwrap();
    assert_eq!(names(&victim).len(), 1);
}

#[test]
fn where_a_link_takes_its_place_meanwhile_it_stays_where_it_was() {
    let tmp = tempfile::tempdir().unwrap();
    let (victim, away) = (tmp.path().join("victim"), tmp.path().join("away"));
    fs::create_dir(&victim).unwrap();
    let mut dir = open(tmp.path(), 1 << 20);
    dir.write(&batch(), 1, id(1)).unwrap();
    fs::rename(dir.path(), &away).unwrap();
    if !strange_link(&victim, dir.path()) {
        return;
    }
    assert!(!dir.write(&batch(), 2, id(2)).unwrap().recreated);
    assert_eq!((names(&victim).len(), names(&away).len()), (0, 2));
    // Another directory is taken, and its batches are begun anew.
    fs::remove_file(dir.path()).unwrap();
    fs::create_dir(dir.path()).unwrap();
    assert!(dir.write(&batch(), 3, id(3)).unwrap().recreated);
    assert!(!dir.write(&batch(), 4, id(4)).unwrap().recreated);
    assert_eq!(names(dir.path()).len(), 2);
}

#[test]
fn a_link_named_as_a_batch_neither_counts_nor_takes_anything_with_it() {
    let tmp = tempfile::tempdir().unwrap();
    let victim = tmp.path().join("victim");
    fs::write(&victim, vec![b' '; 4096]).unwrap();
    let mut dir = open(tmp.path(), 1);
    let link = dir.path().join("00000000000000000000-aa.json");
    symlink(&victim, &link).unwrap();
    symlink(&victim, dir.path().join("00000000000000000000-bb.json.tmp")).unwrap();
    fs::create_dir(dir.path().join("00000000000000000000-cc.json")).unwrap();
    assert_eq!(dir.enforce_cap().unwrap(), (0, 0));
    assert_eq!(dir.total_bytes, 0);
    // A temporary name that somebody foresaw is not written through.
    let name = format!("{:020}-{}.json", 1, id(1));
    symlink(&victim, dir.path().join(format!("{name}.tmp"))).unwrap();
    dir.write(&batch(), 1, id(1)).unwrap_err();
    assert_eq!(fs::read(&victim).unwrap(), vec![b' '; 4096]);
}

#[test]
fn several_writers_share_it() {
    let tmp = tempfile::tempdir().unwrap();
    let one = open(tmp.path(), 1 << 20)
        .write(&batch(), 1, id(1))
        .unwrap()
        .bytes;
    let mut dirs = [0; 2].map(|_| open(tmp.path(), one * 4 + one / 2));
    for n in 2..30 {
        dirs[n as usize % 2]
            .write(&batch(), u64::from(n), id(n))
            .unwrap();
    }
    for dir in &mut dirs {
        dir.enforce_cap().unwrap();
    }
    assert_eq!(names(dirs[0].path()).len(), 4);
}
