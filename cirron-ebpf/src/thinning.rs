//! Whether a hit of a probe is told: a probe that a program hits all the time must not fill the ring.
//!
//! ```text
//! BEGIN, too often, or inside of one that was left out --> left out, one deeper       END, inside of one --> left out, one less
//! ```
//! Stands in `probed` behind the filter by process. Of a pair both are told or neither, however they nest: an end without
//! its beginning would end another one. What is left out is counted, of each probe in each process and in sum.

use cirron_common::{
    Counter, Shape,
    shape::{HITS_A_SECOND, Rate, RateKey, SkipKey, thinning},
};

use crate::maps::{RATES, SKIPS, add, count};

const SECOND_NS: u64 = 1_000_000_000;

/// A hit, as far as it matters here.
pub struct Hit {
    pub probe: u32,
    pub pid_tgid: u64,
    pub context: u64,
    pub ts_ns: u64,
}

/// Whether it is told; counts it if not. Apart, for its part of the stack.
#[inline(never)]
pub fn is_told(hit: &Hit, shape: &Shape) -> bool {
    match shape.thinning {
        thinning::EACH => within_rate(hit),
        thinning::BEGIN => begins(hit, shape),
        thinning::END => ends(hit, shape),
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

#[inline(always)]
fn within_rate(hit: &Hit) -> bool {
    let key = rate_key(hit);
    let Some(rate) = RATES.get_ptr_mut(&key) else {
        let first = Rate {
            since_ns: hit.ts_ns,
            told: 1,
            left_out: 0,
        };
        let _ = RATES.insert(&key, &first, 0);
        return true;
    };
    // SAFETY: a live map value. Threads that begin a second at once tell a few more: none is lost untold.
    unsafe {
        if hit.ts_ns.wrapping_sub((*rate).since_ns) >= SECOND_NS {
            (*rate).since_ns = hit.ts_ns;
            (*rate).told = 0;
        }
        if (*rate).told < HITS_A_SECOND {
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
    let key = rate_key(hit);
    match RATES.get_ptr_mut(&key) {
        // SAFETY: a live map value.
        Some(rate) => unsafe { add(&raw mut (*rate).left_out, 1) },
        None => {
            let first = Rate {
                since_ns: hit.ts_ns,
                told: 0,
                left_out: 1,
            };
            let _ = RATES.insert(&key, &first, 0);
        }
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
