//! Numbers of what programs read at places: signatures of functions, shapes of probes. Places have them in their cookies.
//!
//! ```text
//! Point with what it means --Numbered--> number in the cookie; map SIGNATURES or SHAPES --> programs
//! ```
//! Each is written once, before the first place that has its number, and stays: a program that reads it needs no lock.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use anyhow::{Context as _, bail, ensure};
use aya::maps::{Array, MapData};
use cirron_common::maps::{MAX_SHAPES, MAX_SIGNATURES};
use cirron_common::{Shape, Signature};

/// What programs read by its number.
pub(in crate::kernel) trait Described: aya::Pod + Eq + Hash + Debug {
    /// Different ones at most.
    const MOST: u32;
    /// What has one, in words.
    const OF: &'static str;

    /// Whether the programs can read it.
    fn is_valid(&self) -> bool;
}

impl Described for Signature {
    const MOST: u32 = MAX_SIGNATURES;
    const OF: &'static str = "functions";

    fn is_valid(&self) -> bool {
        Signature::is_valid(self)
    }
}

impl Described for Shape {
    const MOST: u32 = MAX_SHAPES;
    const OF: &'static str = "probes";

    fn is_valid(&self) -> bool {
        Shape::is_valid(self)
    }
}

/// Numbers, and the map that programs read by them.
pub(in crate::kernel) struct Numbered<T: Described> {
    map: Array<MapData, T>,
    numbers: Numbers<T>,
}

impl<T: Described> Numbered<T> {
    pub(in crate::kernel) fn new(map: Array<MapData, T>) -> Numbered<T> {
        Numbered {
            map,
            numbers: Numbers(HashMap::new()),
        }
    }

    /// Its number, with which programs find it from now on.
    pub(super) fn number(&mut self, described: &T) -> anyhow::Result<u16> {
        if let Some(number) = self.numbers.get(described) {
            return Ok(number);
        }
        let number = self.numbers.next(described)?;
        self.map
            .set(number.into(), *described, 0)
            .with_context(|| format!("what is read at {}", T::OF))?;
        self.numbers.add(*described, number);
        Ok(number)
    }
}

struct Numbers<T>(HashMap<T, u16>);

impl<T: Described> Numbers<T> {
    fn get(&self, described: &T) -> Option<u16> {
        self.0.get(described).copied()
    }

    /// The number that a new one gets.
    fn next(&self, described: &T) -> anyhow::Result<u16> {
        ensure!(
            described.is_valid(),
            "its arguments cannot be read where they are said to be: {described:?}"
        );
        let next = self.0.len();
        match u16::try_from(next) {
            Ok(number) if next < T::MOST as usize => Ok(number),
            _ => bail!(
                "it would be one of more than {} kinds of {}",
                T::MOST,
                T::OF
            ),
        }
    }

    fn add(&mut self, described: T, number: u16) {
        self.0.insert(described, number);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use cirron_common::operand::{Operand, Register};
    use cirron_common::tls::op;

    use super::*;

    fn signature(displacement: u32) -> Signature {
        let object = Operand::memory(Register::Rsp, displacement.into());
        Signature::event(op::FREE, object)
    }

    fn shape(pair: u32) -> Shape {
        Shape {
            pair,
            ..Shape::default()
        }
    }

    fn past_the_bound_there_is_none<T: Described>(make: impl Fn(u32) -> T) {
        let mut numbers = Numbers(HashMap::new());
        for n in 0..T::MOST {
            let described = make(n);
            assert_eq!(numbers.get(&described), None);
            let number = numbers.next(&described).unwrap();
            assert_eq!(u32::from(number), n);
            numbers.add(described, number);
            assert_eq!(numbers.get(&described), Some(number));
        }
        let refused = numbers.next(&make(T::MOST)).unwrap_err();
        assert!(
            refused.to_string().contains(&T::MOST.to_string()),
            "{refused}"
        );
        assert_eq!(numbers.get(&make(5)), Some(5));
    }

    #[test]
    fn one_of_a_kind_has_one_number_and_past_the_bound_none() {
        past_the_bound_there_is_none(signature);
        past_the_bound_there_is_none(shape);
    }

    #[test]
    fn what_the_programs_cannot_read_gets_no_number() {
        let broken = Operand::register(Register::Rax).unsigned(3);
        let signatures = Numbers(HashMap::new());
        assert!(
            signatures
                .next(&Signature::event(op::FREE, broken))
                .is_err()
        );
        assert!(signatures.next(&Signature::default()).is_err());
        let shapes = Numbers(HashMap::new());
        let values = 9;
        assert!(shapes.next(&Shape { values, ..shape(0) }).is_err());
    }
}
