//! Exchanges in, series out: counters and distributions as they stand.
//!
//! Between [`crate::joined`] and what shows metrics (Prometheus, OTLP). It reads no clock: what is older than the
//! start that it was told is not counted, and counters begin at 0 there.
//!
//! It promises that a figure which the spool does not have is in no histogram: of an exchange whose beginning or end
//! was not seen there is no duration, and it is in `cirron.requests` and `cirron.requests.partial` all the same. It
//! does not weigh what sampling left out: that is among the agent's own counters.
//!
//! ```text
//! a source:  known on its first exchange -> its series -> idle for 10 min and the room is needed: retired
//!                      ^------------------- counts from 0, with a new beginning ----------|
//! ```

mod native;
mod source;
mod table;
mod take;
#[cfg(test)]
pub(crate) mod testing;
mod words;

use std::collections::BTreeMap;

pub use native::{MAX_BUCKETS, Native, ZERO_THRESHOLD};
pub use source::{ATTRS as SOURCE_ATTRS, Source, UNKNOWN as UNKNOWN_SERVICE};
pub use table::{Kind, Label, METRICS, Metric, Name};
pub use words::{MAX_WORD_BYTES, MAX_WORDS, OTHER};

use foldhash::{HashMap, HashMapExt as _};
use words::{ABSENT, Word, Words};

/// Sources that have series at once: the 300 targets of a node, and those that they replace.
pub const MAX_SOURCES: usize = 512;

/// A source without exchanges for so long makes room for a new one.
pub const IDLE_NS: u64 = 600 * 1_000_000_000;

/// Series at once. With 16 buckets and their exemplars a series has 1 kB: 16 MB. Native buckets are some dozens of 16 bytes,
/// and 2.5 kB at most: 42 MB, if values of every series were spread over twenty octaves.
pub const MAX_SERIES: usize = 16_384;

/// Labels of one metric, besides the source's.
const MAX_LABELS: usize = 7;

/// Where a value was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
    /// The value.
    pub value: f64,
    /// Wall clock.
    pub ts_ns: u64,
}

/// A distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bounds; above the last there is one more bucket.
    pub bounds: &'static [f64],
    /// Values in each bucket, not summed up.
    pub counts: Box<[u64]>,
    /// The newest value of each bucket.
    pub exemplars: Box<[Option<Exemplar>]>,
    /// Of all values.
    pub sum: f64,
    /// The same values in buckets of the native kind.
    pub native: Native,
}

/// What a series holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A sum.
    Sum(f64),
    /// A distribution.
    Histogram(Histogram),
}

/// A series as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Its metric.
    pub metric: &'static Metric,
    /// Whose it is.
    pub source: &'a Source,
    /// When it was 0: wall clock.
    pub since_ns: u64,
    /// Its value.
    pub value: &'a Value,
    words: &'a Words,
    labels: &'a [Word; MAX_LABELS],
}

/// What the bounds cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Exchanges from before the start.
    pub before_start: u64,
    /// Exchanges whose source had no place, and count as source `other`.
    pub sources_other: u64,
    /// Sources that made room.
    pub sources_retired: u64,
    /// Values that are in no series, since there were too many.
    pub values_dropped: u64,
}

/// All series.
#[derive(Debug)]
pub struct Metrics {
    start_ns: u64,
    service: Option<Box<str>>,
    words: Words,
    sources: HashMap<Source, u32>,
    known: BTreeMap<u32, Known>,
    next_source: u32,
    series: BTreeMap<Key, Held>,
    counts: Counts,
}

#[derive(Debug)]
struct Known {
    source: Source,
    since_ns: u64,
    last_ns: u64,
}

/// In the order of metrics: both formats ask for all series of one together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    name: Name,
    source: u32,
    labels: [Word; MAX_LABELS],
}

#[derive(Debug)]
struct Held {
    since_ns: u64,
    value: Value,
}

/// The source that has no place among the others.
const OTHER_SOURCE: u32 = u32::MAX;

impl Metrics {
    /// Nothing yet. `service` is the name of all sources, where who started the agent gave one.
    pub fn new(start_ns: u64, service: Option<&str>) -> Metrics {
        Metrics {
            start_ns,
            service: service.map(Into::into),
            words: Words::default(),
            sources: HashMap::new(),
            known: BTreeMap::new(),
            next_source: 0,
            series: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// When all began.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// What the bounds cost so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How often each label was `other`, where it was.
    pub fn others(&self) -> impl Iterator<Item = (Label, u64)> {
        self.words.others()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// All series, metric by metric, in the table's order.
    pub fn series(&self) -> impl Iterator<Item = Series<'_>> {
        self.series.iter().filter_map(|(key, held)| {
            Some(Series {
                metric: key.name.metric(),
                source: &self.known.get(&key.source)?.source,
                since_ns: held.since_ns,
                value: &held.value,
                words: &self.words,
                labels: &key.labels,
            })
        })
    }

    /// The number of a source, which takes a place for it where there is one.
    fn source(&mut self, source: Source, now_ns: u64) -> u32 {
        if let Some(number) = self.sources.get(&source).copied() {
            if let Some(known) = self.known.get_mut(&number) {
                known.last_ns = known.last_ns.max(now_ns);
            }
            return number;
        }
        let mut since_ns = self.start_ns;
        if self.sources.len() >= MAX_SOURCES && !self.retire(now_ns) {
            self.counts.sources_other += 1;
            let other = || Known {
                source: Source::named(OTHER),
                since_ns,
                last_ns: now_ns,
            };
            self.known.entry(OTHER_SOURCE).or_insert_with(other);
            return OTHER_SOURCE;
        }
        if self.counts.sources_retired > 0 {
            // It may have been there before, and counted.
            since_ns = now_ns;
        }
        let number = self.next_source;
        self.next_source += 1;
        self.sources.insert(source.clone(), number);
        let known = Known {
            source,
            since_ns,
            last_ns: now_ns,
        };
        self.known.insert(number, known);
        number
    }

    /// Forgets the source that was idle longest, if it was idle for long.
    fn retire(&mut self, now_ns: u64) -> bool {
        let places = self.known.iter().filter(|(n, _)| **n != OTHER_SOURCE);
        let Some((&number, known)) = places.min_by_key(|(_, known)| known.last_ns) else {
            return false;
        };
        if known.last_ns.saturating_add(IDLE_NS) > now_ns {
            return false;
        }
        if let Some(known) = self.known.remove(&number) {
            self.sources.remove(&known.source);
        }
        self.series.retain(|key, _| key.source != number);
        self.counts.sources_retired += 1;
        true
    }

    fn held(&mut self, key: Key) -> Option<&mut Value> {
        if self.series.len() >= MAX_SERIES && !self.series.contains_key(&key) {
            self.counts.values_dropped += 1;
            return None;
        }
        let since_ns = self
            .known
            .get(&key.source)
            .map_or(self.start_ns, |known| known.since_ns);
        let held = self.series.entry(key).or_insert_with(|| Held {
            since_ns,
            value: match key.name.metric().kind {
                Kind::Counter => Value::Sum(0.0),
                Kind::Histogram(bounds) => Value::Histogram(Histogram::new(bounds)),
            },
        });
        Some(&mut held.value)
    }
}

impl Histogram {
    /// No values yet.
    pub(crate) fn new(bounds: &'static [f64]) -> Histogram {
        Histogram {
            bounds,
            counts: vec![0; bounds.len() + 1].into(),
            exemplars: vec![None; bounds.len() + 1].into(),
            sum: 0.0,
            native: Native::default(),
        }
    }

    /// Of all buckets.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn observe(&mut self, value: f64, exemplar: Option<Exemplar>) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let (Some(count), Some(newest)) =
            (self.counts.get_mut(bucket), self.exemplars.get_mut(bucket))
        {
            *count += 1;
            *newest = exemplar.or(*newest);
            self.sum += value;
            self.native.observe(value);
        }
    }
}

impl Series<'_> {
    /// Its labels, besides the source's.
    pub fn labels(&self) -> impl Iterator<Item = (Label, &str)> {
        self.metric
            .labels
            .iter()
            .zip(self.labels)
            .filter_map(|(label, word)| Some((*label, self.words.word(*label, *word)?)))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
