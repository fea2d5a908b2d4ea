//! Whether fewer rights suffice for what is attached later, tried on a thread that has only those.
//!
//! Kernels of some distributions let nobody but CAP_SYS_ADMIN open a perf event where
//! `perf_event_paranoid` is 3 or more, whatever CAP_PERFMON says.

use rustix::thread::CapabilitySet;

/// `PERF_TYPE_SOFTWARE` and `PERF_COUNT_SW_DUMMY`: an event that costs nothing and counts nothing.
const SOFTWARE: u32 = 1;
const DUMMY: u64 = 9;

/// Bytes of the first version of `perf_event_attr`, which every kernel knows.
const ATTR_BYTES: u32 = 64;

/// A perf event can be opened with the rights that we have, and not with these.
pub(super) fn events_need_more(rights: CapabilitySet) -> bool {
    let with_fewer = std::thread::spawn(move || {
        super::keep(rights);
        opens()
    });
    // A thread that cannot tell is no reason to keep a right.
    !with_fewer.join().unwrap_or(true) && opens()
}

/// Opens one, on this thread, and closes it.
fn opens() -> bool {
    let mut attr = [0u64; ATTR_BYTES as usize / 8];
    attr[0] = u64::from(SOFTWARE) | u64::from(ATTR_BYTES) << 32;
    attr[1] = DUMMY;
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
    let Ok(fd) = i32::try_from(fd) else {
        return false;
    };
    if fd >= 0 {
        // SAFETY: it is ours, and nobody else knows it.
        unsafe { libc::close(fd) };
    }
    fd >= 0
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
            opens()
        });
        let without = without.join().unwrap_or(true);
        assert_eq!(
            events_need_more(CapabilitySet::empty()),
            opens() && !without
        );
    }
}
