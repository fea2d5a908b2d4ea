//! Offset of a thread's processor time, where the kernel keeps it no older than a tick.
//!
//! `sum_exec_runtime` is brought up to date when the thread waits, is put aside, and at each tick. On a processor that is
//! told to do without ticks (`nohz_full`) it may be a second old, and nothing says so: there none is read.

use super::types::Types;

/// Processors that are told to do without ticks; the file is missing where the kernel cannot.
const WITHOUT_TICKS: &str = "/sys/devices/system/cpu/nohz_full";

/// `None`: not to be read.
pub(super) fn offset(types: &Types<'_>) -> Option<u32> {
    let listed = std::fs::read_to_string(WITHOUT_TICKS).unwrap_or_default();
    has_none(&listed)
        .then(|| types.bits("task_struct", &["se", "sum_exec_runtime"]))
        .flatten()
        .map(|bits| bits / 8)
}

/// No processor is in the list.
fn has_none(listed: &str) -> bool {
    matches!(listed.trim(), "" | "(null)")
}

#[cfg(test)]
mod tests {
    use super::has_none;

    #[test]
    fn a_list_without_processors_has_several_forms() {
        assert!(has_none("") && has_none("\n") && has_none("  (null)\n"));
        assert!(!has_none("1-3\n"));
    }
}
