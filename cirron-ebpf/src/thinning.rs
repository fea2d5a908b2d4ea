//! Whether a hit of a probe is told: a probe that a program hits all the time must not fill the ring. One that is hit so
//! often that this alone slows the program down is noted, and the agent detaches it.
//!
//! ```text
//! BEGIN, too often, or inside of one that was left out --> left out, one deeper       END, inside of one --> left out, one less
//! ENTER, too often --> left out, its frame is kept        ENTER, EXIT below that frame, EXIT of it --> left out
//!                                                         ENTER there or above, EXIT above --> it is over, by whatever way
//! ```
//! Stands in `probed` behind the filter by process. Of a pair both are told or neither, however they nest: an end without
//! its beginning would end another one. What is left out is counted, of each probe in each process and in sum.

use cirron_common::{
    Counter, Shape,
    shape::{BUSY_SECONDS, HITS_A_SECOND, Rate, RateKey, SkipKey, WEIGHT_A_SECOND, thinning},
};

use crate::maps::{BEGINNERS, RATES, SKIPS, add, count};

/// `BPF_NOEXIST`.
const NOT_OVER_ANOTHER: u64 = 1;
pub const SECOND_NS: u64 = 1_000_000_000;

/// A hit, as far as it matters here.
pub struct Hit {
    pub probe: u32,
    pub pid_tgid: u64,
    pub context: u64,
    pub ts_ns: u64,
    /// As in `cirron_common::hit::Hit`.
    pub stack: u64,
    /// As in [`Shape`].
    pub weight: u8,
}

/// Whether it is told; counts it if not. Apart, for its part of the stack.
#[inline(never)]
pub fn is_told(hit: &Hit, shape: &Shape) -> bool {
    match shape.thinning {
        thinning::EACH => within_rate(hit),
        thinning::BEGIN => begins(hit, shape),
        thinning::END => ends(hit, shape),
        thinning::ENTER => enters(hit, shape),
        thinning::EXIT => exits(hit, shape),
        thinning::LANDED => BEGINNERS.get_ptr(&hit.pid_tgid).is_some(),
        _ => true,
    }
}

#[inline(always)]
fn rate_key(hit: &Hit) -> RateKey {
    RateKey {
        probe: hit.probe,
        tgid: (hit.pid_tgid >> 32) as u32,
    }
}

/// What a map begins with. Not on the stack, which has no room for it.
static NEVER_HIT: Rate = Rate {
    since_ns: 0,
    told: 0,
    left_out: 0,
    left_out_before: 0,
    busy: 0,
    busiest: 0,
    is_too_busy: 0,
};

/// How often its probe is hit in its process.
#[inline(always)]
fn rate_of(hit: &Hit) -> Option<*mut Rate> {
    let key = rate_key(hit);
    if let Some(rate) = RATES.get_ptr_mut(&key) {
        return Some(rate);
    }
    let _ = RATES.insert(&key, &NEVER_HIT, NOT_OVER_ANOTHER);
    RATES.get_ptr_mut(&key)
}

#[inline(always)]
fn within_rate(hit: &Hit) -> bool {
    let Some(rate) = rate_of(hit) else {
        return true;
    };
    // SAFETY: a live map value. Threads that begin a second at once tell a few more: none is lost untold.
    unsafe {
        let passed_ns = hit.ts_ns.wrapping_sub((*rate).since_ns);
        if passed_ns >= SECOND_NS {
            let left_out = (*rate).left_out;
            let hits = (*rate).told + left_out.wrapping_sub((*rate).left_out_before);
            // A second in which nothing was hit at its end is longer.
            if hits * hit.weight as u64 > WEIGHT_A_SECOND && passed_ns < 2 * SECOND_NS {
                (*rate).busy += 1;
                (*rate).busiest = hits;
                if (*rate).busy == BUSY_SECONDS {
                    (*rate).is_too_busy = 1;
                }
            } else {
                (*rate).busy = 0;
            }
            (*rate).since_ns = hit.ts_ns;
            (*rate).left_out_before = left_out;
            (*rate).told = 0;
        }
        if (*rate).is_too_busy == 0 && (*rate).told < HITS_A_SECOND {
            add(&raw mut (*rate).told, 1);
            return true;
        }
        add(&raw mut (*rate).left_out, 1);
    }
    count(Counter::ProbeHitsLeftOut, 1);
    false
}

/// It is left out though its second is not over yet. Apart, for its part of the stack.
#[inline(never)]
pub fn leave_out(hit: &Hit) {
    if let Some(rate) = rate_of(hit) {
        // SAFETY: a live map value.
        unsafe { add(&raw mut (*rate).left_out, 1) };
    }
    count(Counter::ProbeHitsLeftOut, 1);
}

#[inline(always)]
fn skip_key(hit: &Hit, shape: &Shape) -> SkipKey {
    // A goroutine changes its thread.
    let pid_tgid = match hit.context {
        0 => hit.pid_tgid,
        _ => hit.pid_tgid >> 32,
    };
    SkipKey {
        context: hit.context,
        pid_tgid,
        pair: shape.pair as u64,
    }
}

#[inline(always)]
fn begins(hit: &Hit, shape: &Shape) -> bool {
    let key = skip_key(hit, shape);
    if let Some(depth) = SKIPS.get_ptr_mut(&key) {
        // SAFETY: a live map value, of this thread alone.
        unsafe { *depth += 1 };
        leave_out(hit);
        return false;
    }
    if within_rate(hit) {
        return true;
    }
    let _ = SKIPS.insert(&key, &1, 0);
    false
}

#[inline(always)]
fn ends(hit: &Hit, shape: &Shape) -> bool {
    let key = skip_key(hit, shape);
    let Some(depth) = SKIPS.get_ptr_mut(&key) else {
        return true;
    };
    // SAFETY: a live map value, of this thread alone.
    let is_last = unsafe {
        *depth = (*depth).wrapping_sub(1);
        *depth == 0
    };
    if is_last {
        let _ = SKIPS.remove(&key);
    }
    leave_out(hit);
    false
}

/// Frames grow down: one that was entered where another stands, or above, shows that the other one is over.
#[inline(always)]
fn enters(hit: &Hit, shape: &Shape) -> bool {
    let key = skip_key(hit, shape);
    if let Some(frame) = SKIPS.get_ptr_mut(&key) {
        // SAFETY: a live map value, of this thread alone.
        if hit.stack < unsafe { *frame } {
            leave_out(hit);
            return false;
        }
        let _ = SKIPS.remove(&key);
    }
    if within_rate(hit) {
        return true;
    }
    let _ = SKIPS.insert(&key, &hit.stack, 0);
    false
}

#[inline(always)]
fn exits(hit: &Hit, shape: &Shape) -> bool {
    let key = skip_key(hit, shape);
    let Some(frame) = SKIPS.get_ptr_mut(&key) else {
        return true;
    };
    // SAFETY: a live map value, of this thread alone.
    let frame = unsafe { *frame };
    if hit.stack >= frame {
        let _ = SKIPS.remove(&key);
    }
    if hit.stack > frame {
        return true;
    }
    leave_out(hit);
    false
}
