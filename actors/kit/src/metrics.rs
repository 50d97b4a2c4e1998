//! What a process measures of itself: counters, gauges and histograms, and their text for Prometheus.
//!
//! Flow: the composition makes one [`Registry`] for a process and gives it to each component, which asks it for its instruments once and
//! keeps them; `/metrics` and the `metrics` control subject write its [`Registry::text`]. Guarantees: an instrument costs an atomic operation
//! or two; whoever asks for the same name and labels again, as an actor that is started again does, gets the same one; a name has at most
//! [`MAX_SERIES`] sets of labels, whatever becomes a label.

mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// The media type of the text: Prometheus' text format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
/// How many sets of labels a name may have; what comes beyond is measured and not shown.
pub const MAX_SERIES: usize = 4096;

/// Upper bounds for what takes from microseconds to seconds, in seconds.
pub const SHORT: &[f64] = &[0.00001, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

/// What is measured under one name.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, unique in the process.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// The instruments of a process; clones share them.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    families: BTreeMap<&'static str, Family>,
    sections: Vec<Section>,
}

/// What somebody else writes.
type Section = Arc<dyn Fn() -> String + Send + Sync>;
/// A value that is asked for when it is shown.
type Ask = Arc<dyn Fn() -> u64 + Send + Sync>;

#[derive(Clone)]
struct Family {
    help: &'static str,
    kind: &'static str,
    series: BTreeMap<String, Series>,
}

#[derive(Clone)]
enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Asked(Ask),
}

/// Something that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// So many more.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// It is so much now.
    pub fn set(&self, value: usize) {
        self.0.store(i64::try_from(value).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// It is so much more, or less, than before.
    pub fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How values are spread over fixed buckets.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all; each counts its own values only.
    counts: Box<[AtomicU64]>,
    /// The sum, as the bits of a float.
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0.0_f64.to_bits()) }))
    }

    /// One more value.
    pub fn observe(&self, value: f64) {
        let Buckets { bounds, counts, sum } = &*self.0;
        let place = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let more = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        // It always says some.
        let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// One more value, in seconds.
    pub fn took(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl Registry {
    /// A counter; its name ends in `_total`.
    pub fn counter(&self, metric: Metric, labels: &[(&str, &str)]) -> Counter {
        let made = self.series(metric, "counter", labels, || Series::Counter(Counter::default()));
        if let Series::Counter(counter) = made { counter } else { Counter::default() }
    }

    /// A gauge.
    pub fn gauge(&self, metric: Metric, labels: &[(&str, &str)]) -> Gauge {
        let made = self.series(metric, "gauge", labels, || Series::Gauge(Gauge::default()));
        if let Series::Gauge(gauge) = made { gauge } else { Gauge::default() }
    }

    /// A histogram with these upper bounds, which ascend.
    pub fn histogram(&self, metric: Metric, labels: &[(&str, &str)], bounds: &'static [f64]) -> Histogram {
        let made = self.series(metric, "histogram", labels, || Series::Histogram(Histogram::new(bounds)));
        if let Series::Histogram(histogram) = made { histogram } else { Histogram::new(bounds) }
    }

    /// A gauge whose value is asked for whenever it is shown. Asking again for the same labels replaces who is asked.
    pub fn asked(&self, metric: Metric, labels: &[(&str, &str)], ask: impl Fn() -> u64 + Send + Sync + 'static) {
        self.ask(metric, "gauge", labels, Arc::new(ask));
    }

    /// The same of a counter: what is told only grows.
    pub fn asked_total(&self, metric: Metric, labels: &[(&str, &str)], ask: impl Fn() -> u64 + Send + Sync + 'static) {
        self.ask(metric, "counter", labels, Arc::new(ask));
    }

    fn ask(&self, metric: Metric, kind: &'static str, labels: &[(&str, &str)], ask: Ask) {
        let series = Series::Asked(ask);
        self.series(metric, kind, labels, || series.clone());
        let mut contents = self.0.lock();
        let known = contents.families.get_mut(metric.name).and_then(|f| f.series.get_mut(&text::labels(labels)));
        if let Some(known @ Series::Asked(_)) = known {
            *known = series;
        }
    }

    /// Text of names that nobody else has, which comes after the others.
    pub fn section(&self, write: impl Fn() -> String + Send + Sync + 'static) {
        self.0.lock().sections.push(Arc::new(write));
    }

    /// All of it, in Prometheus' text format.
    pub fn text(&self) -> String {
        let (families, sections) = {
            let contents = self.0.lock();
            (contents.families.clone(), contents.sections.clone())
        };
        // Who is asked may take its time: nobody waits for the lock meanwhile.
        let mut out = String::new();
        families.iter().for_each(|(name, family)| text::write(&mut out, name, family));
        sections.iter().for_each(|write| out.push_str(&write()));
        out
    }

    /// What is there under these labels, or is made now.
    fn series(&self, metric: Metric, kind: &'static str, labels: &[(&str, &str)], make: impl Fn() -> Series) -> Series {
        let Metric { name, help } = metric;
        let mut contents = self.0.lock();
        let series = BTreeMap::new();
        let family = contents.families.entry(name).or_insert_with(|| Family { help, kind, series });
        let labels = text::labels(labels);
        if family.kind != kind || (family.series.len() >= MAX_SERIES && !family.series.contains_key(&labels)) {
            tracing::warn!(
                name,
                kind,
                labels,
                "this is measured and not shown: its name means something else, or has too many labels"
            );
            return make();
        }
        family.series.entry(labels).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests;
