//! The machine code of a running process, against the files that it came from.
//!
//! A probe is an instruction that the kernel has replaced in the process's memory (`int3`, or a
//! call): where no byte differs from the file, no probe is left, whatever kind it was.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, bail};

/// Bytes compared at a time.
const CHUNK: usize = 1 << 20;

/// The places whose bytes in the memory of `pid` are not those of the file that is mapped there:
/// the file's name and the offset in it. Looks at all that is mapped executable and not writable.
pub fn altered(pid: u32) -> Result<Vec<(String, u64)>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut found = Vec::new();
    let mut images = 0;
    for line in maps.lines() {
        // 7f..-7f.. r-xp 00001000 fe:00 1234    /usr/lib/...
        let mut fields = line.split_whitespace();
        let (Some(range), Some(rights), Some(offset)) =
            (fields.next(), fields.next(), fields.next())
        else {
            bail!("not understood: {line}");
        };
        let name = fields.nth(2).unwrap_or_default();
        if !rights.starts_with("r-x") || !name.starts_with('/') {
            continue;
        }
        let (start, end) = range.split_once('-').context("no range")?;
        let (start, end) = (hex(start)?, hex(end)?);
        // Also where the file has been replaced or is in another namespace.
        let file = File::open(format!("/proc/{pid}/map_files/{start:x}-{end:x}"))
            .with_context(|| name.to_owned())?;
        images += 1;
        let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
        let mut at = 0;
        while at < end - start {
            let want = CHUNK.min(usize::try_from(end - start - at)?);
            let got = file.read_at(&mut ours[..want], hex(offset)? + at)?;
            if got == 0 {
                // Behind the end of the file, in its last page.
                break;
            }
            memory
                .read_exact_at(&mut theirs[..got], start + at)
                .with_context(|| format!("{name} in memory"))?;
            if ours[..got] != theirs[..got] {
                let differ = (0..got).filter(|i| ours[*i] != theirs[*i]);
                for i in differ {
                    found.push((name.to_owned(), hex(offset)? + at + i as u64));
                }
            }
            at += got as u64;
        }
    }
    if images == 0 {
        bail!("process {pid} has no code");
    }
    Ok(found)
}

fn hex(text: &str) -> Result<u64> {
    u64::from_str_radix(text, 16).with_context(|| text.to_owned())
}
