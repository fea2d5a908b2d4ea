#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::discovery::owner::Owner;
use crate::files::is_same;

fn ours() -> Users {
    Users::with(None)
}

fn same(dir: &File, path: &Path) -> bool {
    is_same(dir, &File::open(path).unwrap()).unwrap()
}

/// Gives a file to another user, where we may.
fn give_away(path: &Path) -> bool {
    std::os::unix::fs::lchown(path, Some(12_345), Some(12_345)).is_ok()
}

#[test]
fn missing_directories_are_made_for_their_owner_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("a/b/../c");
    assert_eq!(
        open_dir(&path, ours(), Missing::Refuse).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    let dir = open_dir(&path, ours(), Missing::Make).unwrap();
    assert!(same(&dir, &tmp.path().join("a/c")));
    for name in ["a", "a/b", "a/c"] {
        let mode = fs::metadata(tmp.path().join(name)).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700, "{name}");
    }
    // What was there keeps what it had.
    fs::set_permissions(tmp.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    open_dir(&path, ours(), Missing::Make).unwrap();
    let mode = fs::metadata(tmp.path().join("a")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn links_of_ours_are_followed_in_every_form_and_loops_end() {
    let tmp = tempfile::tempdir().unwrap();
    let real = tmp.path().join("real");
    fs::create_dir_all(real.join("in")).unwrap();
    symlink("real", tmp.path().join("relative")).unwrap();
    symlink(&real, tmp.path().join("absolute")).unwrap();
    symlink("relative/../absolute/in", tmp.path().join("chain")).unwrap();
    symlink("loop", tmp.path().join("loop")).unwrap();
    fs::write(tmp.path().join("file"), "").unwrap();
    let open = |name: &str| open_dir(&tmp.path().join(name), ours(), Missing::Make);
    assert!(same(&open("relative").unwrap(), &real));
    assert!(same(&open("absolute/in").unwrap(), &real.join("in")));
    assert!(same(&open("chain").unwrap(), &real.join("in")));
    assert_eq!(open("loop").unwrap_err().raw_os_error(), Some(libc::ELOOP));
    assert_eq!(
        open("file/x").unwrap_err().raw_os_error(),
        Some(libc::ENOTDIR)
    );
}

#[test]
fn a_process_s_own_root_is_where_the_kernel_leads() {
    let tmp = tempfile::tempdir().unwrap();
    std::fs::create_dir(tmp.path().join("in")).unwrap();
    let root = format!("/proc/self/root{}/in", tmp.path().display());
    let dir = open_dir(Path::new(&root), ours(), Missing::Refuse).unwrap();
    assert!(same(&dir, &tmp.path().join("in")));
    let cwd = open_dir(Path::new("/proc/self/cwd"), ours(), Missing::Refuse).unwrap();
    assert!(same(&cwd, Path::new(".")));
}

#[test]
fn links_of_another_user_are_not_followed_unless_that_one_typed_sudo() {
    let tmp = tempfile::tempdir().unwrap();
    let link = tmp.path().join("link");
    fs::create_dir(tmp.path().join("real")).unwrap();
    symlink("real", &link).unwrap();
    if !give_away(&link) {
        return;
    }
    for path in [link.clone(), link.join("x")] {
        let e = open_dir(&path, ours(), Missing::Make).unwrap_err();
        assert!(
            e.to_string()
                .contains("symbolic link of another user (12345)")
        );
    }
    let owner = Owner {
        uid: 12_345,
        gid: 12_345,
    };
    let made = open_dir(&link.join("x"), Users::with(Some(owner)), Missing::Make).unwrap();
    assert_eq!(rustix::fs::fstat(&made).unwrap().st_uid, 12_345);
}

#[test]
fn a_directory_open_to_all_is_refused_with_its_fix() {
    let tmp = tempfile::tempdir().unwrap();
    for (mode, fine) in [
        (0o777, false),
        (0o702, false),
        (0o1777, true),
        (0o775, true),
    ] {
        fs::set_permissions(tmp.path(), fs::Permissions::from_mode(mode)).unwrap();
        let dir = open_dir(tmp.path(), ours(), Missing::Refuse).unwrap();
        let told = refuse_open_to_all(&dir, tmp.path());
        assert_eq!(told.is_ok(), fine, "{mode:o}");
        if let Err(e) = told {
            assert!(e.to_string().contains("\n  chmod o-w /"), "{e}");
        }
    }
}
