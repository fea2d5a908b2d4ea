//! Usage of several results in one answer.
//!
//! A list of prompts, or several samples of one, may be answered by an array with a result for each,
//! or by a stream whose events say which result they are of. Each result reports for itself: what it
//! said last stands for it, and the sum of all for the answer.

use super::facts::Usage;

/// Results of one answer that are told apart. Batches of offline runs have some hundred prompts. Past
/// it what all results report together is not known, and absent.
pub(crate) const MAX_RESULTS: usize = 4096;

/// What each result of an answer reported.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By result, in order.
    told: Vec<(u64, Usage)>,
    sum: Usage,
    /// A hole may have taken what others reported.
    holed: bool,
    /// What some of them reported will not be known: a hole took it, or there are more than are told
    /// apart.
    lost: bool,
}

impl Results {
    /// A document of result `key` begins to be taken: `usage` is what that one told so far.
    pub(crate) fn begin(&mut self, key: u64, usage: &mut Usage) {
        *usage = match self.told.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(at) => self.told.get(at).map(|(_, u)| *u).unwrap_or_default(),
            Err(_) => Usage::default(),
        };
    }

    /// It was taken: `usage` was what it told, and is what all did.
    pub(crate) fn end(&mut self, key: u64, usage: &mut Usage) {
        match self.told.binary_search_by_key(&key, |(k, _)| *k) {
            Ok(at) => {
                if let Some((_, told)) = self.told.get_mut(at) {
                    self.sum = exchanged(self.sum, told, usage);
                    *told = *usage;
                }
            }
            Err(_) if *usage == Usage::default() => {}
            Err(at) if self.told.len() < MAX_RESULTS => {
                self.sum = exchanged(self.sum, &Usage::default(), usage);
                self.told.insert(at, (key, *usage));
            }
            Err(_) => self.lost = true,
        }
        *usage = self.sum();
    }

    /// Bytes are missing here.
    pub(crate) fn hole(&mut self, usage: &mut Usage) {
        self.holed = true;
        if self.are_many() {
            *usage = self.sum();
        }
    }

    /// What one of several reported is lost.
    pub(crate) fn lose(&mut self, usage: &mut Usage) {
        self.lost = true;
        *usage = self.sum();
    }

    /// The key of what does not say which result it is of, where there is no doubt.
    pub(crate) fn only(&self) -> Option<u64> {
        match self.told.as_slice() {
            [] => Some(0),
            [(key, _)] => Some(*key),
            _ => None,
        }
    }

    /// Those that reported something.
    pub(crate) fn count(&self) -> u64 {
        self.told.len() as u64
    }

    /// One that is not the first is not the only one.
    fn are_many(&self) -> bool {
        self.told.last().is_some_and(|(key, _)| *key > 0)
    }

    fn sum(&self) -> Usage {
        if self.lost || self.holed && self.are_many() {
            return Usage::default();
        }
        self.sum
    }
}

/// `sum` with `new` in place of `old`.
fn exchanged(sum: Usage, old: &Usage, new: &Usage) -> Usage {
    let part = |sum: Option<i64>, old: Option<i64>, new: Option<i64>| match (sum, new) {
        (None, new) => new,
        (sum, None) => sum,
        (Some(sum), Some(new)) => sum.checked_sub(old.unwrap_or(0))?.checked_add(new),
    };
    Usage {
        input: part(sum.input, old.input, new.input),
        output: part(sum.output, old.output, new.output),
        total: part(sum.total, old.total, new.total),
        cached: part(sum.cached, old.cached, new.cached),
        reasoning: part(sum.reasoning, old.reasoning, new.reasoning),
        audio_input: part(sum.audio_input, old.audio_input, new.audio_input),
        audio_output: part(sum.audio_output, old.audio_output, new.audio_output),
    }
}

/// What `results` results report together as that of a request for `choices` samples of each prompt,
/// `None` where the request was not read. Each sample reports the whole prompt, which is one.
pub(crate) fn shared(usage: Usage, results: u64, choices: Option<i64>) -> Usage {
    let results = i64::try_from(results).unwrap_or(i64::MAX);
    if results < 2 || choices == Some(1) {
        return usage;
    }
    let prompts = choices.filter(|n| *n > 0 && results % n == 0);
    let once = |sum: i64| prompts.filter(|n| sum % n == 0).map(|n| sum / n);
    Usage {
        input: usage.input.and_then(once),
        audio_input: usage.audio_input.and_then(once),
        // It counts the prompt with each.
        total: None,
        // Of one prompt a sample may have had more from the cache than another.
        cached: None,
        ..usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(results: &mut Results, usage: &mut Usage, key: u64, input: i64, output: i64) {
        results.begin(key, usage);
        (usage.input, usage.output) = (Some(input), Some(output));
        results.end(key, usage);
    }

    #[test]
    fn the_last_report_of_each_stands_for_it_and_the_sum_for_all() {
        let (mut results, mut usage) = (Results::default(), Usage::default());
        told(&mut results, &mut usage, 1, 3, 1);
        told(&mut results, &mut usage, 0, 4, 1);
        told(&mut results, &mut usage, 1, 3, 7);
        told(&mut results, &mut usage, 0, 4, 5);
        assert_eq!((usage.input, usage.output), (Some(7), Some(12)));
        assert_eq!((results.count(), results.only()), (2, None));
        // One that says nothing more takes nothing back.
        results.begin(0, &mut usage);
        results.end(0, &mut usage);
        assert_eq!((usage.input, usage.output), (Some(7), Some(12)));
    }

    #[test]
    fn behind_a_hole_the_sum_of_many_is_not_known() {
        let (mut results, mut usage) = (Results::default(), Usage::default());
        told(&mut results, &mut usage, 0, 3, 1);
        results.hole(&mut usage);
        assert_eq!(usage.output, Some(1));
        told(&mut results, &mut usage, 0, 3, 2);
        assert_eq!(usage.output, Some(2));
        told(&mut results, &mut usage, 1, 3, 2);
        assert_eq!(usage, Usage::default());
    }

    #[test]
    fn past_the_bound_what_all_report_is_not_known() {
        let (mut results, mut usage) = (Results::default(), Usage::default());
        for key in 0..MAX_RESULTS as u64 {
            told(&mut results, &mut usage, key, 1, 2);
        }
        assert_eq!(usage.output, Some(2 * MAX_RESULTS as i64));
        told(&mut results, &mut usage, MAX_RESULTS as u64, 1, 2);
        assert_eq!(usage, Usage::default());
    }

    #[test]
    fn samples_of_one_prompt_have_it_once() {
        let usage = Usage {
            input: Some(12),
            output: Some(9),
            cached: Some(4),
            ..Usage::default()
        };
        assert_eq!(shared(usage, 1, None), usage);
        assert_eq!(shared(usage, 4, Some(1)), usage);
        let total = |results, choices| {
            let usage = shared(usage, results, choices);
            (usage.input, usage.output, usage.cached)
        };
        assert_eq!(total(4, Some(2)), (Some(6), Some(9), None));
        assert_eq!(total(3, Some(2)), (None, Some(9), None));
        assert_eq!(total(4, None), (None, Some(9), None));
    }
}
