//! Where a function goes on outside of its own bytes: in a part of itself that lies elsewhere, or, as a tail call, in another one.
//!
//! ```text
//! jump out of it --stack as it was at the entry?--> no: a part --> followed
//!                                               '-> yes: it leads back: a part; else a function begins there: a tail call
//! landing pad    ------------------------------------------------> followed, wherever it lies
//! ```
//! Compilers put what is seldom run far away (`.cold`), with an entry of its own in the unwinder's table. What is jumped to
//! with something on the stack can be no function, since its return would go wrong.

use crate::probes::elf::Elf;
use crate::probes::locate::{Binary, pads, switches};
use crate::probes::place::{self, JumpOut, Leads, Refusal, Ways};

/// Parts of a function elsewhere. One is usual, two are there of large ones.
const MAX_PARTS: usize = 16;
/// Where jumps to functions of other files lie.
const STUBS: [&str; 3] = [".plt", ".plt.sec", ".plt.got"];

/// The ways out of a function at `address` with the bytes `code`.
pub fn ways_out(binary: &Binary<'_>, address: u64, code: &[u8]) -> Result<Ways, Refusal> {
    let function = Function {
        binary,
        address,
        code,
    };
    let mut ways = Ways {
        switches: switches::read(&binary.elf, address, 0, code),
        pads: function.pads(0),
        ..Ways::default()
    };
    loop {
        let parts = ways.code.len();
        for pad in ways.pads.clone() {
            if !function.is_known(&ways, pad.at) {
                let part = function.part_at(pad.at)?;
                function.add(&mut ways, part)?;
            }
        }
        for jump in place::jumps_out(code, &ways)? {
            if function.is_known(&ways, jump.to) || ways.tails.contains(&jump.at) {
                continue;
            }
            match function.way(&jump)? {
                Way::Tail => ways.tails.push(jump.at),
                Way::Part(at, part) => function.add(&mut ways, (at, part))?,
            }
        }
        // What was added may lead on.
        if ways.code.len() == parts {
            return Ok(ways);
        }
    }
}

/// What a jump is.
enum Way {
    Tail,
    Part(i64, Vec<u8>),
}

/// One that is looked at. Places are from its first byte.
struct Function<'f> {
    binary: &'f Binary<'f>,
    address: u64,
    code: &'f [u8],
}

impl Function<'_> {
    /// Landing pads of what begins there.
    fn pads(&self, at: i64) -> Vec<place::Pad> {
        let Function {
            binary, address, ..
        } = self;
        let start = address.wrapping_add_signed(at);
        let read = |extents| pads::read(&binary.elf, extents, start, *address);
        binary.extents().map(read).unwrap_or_default()
    }

    /// It lies in what is followed.
    fn is_known(&self, ways: &Ways, at: i64) -> bool {
        let own = (0, self.code.len());
        let parts = ways.code.iter().map(|(at, part)| (*at, part.len()));
        std::iter::once(own).chain(parts).any(|(start, len)| {
            let behind = at.checked_sub(start).and_then(|n| usize::try_from(n).ok());
            behind.is_some_and(|behind| behind < len)
        })
    }

    /// What lies there, from the beginning that the unwinder's table has before it.
    fn part_at(&self, at: i64) -> Result<(i64, Vec<u8>), Refusal> {
        let target = self.address.wrapping_add_signed(at);
        let extents = self.binary.extents().ok_or(Refusal::Leaves)?;
        let (start, end) = extents.function_at(target).ok_or(Refusal::Leaves)?;
        let elf = &self.binary.elf;
        let offset = elf.code_offset_of(start);
        let code = offset.and_then(|offset| elf.function(offset, end - start));
        let at = start.wrapping_sub(self.address).cast_signed();
        Ok((at, code.ok_or(Refusal::Leaves)?))
    }

    /// Follows a part too.
    fn add(&self, ways: &mut Ways, (at, part): (i64, Vec<u8>)) -> Result<(), Refusal> {
        if ways.code.len() == MAX_PARTS {
            return Err(Refusal::Leaves);
        }
        let more = switches::read(&self.binary.elf, self.address, at, &part);
        ways.switches.extend(more);
        ways.pads.extend(self.pads(at));
        ways.code.push((at, part));
        Ok(())
    }

    fn way(&self, jump: &JumpOut) -> Result<Way, Refusal> {
        let depth = jump.depth.ok_or(Refusal::Depth)?;
        if depth == 0 && self.is_stub(jump.to) {
            return match jump.is_conditional {
                false => Ok(Way::Tail),
                true => Err(Refusal::Conditional),
            };
        }
        let (at, part) = self.part_at(jump.to)?;
        if depth != 0 {
            return Ok(Way::Part(at, part));
        }
        let switches = switches::read(&self.binary.elf, self.address, at, &part);
        let own = i64::try_from(self.code.len()).unwrap_or(i64::MAX);
        let Leads { back, away } = place::leads((at, &part), jump.to, own, &switches);
        match (back, jump.is_conditional) {
            (true, _) => Ok(Way::Part(at, part)),
            (false, false) if at == jump.to => Ok(Way::Tail),
            (false, false) => Err(Refusal::Leaves),
            (false, true) if !away => Ok(Way::Part(at, part)),
            (false, true) => Err(Refusal::Conditional),
        }
    }

    /// It leads to a function of another file.
    fn is_stub(&self, at: i64) -> bool {
        let address = self.address.wrapping_add_signed(at);
        let elf: &Elf<'_> = &self.binary.elf;
        STUBS.iter().any(|name| {
            let section = elf.section(name);
            let at = section.and_then(|s| Some((address.checked_sub(s.address)?, s.size)));
            at.is_some_and(|(at, size)| at < size)
        })
    }
}
