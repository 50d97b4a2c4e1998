//! Kubernetes Events: what components note about objects, gathered for a second and counted before it is written.
//!
//! The first note of a series waits [`GATHER`], so that repetitions within it are one write; later repetitions raise `count` and
//! `lastTimestamp` of the same Event, as kubectl shows them (`x5 over 3m`). Notes are no state: those of a crashed component are lost.

mod writer;

pub use writer::recorder;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::why::Why;

/// How long notes are gathered before they are written.
pub const GATHER: Duration = Duration::from_secs(1);
/// How long a series is remembered after its last note.
const SERIES: SignedDuration = SignedDuration::from_mins(10);
/// How many series are remembered; beyond it the oldest are forgotten, and their repetitions begin new Events.
const MAX_SERIES: usize = 4096;
/// The longest message that an Event may have, in bytes.
const MAX_MESSAGE: usize = 1024;

/// `type` of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// `Normal`
    Normal,
    /// `Warning`
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

/// The object that a note is about: an `ObjectReference`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct About {
    /// `apiVersion`
    pub api_version: String,
    /// `kind`
    pub kind: String,
    /// `namespace`, empty for cluster-scoped objects (their Events live in `default`).
    pub namespace: String,
    /// `name`
    pub name: String,
    /// `uid`
    pub uid: String,
    /// `resourceVersion`; not part of what makes two notes the same.
    pub resource_version: String,
    /// `fieldPath` (`spec.containers{web}`), or empty.
    pub field_path: String,
}

/// One thing worth telling about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub about: About,
    /// Normal or Warning.
    pub severity: Severity,
    /// CamelCase reason (`Scheduled`).
    pub reason: String,
    /// The sentence for people; cut to 1,024 bytes.
    pub message: String,
}

impl Note {
    /// A normal note.
    pub fn normal(about: About, reason: &str, message: impl Into<String>) -> Self {
        Note { about, severity: Severity::Normal, reason: reason.to_owned(), message: message.into() }
    }

    /// A warning.
    pub fn warning(about: About, reason: &str, message: impl Into<String>) -> Self {
        Note { about, severity: Severity::Warning, reason: reason.to_owned(), message: message.into() }
    }
}

/// Who notes: `source` and `reportingComponent` of the Events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// `deployment-controller`, `kubelet`, …
    pub component: String,
    /// The node, of a kubelet; else empty.
    pub host: String,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct SeriesKey {
    about: About,
    severity: Severity,
    reason: String,
    message: String,
}

struct Series {
    name: String,
    first: Timestamp,
    last: Timestamp,
    count: u32,
    written: u32,
    resource_version: String,
    /// Its number among those that wait to be written.
    due: Option<u64>,
}

/// A series that waits to be written: since it was last written, these led to it.
struct Due {
    at: Timestamp,
    key: SeriesKey,
    why: Why,
}

/// A write that is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new Event.
    Create(Value),
    /// A merge patch of an Event that was written before.
    Repeat {
        /// Namespace of the Event.
        namespace: String,
        /// Name of the Event.
        name: String,
        /// `count` and `lastTimestamp`.
        patch: Value,
        /// The whole Event, if it is no longer there.
        instead: Value,
    },
}

/// Gathers notes into Events: pure, the time is passed in.
pub struct Aggregator {
    reporter: Reporter,
    series: HashMap<SeriesKey, Series>,
    /// In the order of their first notes.
    due: BTreeMap<u64, Due>,
    begun: u64,
    /// With so many series it is looked for some to forget.
    crowded: usize,
    names: Names,
}

impl Aggregator {
    /// An aggregator for one reporter.
    pub fn new(reporter: Reporter) -> Self {
        let (series, due, names) = (HashMap::new(), BTreeMap::new(), Names::default());
        Aggregator { reporter, series, due, begun: 0, crowded: MAX_SERIES, names }
    }

    /// Takes a note, with what led to it. It becomes the cause of the Event; of repetitions that are one write the newest comes first.
    pub fn note(&mut self, note: Note, why: Why, now: Timestamp) {
        self.forget(now);
        let Note { mut about, severity, reason, mut message } = note;
        let resource_version = std::mem::take(&mut about.resource_version);
        let end = (0..=MAX_MESSAGE.min(message.len())).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
        let key = SeriesKey { about, severity, reason, message };
        let series = self.series.entry(key.clone()).or_insert_with(|| Series {
            name: self.names.next(&key, now),
            first: now,
            last: now,
            count: 0,
            written: 0,
            resource_version: String::new(),
            due: None,
        });
        series.last = now;
        series.count += 1;
        series.resource_version = resource_version;
        match series.due.and_then(|number| self.due.get_mut(&number)) {
            Some(due) => due.why = why.and(due.why.clone()),
            None => {
                self.begun += 1;
                series.due = Some(self.begun);
                self.due.insert(self.begun, Due { at: now + GATHER, key, why });
            }
        }
    }

    /// When the next write is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.values().map(|due| due.at).min()
    }

    /// Takes the writes that are due, each with what led to it, in the order of their first notes.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<(Write, Why)> {
        let due: Vec<Due> = self.due.extract_if(.., |_, due| due.at <= now).map(|(_, due)| due).collect();
        due.into_iter().filter_map(|due| Some((self.write(&due.key)?, due.why))).collect()
    }

    fn write(&mut self, key: &SeriesKey) -> Option<Write> {
        let series = self.series.get_mut(key)?;
        let event = event(&self.reporter, key, series);
        let first = series.written == 0;
        (series.written, series.due) = (series.count, None);
        Some(if first {
            Write::Create(event)
        } else {
            Write::Repeat {
                namespace: event_namespace(&key.about).to_owned(),
                name: series.name.clone(),
                patch: json!({"count": series.count, "lastTimestamp": seconds(series.last)}),
                instead: event,
            }
        })
    }

    fn forget(&mut self, now: Timestamp) {
        if self.series.len() < self.crowded {
            return;
        }
        self.series.retain(|_, series| now.duration_since(series.last) < SERIES || series.due.is_some());
        if self.series.len() >= MAX_SERIES {
            self.series.retain(|_, series| series.due.is_some());
        }
        // Those that wait stay, however many they are; looking at them again with each note would be a search for nothing.
        self.crowded = MAX_SERIES.max(2 * self.series.len());
    }
}

fn event_namespace(about: &About) -> &str {
    if about.namespace.is_empty() { "default" } else { &about.namespace }
}

fn event(reporter: &Reporter, key: &SeriesKey, series: &Series) -> Value {
    let mut involved = json!({
        "kind": key.about.kind, "namespace": key.about.namespace, "name": key.about.name, "uid": key.about.uid,
        "apiVersion": key.about.api_version, "resourceVersion": series.resource_version, "fieldPath": key.about.field_path,
    });
    let mut source = json!({"component": reporter.component, "host": reporter.host});
    for object in [&mut involved, &mut source] {
        if let Some(fields) = object.as_object_mut() {
            fields.retain(|_, value| value.as_str() != Some(""));
        }
    }
    json!({
        "kind": "Event", "apiVersion": "v1",
        "metadata": {"name": series.name, "namespace": event_namespace(&key.about)},
        "involvedObject": involved,
        "reason": key.reason, "message": key.message, "source": source,
        "firstTimestamp": seconds(series.first), "lastTimestamp": seconds(series.last), "count": series.count,
        "type": key.severity.as_str(), "eventTime": null,
        "reportingComponent": reporter.component, "reportingInstance": reporter.host,
    })
}

/// Makes the names of Events: `NAME.HEX`, as Kubernetes has them. The hexadecimal part is the time in nanoseconds, but for its last byte, which
/// tells reporters apart; within a reporter it only grows, so that Events of the same second are listed in their order.
#[derive(Default)]
struct Names {
    last: u64,
}

impl Names {
    fn next(&mut self, key: &SeriesKey, now: Timestamp) -> String {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.last = (now.as_nanosecond() as u64 >> 8).max(self.last + 1);
        format!("{}.{:016x}", key.about.name, (self.last << 8) | (hasher.finish() & 0xff))
    }
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
