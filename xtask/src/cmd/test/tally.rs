//! Counts of tests, read from what test runners print.

use std::fmt;

/// How many.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// Sums the closing lines of runners in a text: libtest's `test result: ok. 3 passed; 0 failed;
    /// 1 ignored; ...`, and `suite: 3 passed, 1 skipped, 0 failed`. Tests that libtest filtered out
    /// were not asked for, and do not count.
    pub(crate) fn read(text: &str) -> Self {
        let mut sum = Self::default();
        for line in text.lines() {
            if let Some(tally) = Self::closing_line(line) {
                sum.add(tally);
            }
        }
        sum
    }

    fn closing_line(line: &str) -> Option<Self> {
        let mut tally = Self::default();
        let mut verdicts = 0;
        let words: Vec<&str> = line
            .split([' ', ';', ',', '.'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<usize>() else {
                continue;
            };
            match pair[1] {
                "passed" => tally.passed = count,
                "failed" => tally.failed = count,
                "ignored" | "skipped" => tally.skipped = count,
                _ => continue,
            }
            verdicts += 1;
        }
        // A test's own output may hold one of the words, hardly all three with numbers.
        (verdicts == 3).then_some(tally)
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn closing_lines_of_both_runners_are_summed() {
        let text = "running 2 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; \
            finished in 0.00s\n\
            FAIL a (1.0 s): 3 passed, it said\n\
            real: 20 passed, 2 skipped, 1 failed in 60 s\n";
        assert_eq!(
            Tally::read(text),
            Tally {
                passed: 23,
                failed: 1,
                skipped: 3
            }
        );
    }

    #[test]
    fn no_closing_line_counts_nothing() {
        assert_eq!(Tally::read("error: could not compile\n"), Tally::default());
    }
}
