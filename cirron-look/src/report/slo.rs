//! What is good enough: bounds that the user gives, and judging a call by them.
//!
//! A call is good where it ended well and every bound holds. It is missed where it failed, was aborted, or a known
//! figure is over its bound. Where none of that is so and a figure is not known, it is not judged, and counted as that.

use std::fmt;
use std::time::Duration;

use crate::survey::calls::{Call, Figure};

/// Bounds; none where nothing was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slos {
    /// To the first token, ms.
    pub ttft_ms: Option<f64>,
    /// Between tokens, ms.
    pub tpot_ms: Option<f64>,
    /// Of the whole, ms.
    pub latency_ms: Option<f64>,
}

/// What is wrong with a list of bounds.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SloError {
    /// A name that is none.
    #[error(
        "no bound is called {0:?}\n  the names are ttft, tpot and latency, as in --slo ttft=200ms,tpot=30ms,latency=2s"
    )]
    Name(String),
    /// A value that is none.
    #[error("{0:?} is no time\n  write one such as 200ms or 1.5s")]
    Time(String),
    /// The same name twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
}

/// How a call fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Met,
    Missed,
    Unknown,
}

impl Slos {
    /// Of `ttft=200ms,tpot=30ms,latency=2s`, with a reader of times.
    pub fn parse(text: &str, time: &dyn Fn(&str) -> Option<Duration>) -> Result<Slos, SloError> {
        let mut slos = Slos::default();
        for part in text.split(',').map(str::trim) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, slot) = match name.trim() {
                "ttft" => ("ttft", &mut slos.ttft_ms),
                "tpot" => ("tpot", &mut slos.tpot_ms),
                "latency" => ("latency", &mut slos.latency_ms),
                other => return Err(SloError::Name(other.to_owned())),
            };
            let value = value.trim();
            let found = time(value).ok_or_else(|| SloError::Time(value.to_owned()))?;
            if slot.replace(found.as_secs_f64() * 1e3).is_some() {
                return Err(SloError::Twice(name));
            }
        }
        Ok(slos)
    }

    /// Whether there is one.
    pub fn is_empty(&self) -> bool {
        *self == Slos::default()
    }

    /// Name, bound and figure of a call, of each that was given.
    pub(crate) fn each(&self) -> Vec<(&'static str, f64, Figure)> {
        let all: [(_, _, Figure); 3] = [
            ("first token", self.ttft_ms, Call::ttft_ms),
            ("time per token", self.tpot_ms, Call::tpot_ms),
            ("latency", self.latency_ms, Call::latency_ms),
        ];
        all.into_iter()
            .filter_map(|(name, bound, figure)| Some((name, bound?, figure)))
            .collect()
    }

    /// Judges a call that has ended.
    pub(crate) fn judge(&self, call: &Call) -> Judged {
        if call.has_failed() || call.is_aborted() {
            return Judged::Missed;
        }
        let mut all = Judged::Met;
        for (_, bound, figure) in self.each() {
            match judge_one(figure(call), bound) {
                Judged::Missed => return Judged::Missed,
                Judged::Unknown => all = Judged::Unknown,
                Judged::Met => {}
            }
        }
        all
    }
}

/// A figure against its bound.
pub(crate) fn judge_one(figure: Option<f32>, bound: f64) -> Judged {
    match figure {
        None => Judged::Unknown,
        Some(ms) if f64::from(ms) <= bound => Judged::Met,
        Some(_) => Judged::Missed,
    }
}

impl fmt::Display for Slos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .each()
            .into_iter()
            .map(|(name, bound, _)| format!("{name} ≤ {}", crate::units::ms(bound)))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::calls::{Call, Flags};

    fn time(text: &str) -> Option<Duration> {
        let ms: u64 = text.strip_suffix("ms")?.parse().ok()?;
        Some(Duration::from_millis(ms))
    }

    fn parse(text: &str) -> Result<Slos, SloError> {
        Slos::parse(text, &time)
    }

    fn call(ttft: f32, tpot: f32, latency: f32) -> Call {
        Call {
            ttft_ms: ttft,
            tpot_ms: tpot,
            latency_ms: latency,
            ..Call::default()
        }
    }

    #[test]
    fn bounds_are_named_and_have_units() {
        let slos = parse("ttft=200ms, latency=2000ms");
        let want = Slos {
            ttft_ms: Some(200.0),
            tpot_ms: None,
            latency_ms: Some(2000.0),
        };
        assert_eq!(slos, Ok(want));
        assert_eq!(parse("first=1ms"), Err(SloError::Name("first".into())));
        assert_eq!(parse(""), Err(SloError::Name("".into())));
        assert_eq!(parse("ttft=soon"), Err(SloError::Time("soon".into())));
        assert_eq!(parse("ttft"), Err(SloError::Time("".into())));
        assert_eq!(parse("tpot=1ms,tpot=2ms"), Err(SloError::Twice("tpot")));
    }

    #[test]
    fn what_is_not_known_is_neither_met_nor_missed() {
        let slos = Slos {
            ttft_ms: Some(200.0),
            tpot_ms: Some(30.0),
            latency_ms: None,
        };
        let nan = f32::NAN;
        assert_eq!(slos.judge(&call(200.0, 30.0, 9e9)), Judged::Met);
        assert_eq!(slos.judge(&call(201.0, 30.0, 1.0)), Judged::Missed);
        assert_eq!(slos.judge(&call(nan, 30.0, 1.0)), Judged::Unknown);
        assert_eq!(slos.judge(&call(nan, 31.0, 1.0)), Judged::Missed);
        let failed = Call {
            flags: Flags::FAILED,
            ..call(1.0, 1.0, 1.0)
        };
        assert_eq!(slos.judge(&failed), Judged::Missed);
    }
}
