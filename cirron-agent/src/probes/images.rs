//! The files that a process has mapped to execute, each once.
//!
//! The list is the process's: it is read line by line, and what is kept of it is bounded.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Bytes of the list that are read. One of 65 530 mappings, the kernel's default, with names of 100
/// bytes has 11 MiB.
const MAX_MAPS_BYTES: u64 = 64 * 1024 * 1024;
/// Files of a process. A large one, PyTorch's, has 400.
pub const MAX_IMAGES: usize = 4096;
/// Bytes of a line; a path has 4096 at most, and each of them four digits at worst.
const MAX_LINE_BYTES: u64 = 32 * 1024;

/// A device and an inode number, as the list of mappings gives them: a file is the same under all its
/// names. On file systems of layers or volumes (overlayfs, btrfs) `stat` gives others.
pub type FileId = (u64, u64);

/// A mapped file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Which.
    pub id: FileId,
    /// Its name as the process sees it, or saw it.
    pub name: PathBuf,
    /// Whose.
    pub pid: u32,
    /// From where to where it is mapped.
    pub range: (u64, u64),
    /// Where in the file that begins.
    pub offset: u64,
}

/// The images of a process; none where it is gone.
///
/// # Errors
/// Where it may not be looked at.
pub fn images(pid: u32) -> io::Result<Vec<Image>> {
    crate::discovery::asked();
    let maps = match File::open(format!("/proc/{pid}/maps")) {
        Ok(maps) => maps,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
        Err(_) => return Ok(Vec::new()),
    };
    let mut maps = BufReader::new(maps.take(MAX_MAPS_BYTES));
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    let mut line = Vec::new();
    while found.len() < MAX_IMAGES {
        line.clear();
        match maps
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
        {
            Ok(1..) => {}
            Ok(0) => break,
            // It is asked for with the first read.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
            Err(_) => break,
        }
        if let Some(image) = image(pid, &line)
            && known.insert(image.id)
        {
            found.push(image);
        }
    }
    // What is likely comes first: a process may be about to use it. All are looked at.
    found.sort_by_key(|image| !image.is_likely());
    Ok(found)
}

/// Of a line that is a file mapped to be executed.
fn image(pid: u32, line: &[u8]) -> Option<Image> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut fields = line.splitn(6, |b| *b == b' ');
    let (range, perms) = (fields.next()?, fields.next()?);
    if perms.get(2) != Some(&b'x') {
        return None;
    }
    let (offset, device, inode) = (fields.next()?, fields.next()?, fields.next()?);
    let offset = std::str::from_utf8(offset).ok()?;
    let name = fields.next()?.trim_ascii_start();
    let inode: u64 = std::str::from_utf8(inode).ok()?.parse().ok()?;
    if inode == 0 || !name.starts_with(b"/") {
        return None;
    }
    let (major, minor) = pair(device, b':')?;
    let (major, minor) = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
    Some(Image {
        id: (libc::makedev(major, minor), inode),
        name: OsString::from_vec(name.to_vec()).into(),
        pid,
        range: pair(range, b'-')?,
        offset: u64::from_str_radix(offset, 16).ok()?,
    })
}

/// Two hexadecimal numbers.
fn pair(text: &[u8], between: u8) -> Option<(u64, u64)> {
    let mut numbers = text.splitn(2, |b| *b == between).map(|number| {
        let number = std::str::from_utf8(number).ok()?;
        u64::from_str_radix(number, 16).ok()
    });
    Some((numbers.next()??, numbers.next()??))
}

/// Which file is mapped at an address of ours.
pub(super) fn mapped_here(address: u64) -> Option<FileId> {
    let maps = std::fs::read("/proc/self/maps").ok()?;
    maps.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.splitn(6, |b| *b == b' ');
        let (start, _) = pair(fields.next()?, b'-')?;
        if start != address {
            return None;
        }
        let (major, minor) = pair(fields.nth(2)?, b':')?;
        let (major, minor) = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
        let inode = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        Some((libc::makedev(major, minor), inode))
    })
}

impl Image {
    /// Its name is that of a TLS library.
    pub fn is_likely(&self) -> bool {
        let name = self.name.file_name().unwrap_or_default().to_string_lossy();
        name.contains("ssl") || name.contains("gnutls")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn our_own_images_are_found_once_each() {
        let found = images(std::process::id()).unwrap();
        let exe = std::fs::read_link("/proc/self/exe").unwrap();
        let ours: Vec<_> = found.iter().filter(|i| i.name == exe).collect();
        let [ours] = ours[..] else {
            panic!("{found:?}")
        };
        assert_eq!(ours.id.1, std::fs::metadata(&exe).unwrap().ino());
        assert!(
            found
                .iter()
                .any(|i| i.name.to_string_lossy().contains("libc.so"))
        );
    }

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let line = b"7f1ca2800000-7f1ca2a00000 r-xp 00028000 fd:01 1573041                    /usr/lib/a b/libssl.so.3 (deleted)\n";
        let image = image(7, line).unwrap();
        assert_eq!(image.id, (libc::makedev(0xfd, 1), 1_573_041));
        assert_eq!(image.name.as_os_str(), "/usr/lib/a b/libssl.so.3 (deleted)");
        assert_eq!(image.range, (0x7f1c_a280_0000, 0x7f1c_a2a0_0000));
        assert!(image.is_likely());
        for other in [
            &b"7f1ca2800000-7f1ca2a00000 r--p 00028000 fd:01 15 /lib/x"[..],
            b"7ffe-7fff r-xp 00000000 00:00 0                          [vdso]",
            b"7ffe-7fff r-xp 00000000 00:00 0 ",
            b"7ffe r-xp 0 0:0 5 /x",
            b"7ffe-7fff r-xp 0 0 5 /x",
            b"7ffe-7fff r-xp",
            b"",
        ] {
            assert_eq!(super::image(7, other), None);
        }
    }

    #[test]
    fn a_process_that_is_gone_has_none() {
        assert_eq!(images(u32::MAX).unwrap(), []);
    }
}
