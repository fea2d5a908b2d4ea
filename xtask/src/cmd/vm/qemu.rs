//! One boot: a kernel in QEMU's emulation, with three disks and a serial line.
//!
//! ```text
//! vda   the root file system, read-only
//! vdb   in: a tar of the agent and the checks, read-only
//! vdc   out: a tar that the guest writes
//! ```
//!
//! It is emulated (TCG) also where /dev/kvm is there: the same everywhere, and what /dev/kvm leads
//! to may boot no kernel of Debian's. The guest's processors take turns in one thread: in a thread for
//! each, a kernel that changes its own code (a tracepoint is switched on) runs into the breakpoint that
//! it has just taken back, and panics (`Oops: int3`; 6.18 and 7.3 within 8 s of switching, without the
//! agent). QEMU's exit code says nothing, a guest that panics ends with 0 as well: what counts is
//! the line that the guest prints at its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::kernel::Kernel;
use super::rootfs::Root;
use crate::sh;

/// The guest's last line, with the exit code of what ran in it.
const MARK: &str = "MARK-EXIT ";
/// Memory of the guest: the image's files are not in it, the agent's ring and Python are.
const MEMORY_MIB: u32 = 1024;
/// Processors of the guest. One would hide races of the agent.
const PROCESSORS: u32 = 2;
/// Room for what the guest brings out; a hole in the file where it is not used.
const OUT_BYTES: u64 = 64 << 20;

/// A boot that is to be made.
pub(super) struct Boot<'a> {
    /// The kernel.
    pub(super) kernel: &'a Kernel,
    /// The root file system.
    pub(super) root: &'a Root,
    /// The guest's first program.
    pub(super) init: &'a Path,
    /// A tar of what goes in.
    pub(super) input: &'a Path,
    /// Where logs, disks and what comes out go.
    pub(super) folder: &'a Path,
    /// Longer than this, and it is killed.
    pub(super) limit: Duration,
}

impl Boot<'_> {
    /// Boots, waits for the end, and unpacks what came out into `out`. An error where the guest did
    /// not come to its end, or what ran in it failed.
    pub(super) fn run(&self) -> Result<PathBuf> {
        let out = self.folder.join("out");
        let disk = self.folder.join("out.tar");
        File::create(&disk)?.set_len(OUT_BYTES)?;
        let serial = self.folder.join("serial.log");
        let finished = self.wait(&mut self.command(&disk)?, &serial)?;
        // Lines of the kernel's own may stand between, and a serial line ends with CR LF.
        let text = String::from_utf8_lossy(&fs::read(&serial)?).into_owned();
        let mark = text.lines().find_map(|line| line.trim().strip_prefix(MARK));
        fs::create_dir_all(&out)?;
        let unpack = Command::new("tar")
            .args(["-x", "--no-same-owner", "-f"])
            .arg(&disk)
            .arg("-C")
            .arg(&out)
            .stderr(Stdio::null())
            .status()
            .context("cannot run tar")?;
        match mark {
            Some("0") if unpack.success() => {
                let _ = fs::remove_file(&disk);
                Ok(out)
            }
            Some("0") => bail!("what the guest brought out cannot be unpacked"),
            Some(code) => bail!("the checks in the guest ended with {code}"),
            None if finished => bail!("the guest ended early: {}", last_lines(&text)),
            None => bail!(
                "the guest was not done after {} s: {}",
                self.limit.as_secs(),
                last_lines(&text)
            ),
        }
    }

    fn command(&self, disk: &Path) -> Result<Command> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg,thread=single", "-cpu", "max", "-no-reboot"])
            .args(["-m", &MEMORY_MIB.to_string()])
            .args(["-smp", &PROCESSORS.to_string()])
            .args(["-display", "none", "-monitor", "none", "-nic", "none"])
            .args(["-serial", "stdio"]);
        let image = self.root.image();
        for (name, path, read_only) in [
            ("root", image.as_path(), "on"),
            ("in", self.input, "on"),
            ("out", disk, "off"),
        ] {
            let path = path.display();
            qemu.arg("-drive").arg(format!(
                "file={path},if=none,id={name},format=raw,readonly={read_only}"
            ));
            qemu.args(["-device", &format!("virtio-blk-pci,drive={name}")]);
        }
        qemu.arg("-kernel")
            .arg(self.kernel.image())
            .arg("-initrd")
            .arg(self.initramfs()?)
            .args(["-append", "console=ttyS0 panic=-1 quiet"]);
        Ok(qemu)
    }

    /// The first file system: busybox, the modules and `init`, all that is needed to get to the
    /// disks.
    fn initramfs(&self) -> Result<PathBuf> {
        let tree = self.folder.join("initramfs");
        for name in [
            "bin", "dev", "proc", "sys", "root", "lower", "over", "modules",
        ] {
            fs::create_dir_all(tree.join(name))?;
        }
        fs::copy(self.root.busybox(), tree.join("bin/busybox"))?;
        fs::copy(self.init, tree.join("init"))?;
        for entry in fs::read_dir(self.kernel.modules())? {
            let entry = entry?;
            fs::copy(entry.path(), tree.join("modules").join(entry.file_name()))?;
        }
        let archive = self.folder.join("initramfs.cpio");
        let make = "chmod 755 init bin/busybox && find . | cpio --quiet -o -H newc";
        let mut cpio = Command::new("sh");
        cpio.args(["-e", "-c", make]).current_dir(&tree);
        sh::run_quietly(cpio.stdout(File::create(&archive)?))?;
        fs::remove_dir_all(&tree)?;
        Ok(archive)
    }

    /// False where it had to be killed.
    fn wait(&self, qemu: &mut Command, serial: &Path) -> Result<bool> {
        let log = File::create(serial)?;
        let mut child = qemu
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", sh::shown(qemu)))?;
        let began = Instant::now();
        while child.try_wait().context("waiting for qemu")?.is_none() {
            if began.elapsed() > self.limit {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(true)
    }
}

/// The end of a log, on one line.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}
