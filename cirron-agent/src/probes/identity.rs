//! Which file an opened one is, whatever way led to it.
//!
//! A link of probes is on the inode below: two links on one inode tell everything twice. Device and inode number do
//! not name that inode on overlayfs: each mount has a device of its own, and from Linux 6.8 on lists of mappings
//! show that one. A file handle does (`name_to_handle_at` with `AT_HANDLE_FID`, from 6.6 on for overlayfs): of an
//! overlay it holds the handle of the file below. Of other file systems it holds the generation as well, which
//! tells a number that was given away again. Where there is no handle the list's numbers are taken, which before
//! 6.8 are those of the file below.
//!
//! It opens nothing and follows no handle.

use std::fs::File;
use std::mem::offset_of;
use std::os::fd::AsRawFd as _;

use crate::probes::elf::Elf;
use crate::probes::images::FileId;
use crate::probes::source::Source;

/// Bytes of a handle (`MAX_HANDLE_SZ`).
const MAX_HANDLE_BYTES: usize = 128;
/// `AT_HANDLE_FID`: the handle names the file and need not lead to it.
const AT_HANDLE_FID: libc::c_int = 0x200;
/// `OVL_FILEID_V1`, and the layout of what follows it (`struct ovl_fh`).
const OVERLAY: i32 = 0xf8;
const OVERLAY_UUID: std::ops::Range<usize> = 8..24;
const OVERLAY_KIND: usize = 7;
const OVERLAY_LENGTH: usize = 5;
const OVERLAY_PADDING: usize = 3;
/// Bytes of a build id that are compared. Linkers write 20.
const MAX_BUILD_ID_BYTES: u64 = 64;
/// Before the bytes of a note: the lengths of its name and of itself, its kind, its name (`GNU\0`).
const NOTE_HEAD_BYTES: usize = 16;

/// Where an inode lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Home {
    /// A device.
    Device(u64),
    /// The file system below an overlay.
    Below([u8; 16]),
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    home: Home,
    /// Kind and bytes of its handle; else its number.
    handle: Vec<u8>,
    build_id: Vec<u8>,
}

impl FileKey {
    /// Of an opened file, which a list of mappings names `name`.
    pub fn read(file: &File, name: FileId, source: &Source<'_>) -> FileKey {
        let build_id = build_id(source).unwrap_or_default();
        let found = handle(file).and_then(|(kind, bytes)| below(kind, &bytes, name.0));
        match found {
            Some((home, handle)) => FileKey {
                home,
                handle,
                build_id,
            },
            None => FileKey {
                build_id,
                ..FileKey::of_name(name)
            },
        }
    }

    /// Of a file that cannot be read: by what the list of mappings says alone.
    pub fn of_name(name: FileId) -> FileKey {
        FileKey {
            home: Home::Device(name.0),
            handle: name.1.to_le_bytes().to_vec(),
            build_id: Vec::new(),
        }
    }

    /// The `n`-th file of a test, which has a build id.
    #[cfg(test)]
    pub fn for_test(n: u64) -> FileKey {
        FileKey {
            build_id: vec![1; 20],
            ..FileKey::of_name((1, n))
        }
    }

    /// Whether it still names this file when nobody has it mapped any more. A number alone is given away again.
    pub fn lasts(&self) -> bool {
        !self.build_id.is_empty() || self.handle.len() > size_of::<u64>()
    }

    /// The same file below. A layer of an overlay that is mapped directly too has the same handle and build id:
    /// that it is the same file is taken from those, since the device below an overlay is not told.
    pub fn is_same(&self, other: &FileKey) -> bool {
        let home = match (&self.home, &other.home) {
            (Home::Device(_), Home::Below(_)) | (Home::Below(_), Home::Device(_)) => {
                !self.build_id.is_empty()
            }
            (a, b) => a == b,
        };
        home && self.handle == other.handle && self.build_id == other.build_id
    }
}

/// Kind and bytes.
fn handle(file: &File) -> Option<(i32, Vec<u8>)> {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        handle: [u8; MAX_HANDLE_BYTES],
    }
    const _: () = assert!(offset_of!(Handle, handle) == 8);
    let mut handle = Handle {
        bytes: MAX_HANDLE_BYTES as u32,
        kind: 0,
        handle: [0; MAX_HANDLE_BYTES],
    };
    let mut mount: libc::c_int = 0;
    // SAFETY: an open descriptor, an empty path, a handle with as much room as it says, a number.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH | AT_HANDLE_FID,
        )
    };
    let bytes = usize::try_from(handle.bytes).ok()?;
    (result == 0).then_some(())?;
    Some((handle.kind, handle.handle.get(..bytes)?.to_vec()))
}

/// The file below an overlay; of another file system the file itself.
fn below(kind: i32, bytes: &[u8], device: u64) -> Option<(Home, Vec<u8>)> {
    if kind != OVERLAY {
        let handle = [&kind.to_le_bytes(), bytes].concat();
        return Some((Home::Device(device), handle));
    }
    let end = OVERLAY_PADDING + usize::from(*bytes.get(OVERLAY_LENGTH)?);
    let uuid = bytes.get(OVERLAY_UUID)?.try_into().ok()?;
    let kind = i32::from(*bytes.get(OVERLAY_KIND)?);
    let handle = bytes.get(OVERLAY_UUID.end..end)?;
    Some((Home::Below(uuid), [&kind.to_le_bytes(), handle].concat()))
}

fn build_id(source: &Source<'_>) -> Option<Vec<u8>> {
    let elf = Elf::read(source)?;
    let note = elf.section(".note.gnu.build-id")?;
    let bytes = source.piece(note.offset, note.size.min(MAX_BUILD_ID_BYTES))?;
    Some(bytes.get(NOTE_HEAD_BYTES..)?.to_vec())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::probes::quiet::Quiet;

    fn key(file: &File, name: FileId) -> FileKey {
        FileKey::read(file, name, &Source::new(&Quiet::new(file)))
    }

    #[test]
    fn a_file_is_itself_under_another_name_and_its_copy_is_not() {
        let exe = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir_in(exe.parent().unwrap()).unwrap();
        let (link, copy) = (dir.path().join("link"), dir.path().join("copy"));
        std::fs::hard_link(&exe, &link).unwrap();
        std::fs::copy(&exe, &copy).unwrap();
        let open = |path: &std::path::Path| key(&File::open(path).unwrap(), (1, 2));
        assert!(open(&exe).is_same(&open(&link)));
        let copied = open(&copy);
        // The name that was given stands for the device alone, where the file system has handles.
        if handle(&File::open(&copy).unwrap()).is_some() {
            assert!(!open(&exe).is_same(&copied));
        }
    }

    /// As Linux 6.18 gives it, of ext4 and of an overlay above.
    #[test]
    fn what_lies_below_an_overlay_is_told_by_its_handle() {
        let file = [0xd0, 0x49, 0x99, 0, 0xf5, 0x8e, 0xdc, 0xe5];
        let head = [0, 0, 0, 0, 0xfb, 0x1d, 0, 1];
        let overlay = [&head[..], &[0; 16], &file].concat();
        let file_id = |kind, bytes: &[u8], device, build_id: &[u8]| {
            let (home, handle) = below(kind, bytes, device).unwrap();
            FileKey {
                home,
                handle,
                build_id: build_id.to_vec(),
            }
        };
        let id = [7; 20];
        let (one, other) = (
            file_id(0xf8, &overlay, 0x27, &id),
            file_id(0xf8, &overlay, 0x29, &id),
        );
        let plain = file_id(1, &file, 0xfe00, &id);
        assert!(one.is_same(&other) && one.is_same(&plain) && plain.is_same(&other));
        assert!(!one.is_same(&file_id(0xf8, &overlay, 0x27, &[8; 20])));
        assert!(
            !plain.is_same(&file_id(1, &file, 0xfe01, &id)),
            "another device"
        );
        let mut later = file;
        later[4] += 1;
        assert!(
            !plain.is_same(&file_id(1, &later, 0xfe00, &id)),
            "the number's next file"
        );
        let bare = |kind, bytes: &[u8]| file_id(kind, bytes, 0xfe00, &[]);
        assert!(
            !bare(1, &file).is_same(&bare(0xf8, &overlay)),
            "no build id says so"
        );
        for cut in 0..overlay.len() {
            assert_eq!(below(0xf8, &overlay[..cut], 0), None);
        }
    }
}
