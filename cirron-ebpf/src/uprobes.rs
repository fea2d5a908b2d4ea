//! The programs inside functions, a pair for each calling convention, those at contexts of Python's and at goroutines, and
//! the one at probes by rules: where they begin. What they do is in `ctls`, `gotls`, `python`, `golives` and `probed`. The
//! cookie of each place is `cirron_common::signature::cookie`'s, at a probe by a rule `cirron_common::shape::cookie`'s, at a
//! context the number of a register.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use cirron_common::record::kind;

use crate::{ctls, golives, gotls, probed, python};

/// What a program inside a function answers. With links of many places 1 asked the kernel, before 6.12, to take the probe
/// out of that process.
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

/// Where Python has made a context.
#[uprobe]
pub fn context_made(ctx: ProbeContext) -> u32 {
    let _ = python::tell(&ctx, kind::CONTEXT_MADE);
    KEEP
}

/// Where Python begins to free one.
#[uprobe]
pub fn context_ended(ctx: ProbeContext) -> u32 {
    let _ = python::tell(&ctx, kind::CONTEXT_ENDED);
    KEEP
}

/// Where Go's runtime returns a goroutine that it has made.
#[uprobe]
pub fn goroutine_made(ctx: ProbeContext) -> u32 {
    let _ = golives::try_made(&ctx);
    KEEP
}

/// Where one begins to end.
#[uprobe]
pub fn goroutine_ended(ctx: ProbeContext) -> u32 {
    let _ = golives::try_ended(&ctx);
    KEEP
}

/// On probes that a rule put there.
#[uprobe]
pub fn probe_hit(ctx: ProbeContext) -> u32 {
    let _ = probed::try_hit(&ctx);
    KEEP
}
