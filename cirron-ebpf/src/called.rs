//! A function that a thread is in, as its signature describes it: what both conventions' programs share.
//!
//! Stands between the programs inside functions (`ctls`, `gotls`) and the operands. The cookie of the place has the number of
//! the signature (`cirron_common::signature`): it says what the function does and where its values stand, so that no
//! program knows the arguments of one.

use aya_ebpf::{EbpfContext as _, bindings::pt_regs, helpers::bpf_get_attach_cookie};
use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::ProbeContext};
use cirron_common::{
    Operand, Signature,
    record::direction,
    signature::cookie,
    tls::{SslCall, op},
};

use crate::{maps::SIGNATURES, operand, tls::TlsEvent};

/// A place in a function, and the thread that has come to it.
pub struct Place {
    regs: *const pt_regs,
    cookie: u64,
}

impl Place {
    #[inline(always)]
    pub fn reached(ctx: &ProbeContext) -> Place {
        Place {
            regs: ctx.regs,
            // SAFETY: the context of this program.
            cookie: unsafe { bpf_get_attach_cookie(ctx.as_ptr()) },
        }
    }

    /// Where the stack pointer stood at the function's first instruction.
    #[inline(always)]
    pub fn stack(&self) -> u64 {
        operand::stack(self.regs, cookie::depth(self.cookie))
    }

    /// In a Go program the goroutine.
    #[inline(always)]
    pub fn goroutine(&self) -> u64 {
        operand::goroutine(self.regs)
    }

    /// The signature of the function whose entry this is.
    #[inline(always)]
    pub fn signature(&self) -> Option<&'static Signature> {
        signature(cookie::signature(self.cookie))
    }

    /// The call that begins here, by a thread of a target.
    #[inline(always)]
    pub fn event(&self, signature: &Signature, pid_tgid: u64) -> Option<TlsEvent> {
        Some(TlsEvent {
            object: operand::value(self.regs, cookie::depth(self.cookie), &signature.object)?,
            // SAFETY: no arguments.
            ts_ns: unsafe { bpf_ktime_get_ns() },
            pid_tgid,
            op: signature.op,
        })
    }

    /// What an operand that stands at the entry is there.
    #[inline(always)]
    pub fn at_entry(&self, operand: &Operand) -> Option<u64> {
        operand::value(self.regs, cookie::depth(self.cookie), operand)
    }

    /// The note of the call that begins with `event`. `stack`: as in [`SslCall`].
    #[inline(always)]
    pub fn note(&self, signature: &Signature, event: &TlsEvent, stack: u64) -> Option<SslCall> {
        let depth = cookie::depth(self.cookie);
        let moved = match signature.moved.is_late {
            0 => operand::value(self.regs, depth, &signature.moved)?,
            _ => 0,
        };
        Some(SslCall {
            object: event.object,
            buffer: operand::value(self.regs, depth, &signature.buffer)?,
            moved,
            op: event.op as u32,
            signature: cookie::signature(self.cookie),
            stack,
            ts_ns: event.ts_ns,
        })
    }

    /// Bytes that the call moved which ends here; `None`: none, or it is not known.
    #[inline(always)]
    pub fn moved(&self, call: &SslCall) -> Option<u64> {
        let signature = signature(call.signature)?;
        let depth = cookie::depth(self.cookie);
        if !signature.success.is_absent() {
            let raw = operand::value(self.regs, depth, &signature.success)?;
            positive(operand::followed(&signature.success, raw)?)?;
        }
        let moved = &signature.moved;
        let raw = match moved.is_late {
            0 => call.moved,
            _ => operand::value(self.regs, depth, moved)?,
        };
        positive(operand::followed(moved, raw)?)
    }
}

#[inline(always)]
fn signature(number: u32) -> Option<&'static Signature> {
    // SAFETY: written before the first place that has its number, and never again.
    SIGNATURES
        .get_ptr(number)
        .map(|signature| unsafe { &*signature })
}

#[inline(always)]
fn positive(n: u64) -> Option<u64> {
    (n as i64 > 0).then_some(n)
}

/// Which way a call moves bytes.
#[inline(always)]
pub fn direction_of(call: &SslCall) -> u8 {
    if call.op as u64 == op::READ {
        direction::INBOUND
    } else {
        direction::OUTBOUND
    }
}

/// What moved `len` bytes in the direction `dir` and returns now.
#[inline(always)]
pub fn returned(call: &SslCall, pid_tgid: u64, dir: u8, len: u64) -> TlsEvent {
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    TlsEvent {
        ts_ns: if dir == direction::OUTBOUND {
            call.written_at(len, now_ns)
        } else {
            now_ns
        },
        pid_tgid,
        object: call.object,
        op: call.op as u64,
    }
}
