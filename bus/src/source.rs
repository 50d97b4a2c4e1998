//! What the bus needs of a log: the port that the apiserver implements over the real one.

use cox_objects::{Epoch, Event, Key, Object, Position, Resource, Revision};
use tokio::sync::watch;

/// Why a log cannot be read.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Objects, each read as it is asked for.
pub type Objects = Box<dyn Iterator<Item = Result<(Key, Object), SourceError>> + Send>;

/// A log that events are published and read from. Its calls may block on the disk for a short time.
pub trait EventSource: Send + Sync + 'static {
    /// The log's epoch.
    fn epoch(&self) -> Epoch;

    /// The newest durable revision, to watch.
    fn head(&self) -> watch::Receiver<Revision>;

    /// The oldest revision of this epoch from which events can be read without a hole; head + 1 if there is none.
    fn oldest(&self) -> Revision;

    /// The events from a revision on, without a hole, up to the head or until they have about `max_bytes`; at least one
    /// if there is one.
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
