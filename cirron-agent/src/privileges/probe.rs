//! Whether fewer rights suffice for what is attached later, tried on a thread that has only those.
//!
//! A link of one place is a perf event of the kernel's `uprobe` kind. Linux 6.16 lets nobody but
//! CAP_SYS_ADMIN open one, whatever CAP_PERFMON says (`perf_uprobe_event_init`), and so do later releases of older
//! kernels that took that change over; kernels of some distributions do the same with every perf event where
//! `perf_event_paranoid` is 3 or more. Links of many places are no perf events.

use std::io;

use rustix::thread::CapabilitySet;

/// The kernel's number for events of that kind.
const UPROBE_TYPE: &str = "/sys/bus/event_source/devices/uprobe/type";

/// `PERF_TYPE_SOFTWARE` and `PERF_COUNT_SW_DUMMY`: an event that costs nothing and counts nothing.
const SOFTWARE: u32 = 1;
const DUMMY: u64 = 9;

/// Bytes of the first version of `perf_event_attr`, which every kernel knows.
const ATTR_BYTES: u32 = 64;

/// A perf event can be opened with the rights that we have, and not with these.
pub(super) fn events_need_more(rights: CapabilitySet) -> bool {
    let with_fewer = std::thread::spawn(move || {
        super::keep(rights);
        is_allowed()
    });
    // A thread that cannot tell is no reason to keep a right.
    !with_fewer.join().unwrap_or(true) && is_allowed()
}

/// Whether this thread may open a probe's event. The one that is tried names no file, which is looked at behind the rights:
/// nothing is probed.
fn is_allowed() -> bool {
    let kind = std::fs::read_to_string(UPROBE_TYPE).ok();
    // Without sysfs another kind tells of `perf_event_paranoid` at least.
    let kind = kind.and_then(|text| text.trim().parse().ok());
    !matches!(
        open_and_close(kind.unwrap_or(SOFTWARE)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EACCES | libc::EPERM))
    )
}

/// Opens an event of this kind on this thread, and closes it.
fn open_and_close(kind: u32) -> io::Result<()> {
    let mut attr = [0u64; ATTR_BYTES as usize / 8];
    attr[0] = u64::from(kind) | u64::from(ATTR_BYTES) << 32;
    if kind == SOFTWARE {
        attr[1] = DUMMY;
    }
    let (this_thread, any_cpu, no_group, flags) = (0, -1, -1, 8u64);
    // SAFETY: `attr` is valid and of the length that it states; the flag is PERF_FLAG_FD_CLOEXEC.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attr.as_ptr(),
            this_thread,
            any_cpu,
            no_group,
            flags,
        )
    };
    match i32::try_from(fd) {
        Ok(fd) if fd >= 0 => {
            // SAFETY: it is ours, and nobody else knows it.
            unsafe { libc::close(fd) };
            Ok(())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_event_opens_with_what_we_have_no_more_is_needed() {
        let had =
            rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |s| s.permitted);
        assert!(!events_need_more(had));
        // Whether it opens with none is the machine's setting: where it does not, that is seen.
        let without = std::thread::spawn(|| {
            super::super::keep_none();
            is_allowed()
        });
        let without = without.join().unwrap_or(true);
        assert_eq!(
            events_need_more(CapabilitySet::empty()),
            is_allowed() && !without
        );
    }
}
