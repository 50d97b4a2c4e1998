//! What the bus needs of a log: the port that the apiserver implements over the real one.

use cox_objects::{Epoch, Event, Key, Object, Position, Resource, Revision};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Why a log cannot be read.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Objects, each read as it is asked for.
pub type Objects = Box<dyn Iterator<Item = Result<(Key, Object), SourceError>> + Send>;

/// Events that are missing because the past of their objects is not kept that long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Whose; if none, those of all resources that are not named beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
    /// The first revision of which one may be missing.
    pub from: Revision,
    /// The last one. Of each object the newest event up to it is there, unless that is a deletion.
    pub to: Revision,
}

impl Skipped {
    /// What of it lies within a range of revisions.
    pub fn within(self, from: Revision, to: Revision) -> Option<Skipped> {
        let within = Skipped { from: self.from.max(from), to: self.to.min(to), ..self };
        (within.from <= within.to).then_some(within)
    }
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = self.resource.as_ref().map_or_else(|| "objects".to_owned(), Resource::to_string);
        write!(f, "of {whose} only the newest events are kept in revisions {} to {}", self.from, self.to)
    }
}

/// A log that events are published and read from. Its calls may block on the disk for a short time.
pub trait EventSource: Send + Sync + 'static {
    /// The log's epoch.
    fn epoch(&self) -> Epoch;

    /// The newest durable revision, to watch.
    fn head(&self) -> watch::Receiver<Revision>;

    /// The oldest revision of this epoch from which events can be read without a hole; head + 1 if there is none.
    fn oldest(&self) -> Revision;

    /// The revision from which on there are events, with holes where the past is not kept.
    fn begin(&self) -> Revision {
        self.oldest()
    }

    /// Where events are missing; nothing of a log that keeps all that it has.
    fn skipped(&self) -> Vec<Skipped> {
        Vec::new()
    }

    /// The events from a revision on, without a hole from [`EventSource::oldest`] on, up to the head or until they have about `max_bytes`; at
    /// least one if there is one.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn read(&self, from: Revision, max_bytes: usize) -> Result<Vec<Event>, SourceError>;

    /// All current objects at one position, in any order. Called and iterated on a thread that may block.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn snapshot(&self) -> Result<(Position, Objects), SourceError>;

    /// The oldest revision from `wanted` on at which a resource's objects can still be read as they were.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn past_from(&self, resource: &Resource, wanted: Revision) -> Result<Revision, SourceError>;

    /// The objects of a resource in a namespace (in all, if empty) as they were at a revision, in key order, after a path if
    /// one is given. Called and iterated on a thread that may block.
    ///
    /// # Errors
    /// If that revision is not kept or not there yet, or the log cannot be read.
    fn past(
        &self,
        revision: Revision,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
    ) -> Result<Objects, SourceError>;

    /// The revisions of an object's events that are kept, oldest first, over all its lives.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn history(&self, key: &Key) -> Result<Vec<Revision>, SourceError>;
}
