//! The programs inside functions of TLS libraries: where they begin. What they do is in `tls` and `gotls`.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};

use crate::{gotls, tls};

/// What a program inside a function answers. With links of many places 1 asks the kernel to take
/// the probe out of that process.
const KEEP: u32 = 0;

/// On entries of a TLS library's functions; the cookie is `cirron_common::tls::cookie`'s.
#[uprobe]
pub fn tls_enter(ctx: ProbeContext) -> u32 {
    let _ = tls::try_enter(&ctx);
    KEEP
}

/// On places behind which the result no longer changes.
#[uprobe]
pub fn tls_exit(ctx: ProbeContext) -> u32 {
    let _ = tls::try_exit(&ctx);
    KEEP
}

/// On entries of functions of Go's `crypto/tls`; the cookie is `cirron_common::tls::cookie`'s.
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
