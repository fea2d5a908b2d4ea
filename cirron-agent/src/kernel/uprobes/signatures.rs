//! Numbers of the signatures of functions, which places have in their cookies.
//!
//! ```text
//! a family's row --> Point with its Signature --Signatures--> number in the cookie; map SIGNATURES --> programs
//! ```
//! A signature is written once, before the first place that has its number, and stays: a program that reads it needs no lock.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};
use aya::maps::{Array, MapData};
use cirron_common::Signature;
use cirron_common::maps::MAX_SIGNATURES;
use cirron_common::signature::cookie;

use super::{Point, Probe};

/// Numbers, and the map that programs read them from.
pub(in crate::kernel) struct Signatures {
    map: Array<MapData, Signature>,
    numbers: Numbers,
}

impl Signatures {
    pub(in crate::kernel) fn new(map: Array<MapData, Signature>) -> Signatures {
        Signatures {
            map,
            numbers: Numbers::default(),
        }
    }

    /// `points` with their cookies, in their order.
    pub(super) fn probes(&mut self, points: &[Point]) -> anyhow::Result<Vec<Probe>> {
        points.iter().map(|point| self.probe(point)).collect()
    }

    fn probe(&mut self, point: &Point) -> anyhow::Result<Probe> {
        let number = match self.numbers.get(&point.signature) {
            Some(number) => number,
            None => {
                let number = self.numbers.next(&point.signature)?;
                self.map
                    .set(number.into(), point.signature, 0)
                    .context("a signature")?;
                self.numbers.add(point.signature, number);
                number
            }
        };
        Ok(Probe {
            program: point.program,
            offset: point.offset,
            cookie: cookie::pack(number, point.depth),
        })
    }
}

#[derive(Default)]
struct Numbers(HashMap<Signature, u16>);

impl Numbers {
    fn get(&self, signature: &Signature) -> Option<u16> {
        self.0.get(signature).copied()
    }

    /// The number that a new one gets.
    fn next(&self, signature: &Signature) -> anyhow::Result<u16> {
        ensure!(
            signature.is_valid(),
            "its arguments cannot be read where they are said to be: {signature:?}"
        );
        let next = self.0.len();
        match u16::try_from(next) {
            Ok(number) if next < MAX_SIGNATURES as usize => Ok(number),
            _ => bail!("it would be one of more than {MAX_SIGNATURES} kinds of functions"),
        }
    }

    fn add(&mut self, signature: Signature, number: u16) {
        self.0.insert(signature, number);
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

    #[test]
    fn one_signature_has_one_number_and_past_the_bound_none() {
        let mut numbers = Numbers::default();
        for n in 0..MAX_SIGNATURES {
            let signature = signature(n);
            assert_eq!(numbers.get(&signature), None);
            let number = numbers.next(&signature).unwrap();
            assert_eq!(u32::from(number), n);
            numbers.add(signature, number);
            assert_eq!(numbers.get(&signature), Some(number));
        }
        let refused = numbers.next(&signature(MAX_SIGNATURES)).unwrap_err();
        assert!(refused.to_string().contains("1024"), "{refused}");
        assert_eq!(numbers.get(&signature(5)), Some(5));
    }

    #[test]
    fn what_the_programs_cannot_read_gets_no_number() {
        let numbers = Numbers::default();
        let broken = Operand::register(Register::Rax).unsigned(3);
        assert!(numbers.next(&Signature::event(op::FREE, broken)).is_err());
        assert!(numbers.next(&Signature::default()).is_err());
    }
}
