//! Kubernetes Events: what components note about objects, gathered for a second and counted before it is written.
//!
//! The first note of a series waits [`GATHER`], so that repetitions within it are one write; later repetitions raise `count` and
//! `lastTimestamp` of the same Event, as kubectl shows them (`x5 over 3m`). Of many notes that differ in their message only the later ones are
//! one Event, as in Kubernetes ([`similar`]). Notes are no state: those of a crashed component are lost.

mod similar;
mod writer;

pub use writer::recorder;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::similar::Similar;
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

/// What is kept of a series, and of what is similar: a hash of what makes it one. Of what was written long ago nothing else is needed.
type Id = u128;

/// 128 bits, so that two things among the few thousand that are remembered are never taken for one.
fn id_of(of: impl Hash) -> Id {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        of.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(0) << 64) | half(1)
}

struct Series {
    name: String,
    first: Timestamp,
    last: Timestamp,
    count: u32,
    written: u32,
    /// Its number among those that wait to be written.
    due: Option<u64>,
}

/// A series that waits to be written: its newest note, and what led to it since it was last written.
struct Due {
    at: Timestamp,
    series: Id,
    note: Note,
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
        /// `count`, `lastTimestamp` and `message`.
        patch: Value,
        /// The whole Event, if it is no longer there.
        instead: Value,
    },
}

/// Gathers notes into Events: pure, the time is passed in.
pub struct Aggregator {
    reporter: Reporter,
    series: HashMap<Id, Series>,
    similar: Similar,
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
        Aggregator { reporter, series, similar: Similar::default(), due, begun: 0, crowded: MAX_SERIES, names }
    }

    /// Takes a note, with what led to it. It becomes the cause of the Event; of repetitions that are one write the newest comes first.
    pub fn note(&mut self, mut note: Note, why: Why, now: Timestamp) {
        self.forget(now);
        let resource_version = std::mem::take(&mut note.about.resource_version);
        let one = (&note.about, note.severity, &note.reason);
        let combined = self.similar.combines(id_of(one), id_of(&note.message), now);
        let id = if combined { id_of(one) } else { id_of((one, &note.message)) };
        if combined {
            note.message.insert_str(0, similar::COMBINED);
        }
        let length = note.message.len().min(MAX_MESSAGE);
        let end = (0..=length).rev().find(|at| note.message.is_char_boundary(*at)).unwrap_or(0);
        note.message.truncate(end);
        let series = self.series.entry(id).or_insert_with(|| Series {
            name: self.names.next(&note.about.name, id, now),
            first: now,
            last: now,
            count: 0,
            written: 0,
            due: None,
        });
        series.last = now;
        series.count += 1;
        note.about.resource_version = resource_version;
        match series.due.and_then(|number| self.due.get_mut(&number)) {
            Some(due) => (due.why, due.note) = (why.and(due.why.clone()), note),
            None => {
                self.begun += 1;
                series.due = Some(self.begun);
                self.due.insert(self.begun, Due { at: now + GATHER, series: id, note, why });
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
        due.into_iter().filter_map(|due| Some((self.write(due.series, &due.note)?, due.why))).collect()
    }

    fn write(&mut self, id: Id, note: &Note) -> Option<Write> {
        let series = self.series.get_mut(&id)?;
        let event = event(&self.reporter, note, series);
        let first = series.written == 0;
        (series.written, series.due) = (series.count, None);
        Some(if first {
            Write::Create(event)
        } else {
            Write::Repeat {
                namespace: event_namespace(&note.about).to_owned(),
                name: series.name.clone(),
                patch: json!({"count": series.count, "lastTimestamp": seconds(series.last), "message": note.message}),
                instead: event,
            }
        })
    }

    fn forget(&mut self, now: Timestamp) {
        self.similar.forget(now);
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

fn event(reporter: &Reporter, note: &Note, series: &Series) -> Value {
    let about = &note.about;
    let mut involved = json!({
        "kind": about.kind, "namespace": about.namespace, "name": about.name, "uid": about.uid,
        "apiVersion": about.api_version, "resourceVersion": about.resource_version, "fieldPath": about.field_path,
    });
    let mut source = json!({"component": reporter.component, "host": reporter.host});
    for object in [&mut involved, &mut source] {
        if let Some(fields) = object.as_object_mut() {
            fields.retain(|_, value| value.as_str() != Some(""));
        }
    }
    json!({
        "kind": "Event", "apiVersion": "v1",
        "metadata": {"name": series.name, "namespace": event_namespace(about)},
        "involvedObject": involved,
        "reason": note.reason, "message": note.message, "source": source,
        "firstTimestamp": seconds(series.first), "lastTimestamp": seconds(series.last), "count": series.count,
        "type": note.severity.as_str(), "eventTime": null,
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
    fn next(&mut self, about: &str, series: Id, now: Timestamp) -> String {
        self.last = (now.as_nanosecond() as u64 >> 8).max(self.last + 1);
        format!("{about}.{:016x}", (self.last << 8) | (series & 0xff) as u64)
    }
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
