//! What the bus needs of a log: the port that the apiserver implements over the real one.

use cox_objects::{Epoch, Event, Key, Object, Position, Revision};
use tokio::sync::watch;

/// Why a log cannot be read.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The objects of a snapshot, in any order.
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

    /// All current objects at one position. Called and iterated on a thread that may block.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn snapshot(&self) -> Result<(Position, Objects), SourceError>;
}
