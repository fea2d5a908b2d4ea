//! The files that a process has mapped to execute, each once.

use std::path::PathBuf;

use procfs::process::{MMPermissions, MMapPath, Process};

/// A mapped file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Device, as `stat` gives it, and inode number: a file is the same under all its names.
    pub id: (u64, u64),
    /// Its name as the process sees it, to show.
    pub name: PathBuf,
    /// Where we can open it: also when it was deleted or replaced, or lies in another mount
    /// namespace.
    pub open: PathBuf,
}

/// The images of a process; none where it is gone or may not be looked at.
pub fn images(pid: i32) -> Vec<Image> {
    let Ok(maps) = Process::new(pid).and_then(|p| p.maps()) else {
        return Vec::new();
    };
    let mut found: Vec<Image> = Vec::new();
    for map in maps {
        let MMapPath::Path(name) = &map.pathname else {
            continue;
        };
        let id = (device(map.dev), map.inode);
        if !map.perms.contains(MMPermissions::EXECUTE)
            || map.inode == 0
            || found.iter().any(|i| i.id == id)
        {
            continue;
        }
        let (start, end) = map.address;
        found.push(Image {
            id,
            name: name.clone(),
            open: format!("/proc/{pid}/map_files/{start:x}-{end:x}").into(),
        });
    }
    // What is likely comes first: a process may be about to use it. All are looked at.
    found.sort_by_key(|image| !is_likely(&image.name));
    found
}

/// As `stat` numbers it.
fn device((major, minor): (i32, i32)) -> u64 {
    libc::makedev(major.cast_unsigned(), minor.cast_unsigned())
}

/// Its name is that of a TLS library.
fn is_likely(name: &std::path::Path) -> bool {
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    name.contains("ssl") || name.contains("gnutls")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn our_own_images_are_found_once_each() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let found = images(pid);
        let exe = std::fs::read_link("/proc/self/exe").unwrap();
        let ours: Vec<_> = found.iter().filter(|i| i.name == exe).collect();
        let [ours] = ours[..] else {
            panic!("{found:?}")
        };
        let meta = std::fs::metadata(&exe).unwrap();
        assert_eq!(ours.id, (meta.dev(), meta.ino()));
        assert!(
            found
                .iter()
                .any(|i| i.name.to_string_lossy().contains("libc.so"))
        );
    }
}
