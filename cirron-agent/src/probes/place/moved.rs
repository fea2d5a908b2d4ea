//! An entry further down than its arguments stay: their values are followed through moves between registers.
//!
//! OpenSSL's `ssl_log_secret` puts its arguments into other registers and jumps on. At the jump, which the kernel emulates, they
//! are all there: where, this says. A value that is in no register any more ends the way, and so does whatever
//! [`super::entry`] ends at.

use cirron_common::Signature;
use cirron_common::operand::{Operand, Spot};
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::kept::{named, operand_register};
use super::reached::Reached;
use super::{Place, Refusal, Ways, first_emulated, writes};
use crate::probes::locate::symbol::Found;

/// Registers that hold the value of an operand.
type Holders = Vec<Register>;

/// The first emulated instruction at which each value of `signature` that is known at the entry, all in registers, is in
/// some register; and where they are there. `None`: there is none.
pub fn entry_moved(
    code: &[u8],
    ways: &Ways,
    signature: &Signature,
) -> Result<Option<(Place, Signature)>, Refusal> {
    let reached = Reached::follow(code, ways)?;
    Ok(first(&reached, signature))
}

fn first(reached: &Reached<'_>, signature: &Signature) -> Option<(Place, Signature)> {
    let operands = signature.operands();
    let mut holders: Vec<Holders> = Vec::new();
    for operand in operands {
        holders.push(match operand.spot()? {
            Spot::Absent | Spot::Constant(_) => Vec::new(),
            Spot::Register(register) => vec![named(register)?],
            Spot::Memory { .. } => return None,
        });
    }
    let place = first_emulated(reached, 0, |i, info| {
        follow(i, info, &mut holders);
        let is_lost = |(operand, holders): (&Operand, &Holders)| {
            matches!(operand.spot(), Some(Spot::Register(_))) && holders.is_empty()
        };
        operands.iter().zip(&holders).any(is_lost)
    })?;
    Some((place, there(signature, &holders)?))
}

/// What an instruction does to where values are.
fn follow(i: &Instruction, info: &mut InstructionInfoFactory, holders: &mut [Holders]) {
    let is_copy = i.mnemonic() == Mnemonic::Mov
        && i.op0_kind() == OpKind::Register
        && i.op1_kind() == OpKind::Register
        && i.op0_register().is_gpr64()
        && i.op1_register().is_gpr64();
    for holders in holders {
        let copies = is_copy && holders.contains(&i.op1_register());
        holders.retain(|register| !writes(i, info, *register));
        if copies && !holders.contains(&i.op0_register()) {
            holders.push(i.op0_register());
        }
    }
}

/// The signature as its values stand there.
fn there(signature: &Signature, holders: &[Holders]) -> Option<Signature> {
    let mut operands = signature.operands();
    for (operand, holders) in operands.iter_mut().zip(holders) {
        if let Some(Spot::Register(_)) = operand.spot() {
            operand.base = operand_register(*holders.first()?)? as u8;
        }
    }
    let [object, buffer, moved, success, name] = operands;
    Some(Signature {
        op: signature.op,
        object,
        buffer,
        moved,
        success,
        name,
    })
}

impl Found {
    /// See [`entry_moved`].
    pub fn entry_moved(&self) -> Result<Option<(Place, Signature)>, Refusal> {
        entry_moved(&self.code, &self.ways, &self.function.signature)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use cirron_common::operand::Register as R;

    use super::super::Class;
    use super::*;
    use crate::probes::tls::functions::ANNOUNCER;

    fn entry(code: &[u8]) -> Option<(Place, Signature)> {
        entry_moved(code, &Ways::default(), &ANNOUNCER.signature).unwrap()
    }

    fn registers(signature: &Signature) -> [u8; 4] {
        let Signature {
            object,
            name,
            buffer,
            moved,
            ..
        } = signature;
        [object, name, buffer, moved].map(|operand| operand.base)
    }

    /// Of OpenSSL 3.6: `endbr64`, moves, `jmp`.
    const MOVES: [u8; 36] = [
        0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0xf0, 0x49, 0x89, 0xd0, 0x49, 0x89, 0xc9, 0x48, 0x89,
        0xfe, 0x48, 0x8d, 0x97, 0x88, 0x01, 0x00, 0x00, 0xb9, 0x20, 0x00, 0x00, 0x00, 0x48, 0x89,
        0xc7, 0xe9, 0xcc, 0x38, 0xff, 0xff,
    ];

    #[test]
    fn arguments_are_followed_to_the_jump_that_they_are_moved_for() {
        let (place, there) = entry(&MOVES).unwrap();
        assert_eq!((place.offset, place.depth), (31, 0));
        assert_eq!(place.class, Class::Emulated);
        let want = [R::Rsi, R::Rax, R::R8, R::R9].map(|register| register as u8);
        let got = registers(&there);
        // The name is in two registers by then.
        assert!(got == want || got == [R::Rsi, R::Rdi, R::R8, R::R9].map(|r| r as u8));
        assert!(there.is_valid());
        assert_eq!(there.moved.width, ANNOUNCER.signature.moved.width);
    }

    #[test]
    fn a_value_that_is_written_over_ends_the_way() {
        // mov rsi, rdi: the name is lost. jmp
        let lost = [0x48, 0x89, 0xfe, 0xe9, 0, 0, 0, 0];
        assert_eq!(entry(&lost), None);
        // mov eax, esi; xor esi, esi: half a value is none.
        let half = [0x89, 0xf0, 0x31, 0xf6, 0xe9, 0, 0, 0, 0];
        assert_eq!(entry(&half), None);
    }

    #[test]
    fn an_instruction_that_is_emulated_before_anything_moves_is_taken_as_it_is() {
        // push rbp; ret
        let (place, there) = entry(&[0x55, 0xc3]).unwrap();
        assert_eq!(place.offset, 0);
        assert_eq!(there, ANNOUNCER.signature);
    }

    #[test]
    fn every_cut_of_the_code_gives_no_place_or_the_same() {
        let whole = entry(&MOVES);
        for cut in 0..MOVES.len() {
            let cut = entry_moved(&MOVES[..cut], &Ways::default(), &ANNOUNCER.signature);
            assert!(matches!(cut, Err(_) | Ok(None)) || cut == Ok(whole));
        }
    }
}
