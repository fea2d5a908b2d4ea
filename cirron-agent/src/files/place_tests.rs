#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::discovery::owner::Owner;

fn look(path: &Path) -> io::Result<Place> {
    Place::look(path, Users::with(None))
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut opened = look(path)?.open()?;
    opened.file.write_all(text.as_bytes())?;
    opened.settle()
}

#[test]
fn a_new_file_takes_the_place_of_one_that_is_there_and_leaves_that_as_it_was() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("f");
    put(&path, "one").unwrap();
    let other = tmp.path().join("other");
    fs::hard_link(&path, &other).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    put(&path, "two").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(&other).unwrap(), "one");
    assert_eq!(fs::metadata(&other).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 2);
}

#[test]
fn until_it_is_settled_nothing_is_seen_of_it_and_given_up_it_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("f");
    fs::write(&path, "old").unwrap();
    let opened = look(&path).unwrap().open().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    drop(opened);
    assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1);
}

#[test]
fn links_directories_and_sockets_are_refused_and_stay_as_they_are() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file");
    fs::write(&file, "kept").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let named = |name: &str| tmp.path().join(name);
    symlink(&file, named("link")).unwrap();
    symlink("nowhere", named("dangling")).unwrap();
    symlink("link", named("chain")).unwrap();
    fs::create_dir(named("dir")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(named("socket")).unwrap();
    for name in ["link", "dangling", "chain", "dir", "socket"] {
        let e = put(&named(name), "x").unwrap_err();
        assert!(e.to_string().contains("\n  name "), "{name}: {e}");
    }
    assert!(!named("nowhere").exists());
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
    assert!(put(&named("file/x"), "x").is_err());
    assert!(put(Path::new("/"), "x").is_err());
}

#[test]
fn a_device_is_written_to_and_not_changed() {
    let before = fs::metadata("/dev/null").unwrap();
    let owner = Owner { uid: 1, gid: 1 };
    let place = Place::look(Path::new("/dev/null"), Users::with(Some(owner))).unwrap();
    let mut opened = place.open().unwrap();
    opened.file.write_all(b"x").unwrap();
    opened.settle().unwrap();
    assert!(opened.is_stream);
    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!(
        (before.mode(), before.uid(), before.ino()),
        (after.mode(), after.uid(), after.ino())
    );
    // By a link as well.
    let tmp = tempfile::tempdir().unwrap();
    symlink("/dev/null", tmp.path().join("null")).unwrap();
    put(&tmp.path().join("null"), "x").unwrap();
}

#[test]
fn a_pipe_needs_a_reader_and_keeps_its_mode() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("pipe");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    let before = fs::metadata(&path).unwrap().mode();
    let e = put(&path, "x").unwrap_err();
    assert!(e.to_string().contains("start its reader first"), "{e}");
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let mut reader = File::from(rustix::fs::openat(CWD, &path, flags, Mode::empty()).unwrap());
    put(&path, "text").unwrap();
    let mut text = String::new();
    io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text, "text");
    assert_eq!(fs::metadata(&path).unwrap().mode(), before);
}

#[test]
fn descriptors_have_names() {
    assert_eq!(descriptor(Path::new("/dev/stdout")), Some(1));
    assert_eq!(descriptor(Path::new("/dev//fd/63")), Some(63));
    assert_eq!(descriptor(Path::new("/proc/self/fd/2")), Some(2));
    assert_eq!(descriptor(Path::new("/dev/fd/x")), None);
    assert_eq!(descriptor(Path::new("/dev/fd/-1")), None);
    assert_eq!(descriptor(Path::new("dev/fd/1")), None);
    assert!(put(Path::new("/dev/fd/987654"), "x").is_err());
    let (mut reader, writer) = io::pipe().unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&writer);
    put(Path::new(&format!("/dev/fd/{number}")), "text").unwrap();
    drop(writer);
    let mut text = String::new();
    io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text, "text");
}

#[test]
fn a_file_that_is_a_mount_point_is_refused_with_what_to_do() {
    // What renaming onto one gives, as a container's engine mounts files.
    let busy = io::Error::from(Errno::BUSY);
    let told = super::super::in_one_line(&not_replaced(busy, OsStr::new("out.rec")));
    assert_eq!(
        told,
        "out.rec is a mount point by itself; name another file beside it, or mount its directory"
    );
    let other = not_replaced(Errno::NOSPC.into(), OsStr::new("f"));
    assert_eq!(other.kind(), io::ErrorKind::StorageFull);
}
