//! The checks as text.

use std::fmt::Write;

use super::{Answer, Check, Subject};

/// Everything that is missing, each with its fix on a line of its own; `None` where nothing is.
pub fn missing(checks: &[Check]) -> Option<String> {
    let mut out = String::new();
    for check in checks
        .iter()
        .filter(|check| check.answer == Answer::Missing)
    {
        let _ = write!(
            out,
            "\n  missing: {}: {}\n      fix: {}",
            check.name, check.found, check.fix
        );
    }
    (!out.is_empty()).then(|| format!("cannot attach{out}"))
}

/// Whether all that is missing are targets that are not there.
pub fn only_targets_missing(checks: &[Check]) -> bool {
    checks
        .iter()
        .filter(|check| check.answer == Answer::Missing)
        .all(|check| check.subject == Subject::Target)
}

/// Every check, one a line.
pub fn table(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let answer = match check.answer {
            Answer::Ok => "ok",
            Answer::Missing => "MISSING",
            Answer::Unknown => "unknown",
        };
        let _ = writeln!(out, "{answer:8} {:width$}  {}", check.name, check.found);
        if !check.fix.is_empty() {
            let _ = writeln!(out, "         {:width$}  fix: {}", "", check.fix);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: Subject, answer: Answer) -> Check {
        Check::new(subject, "thing", answer, "found", "do this")
    }

    #[test]
    fn all_that_is_missing_is_said_at_once_each_with_its_fix() {
        let checks = [
            check(Subject::Host, Answer::Missing),
            check(Subject::Host, Answer::Ok),
            check(Subject::Host, Answer::Unknown),
            check(Subject::Target, Answer::Missing),
        ];
        let text = missing(&checks).unwrap_or_default();
        assert_eq!(
            text.matches("missing: thing: found\n      fix: do this")
                .count(),
            2,
            "{text}"
        );
        assert!(!only_targets_missing(&checks));
        assert!(only_targets_missing(&checks[1..]));
        assert_eq!(missing(&checks[1..3]), None);
    }

    #[test]
    fn what_holds_shows_no_fix() {
        let text = table(&[check(Subject::Host, Answer::Ok)]);
        assert_eq!(text, "ok       thing  found\n");
    }
}
