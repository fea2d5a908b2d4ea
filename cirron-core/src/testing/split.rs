//! Split invariance and gap safety, for any parser.

#[cfg(test)]
use std::fmt::Debug;

/// A part of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fed<'a> {
    /// Bytes, at least one.
    Data(&'a [u8]),
    /// Number of bytes that were lost, at least 1.
    Gap(u64),
}

/// A hole of a gap test.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// Where it begins.
    pub start: usize,
    /// Its length, at least 1.
    pub len: usize,
}

/// Three-piece cuts tried for one input, at most; they are spread evenly.
#[cfg(test)]
const MAX_THREE_PIECE_CUTS: usize = 400;

/// `run` feeds the pieces to a parser and gives its result in a comparable form. The result must
/// be that of the whole input for: byte by byte, each cut in two, and some cuts in three. Returns
/// the result of the whole.
///
/// # Panics
/// When a cut changes the result.
#[cfg(test)]
pub(crate) fn assert_split_invariant<T: PartialEq + Debug>(
    input: &[u8],
    mut run: impl FnMut(&[Fed<'_>]) -> T,
) -> T {
    let whole = run(&data(&[input]));
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&data(&single)), whole, "fed byte by byte");
    for cut in 1..input.len() {
        let (a, b) = input.split_at(cut);
        assert_eq!(run(&data(&[a, b])), whole, "cut at {cut}");
    }
    let pairs = input.len() * input.len() / 2;
    let stride = (pairs / MAX_THREE_PIECE_CUTS).max(1);
    for i in (0..pairs).step_by(stride) {
        let (first, second) = (i / input.len(), i % input.len());
        if first < second {
            let parts = [&input[..first], &input[first..second], &input[second..]];
            assert_eq!(run(&data(&parts)), whole, "cut at {first} and {second}");
        }
    }
    whole
}

/// Feeds the input with one hole at each place, of 1, 2, 3, 7, 64 bytes and of all that is left,
/// the rest in one piece on each side and again cut in the middle. `check` sees each result.
///
/// # Panics
/// When `run` or `check` does.
#[cfg(test)]
pub(crate) fn assert_gap_safe<T>(
    input: &[u8],
    mut run: impl FnMut(&[Fed<'_>]) -> T,
    mut check: impl FnMut(&T, Hole),
) {
    for start in 0..input.len() {
        let rest = input.len() - start;
        for len in [1, 2, 3, 7, 64, rest]
            .into_iter()
            .filter(|len| *len <= rest)
        {
            let (before, after) = (&input[..start], &input[start + len..]);
            let mut parts = data(&[before]);
            parts.push(Fed::Gap(len as u64));
            let (left, right) = after.split_at(after.len() / 2);
            for tail in [data(&[after]), data(&[left, right])] {
                let all: Vec<Fed<'_>> = parts.iter().chain(&tail).copied().collect();
                check(&run(&all), Hole { start, len });
            }
        }
    }
}

#[cfg(test)]
fn data<'a>(parts: &[&'a [u8]]) -> Vec<Fed<'a>> {
    parts
        .iter()
        .filter(|p| !p.is_empty())
        .map(|p| Fed::Data(p))
        .collect()
}
