//! The programs inside functions, a pair for each calling convention: where they begin. What they do is in `ctls` and
//! `gotls`. The cookie of each place is `cirron_common::signature::cookie`'s.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};

use crate::{ctls, gotls};

/// What a program inside a function answers. With links of many places 1 asks the kernel to take
/// the probe out of that process.
const KEEP: u32 = 0;

/// On entries of functions with C's convention.
#[uprobe]
pub fn c_enter(ctx: ProbeContext) -> u32 {
    let _ = ctls::try_enter(&ctx);
    KEEP
}

/// On places behind which the result no longer changes.
#[uprobe]
pub fn c_exit(ctx: ProbeContext) -> u32 {
    let _ = ctls::try_exit(&ctx);
    KEEP
}

/// On entries of functions with Go's convention.
#[uprobe]
pub fn go_enter(ctx: ProbeContext) -> u32 {
    let _ = gotls::try_enter(&ctx);
    KEEP
}

/// On their returns.
#[uprobe]
pub fn go_exit(ctx: ProbeContext) -> u32 {
    let _ = gotls::try_exit(&ctx);
    KEEP
}
