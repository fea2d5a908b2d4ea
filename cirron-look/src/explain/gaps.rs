//! Between the tokens of a stream: its longest gaps, and whether the other streams of its process stood still as well.
//!
//! Times of tokens are there where they were asked for (`--chunk-timing`): each is the one before it and its `chunk_ms`.

use serde::Serialize;

use crate::request::Request;

/// Gaps that are told.
const LONGEST: usize = 3;

/// How often a gap has to be its stream's median gap to be told.
const LEAST_TIMES: f64 = 2.0;

/// The part of a gap for which another stream has to give no token, to have stood still as well. Streams of one batch
/// give their tokens one shortly after the other, so that none stands still for all of another's gap.
const STILL: f64 = 0.8;

/// What is known between tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gaps {
    /// `max_inter_token_ms`.
    pub longest_ms: Option<f64>,
    /// The median of its gaps, where each is known.
    pub median_ms: Option<f64>,
    /// The longest ones, where each is known; those twice the median or longer.
    pub told: Vec<Gap>,
    /// Calls of the same process that were in flight meanwhile.
    pub beside: usize,
    /// Streams among them whose tokens were not looked at, since there were too many.
    pub streams_unlooked: usize,
}

/// A gap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// When it began, from the call's start.
    pub at_ms: f64,
    /// How long it was.
    pub ms: f64,
    /// Other streams of the process that had begun before it and went on behind it, with known times of tokens.
    pub others: usize,
    /// Those of them that gave no token for four fifths of it or longer.
    pub others_still: usize,
}

/// Of a request and the streams beside it.
pub(super) fn gaps(request: &Request, streams: &[Request], beside: usize) -> Gaps {
    let own = tokens(request);
    let mut all: Vec<(f64, f64)> = own.windows(2).filter_map(pair).collect();
    let median_ms = {
        let mut lengths: Vec<f64> = all.iter().map(|(from, to)| to - from).collect();
        lengths.sort_by(f64::total_cmp);
        crate::figures::ranked(&lengths, 0.5)
    };
    let least = median_ms.unwrap_or(f64::MAX) * LEAST_TIMES;
    all.retain(|(from, to)| to - from >= least);
    all.sort_by(|a, b| (b.1 - b.0).total_cmp(&(a.1 - a.0)));
    all.truncate(LONGEST);
    let others: Vec<Vec<f64>> = streams.iter().map(tokens).collect();
    let told = all.into_iter().map(|(from, to)| {
        let around = others.iter().filter(|times| {
            times.first().is_some_and(|first| *first <= from)
                && times.last().is_some_and(|last| *last >= to)
        });
        let still: Vec<bool> = around.map(|times| stood_still(times, from, to)).collect();
        Gap {
            at_ms: from - request.start_ns as f64 / 1e6,
            ms: to - from,
            others: still.len(),
            others_still: still.iter().filter(|still| **still).count(),
        }
    });
    Gaps {
        longest_ms: request.figures.max_gap_ms,
        median_ms,
        told: told.collect(),
        beside,
        streams_unlooked: 0,
    }
}

fn pair(pair: &[f64]) -> Option<(f64, f64)> {
    Some((*pair.first()?, *pair.get(1)?))
}

/// When its tokens came, ms of the wall clock; nothing where only the first is known.
fn tokens(request: &Request) -> Vec<f64> {
    let Some(ttft) = request.figures.ttft_ms else {
        return Vec::new();
    };
    let mut at = request.start_ns as f64 / 1e6 + ttft;
    let gaps = request.figures.chunks_ms.iter();
    let later = gaps.map(|gap| {
        at += f64::from(*gap);
        at
    });
    let first = request.start_ns as f64 / 1e6 + ttft;
    std::iter::once(first).chain(later).collect()
}

fn stood_still(times: &[f64], from: f64, to: f64) -> bool {
    let longest = times
        .windows(2)
        .filter_map(pair)
        .map(|(a, b)| b.min(to) - a.max(from))
        .fold(0.0, f64::max);
    longest >= STILL * (to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(start_ms: u64, ttft: f64, chunks: &[f32]) -> Request {
        let mut request = Request {
            start_ns: start_ms * 1_000_000,
            ..Request::default()
        };
        request.figures.ttft_ms = Some(ttft);
        request.figures.chunks_ms = chunks.to_vec();
        request
    }

    #[test]
    fn a_gap_in_which_the_other_streams_stood_still_too_says_so() {
        // Its tokens: 100, 110, 120, 420, 430.
        let own = stream(0, 100.0, &[10.0, 10.0, 300.0, 10.0]);
        let stalled = stream(0, 80.0, &[45.0, 290.0, 10.0, 10.0]);
        let going_on = stream(50, 30.0, &[100.0, 100.0, 100.0, 100.0]);
        let ended = stream(0, 10.0, &[10.0, 300.0]);
        let found = gaps(&own, &[stalled, going_on, ended], 3);
        assert_eq!(found.told.len(), 1, "{found:?}");
        let gap = found.told[0];
        assert_eq!((gap.at_ms, gap.ms), (120.0, 300.0));
        assert_eq!((gap.others, gap.others_still), (2, 1));
        assert_eq!(found.median_ms, Some(10.0));
    }

    #[test]
    fn even_tokens_have_no_gaps_to_tell() {
        assert_eq!(gaps(&stream(0, 5.0, &[10.0; 20]), &[], 0).told, []);
        let no_times = gaps(&stream(0, 5.0, &[]), &[], 0);
        assert_eq!((no_times.told.len(), no_times.median_ms), (0, None));
    }
}
