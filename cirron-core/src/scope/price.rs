//! What a call cost, by the prices that a rule has: `cost_usd`, of its tokens or of its part of its deployment's time.
//!
//! Tokens that we counted ourselves, a lower bound, and usage of which a part is missing have no cost: it would be a guess.
//! Writing to a prompt's cache is priced as input, since no price of its own is asked for.

use super::marks::Marks;
use super::names as n;
use super::span::{AttrValue, Attrs, MarkValue};
use crate::rules::{GpuPrice, Price};

/// Number of tokens that a price is for.
const TOKENS: f64 = 1e6;

/// Writes it, where it is known. `attrs`, `marks`: those of the call, its usage among them.
pub(super) fn write(price: Price, attrs: &Attrs, marks: &mut Marks<'_>) {
    if let Some(cost) = cost(price, attrs, marks) {
        let basis = Attrs::from([(n::BASIS, AttrValue::from("tokens"))]);
        marks.float(n::COST, cost, basis, marks.stamp());
    }
}

/// Nanoseconds of an hour.
const HOUR_NS: f64 = 3_600e9;

/// Writes what its part of the deployment's time costs (`crate::engine`'s `shares`).
pub(super) fn write_part(price: GpuPrice, part_ns: f64, marks: &mut Marks<'_>) {
    let basis = Attrs::from([(n::BASIS, AttrValue::from("gpu_hour"))]);
    marks.float(
        n::COST,
        price.usd_an_hour * part_ns / HOUR_NS,
        basis,
        marks.stamp(),
    );
}

fn cost(price: Price, attrs: &Attrs, marks: &Marks<'_>) -> Option<f64> {
    let input = reported(n::INPUT_TOKENS, marks)?;
    let output = match marks.find(n::OUTPUT_TOKENS) {
        Some(_) => reported(n::OUTPUT_TOKENS, marks)?,
        // Of an embedding: there was no output.
        None => reported(n::TOTAL_TOKENS, marks)? - input,
    };
    let cached = match attrs.get(n::CACHED_TOKENS) {
        Some(AttrValue::Int(cached)) => *cached,
        Some(AttrValue::Str(_) | AttrValue::Float(_) | AttrValue::Bool(_)) | None => 0,
    };
    if output < 0 || !(0..=input).contains(&cached) {
        return None;
    }
    let is_whole = output == 0 || marks.find(n::OUTPUT_TOKENS).is_some();
    let of = |tokens: i64, usd: f64| tokens as f64 * usd;
    let cost = of(input - cached, price.input)
        + of(cached, price.cached.unwrap_or(price.input))
        + of(output, price.output);
    is_whole.then_some(cost / TOKENS)
}

/// A figure of the server's, of all of it.
fn reported(name: &str, marks: &Marks<'_>) -> Option<i64> {
    let mark = marks.find(name)?;
    let is_all =
        !mark.attrs.contains_key(n::ESTIMATED) && !mark.attrs.contains_key(n::MARK_PARTIAL);
    match mark.value {
        MarkValue::Int(tokens) if is_all => Some(tokens),
        MarkValue::Int(_) | MarkValue::Float(_) | MarkValue::Str(_) | MarkValue::Bool(_) => None,
    }
}
