//! The programs that this command needs of the machine, and their packages.

use anyhow::Result;

use crate::cmd::setup::programs;

/// Program, and the Debian package that has it.
const TOOLS: [(&str, &str); 7] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("mke2fs", "e2fsprogs"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("tar", "tar"),
];

/// Installs what is missing, saying so first.
pub(super) fn ensure() -> Result<()> {
    programs::ensure(&TOOLS, "to boot other kernels in an emulator")
}
