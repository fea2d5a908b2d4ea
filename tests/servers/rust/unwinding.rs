//! Panics that are caught, two levels up; one step for each byte that it reads.

use std::hint::black_box;
use std::io::{Read, Write};
use std::panic::{catch_unwind, panic_any};

#[unsafe(no_mangle)]
#[inline(never)]
fn leaf(n: u64) -> u64 {
    black_box(n) + 1
}

/// Not followed, and deeper in the stack than a frame that was left.
#[inline(never)]
fn deep(n: u64) -> u64 {
    let room = black_box([n; 512]);
    leaf(room[7]) + black_box(1)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn panics(n: u64) -> u64 {
    if black_box(n) > 0 {
        panic_any(n);
    }
    leaf(n) + black_box(1)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn passes(n: u64) -> u64 {
    let held = black_box(vec![n]);
    panics(held[0]) + black_box(1)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn catches(n: u64) -> u64 {
    let got = catch_unwind(|| passes(n)).unwrap_or(7);
    deep(got) + black_box(1)
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut go = [0];
    println!("ready");
    while std::io::stdin().read_exact(&mut go).is_ok() {
        println!("{}", catches(1) + catches(0));
        std::io::stdout().flush().unwrap();
    }
}
