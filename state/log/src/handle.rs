//! The log's handle: what the apiserver calls.
#![expect(clippy::unimplemented, reason = "signatures first; the bodies follow")]

use std::path::Path;

use cox_objects::{Epoch, Event, Key, Object, RequestId, Resource, Revision};
use tokio::sync::watch;

use crate::{Arbiter, CommitError, Committed, Listed, LogError, OpenError, Options, Outcome, Snapshot, Transaction};

/// An open log; clones share it.
#[derive(Clone)]
pub struct Log {}

impl Log {
    /// Opens the log in a data directory, making one if there is none.
    ///
    /// # Errors
    /// Each is one line that says what to do.
    pub fn open(dir: &Path, options: Options, arbiter: Box<dyn Arbiter>) -> Result<Log, OpenError> {
        let _ = (dir, options, arbiter);
        unimplemented!()
    }

    /// The life of the log that this is.
    pub fn epoch(&self) -> Epoch {
        unimplemented!()
    }

    /// The newest durable revision.
    pub fn head(&self) -> Revision {
        unimplemented!()
    }

    /// The newest durable revision, as it moves.
    pub fn watch_head(&self) -> watch::Receiver<Revision> {
        unimplemented!()
    }

    /// From this revision on all events are there, without gaps.
    pub fn dense_from(&self) -> Revision {
        unimplemented!()
    }

    /// Whether transactions are taken; false with a full disk.
    pub fn writable(&self) -> Result<(), String> {
        unimplemented!()
    }

    /// Commits a transaction; returns once it is durable. Dropping the future does not take the transaction back.
    ///
    /// # Errors
    /// All but [`CommitError::Unknown`] and [`CommitError::Repeated`] mean that it surely was not done.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, CommitError> {
        let _ = transaction;
        unimplemented!()
    }

    /// How a request ended, if it did within the last ten minutes.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, LogError> {
        let _ = id;
        unimplemented!()
    }

    /// Keeps a refusal, so that a repetition gets the same answer. In memory only: a refused request did nothing.
    pub fn refuse(&self, id: RequestId, outcome: Outcome) {
        let _ = (id, outcome);
    }

    /// An object as it is.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn get(&self, key: &Key) -> Result<Option<Object>, LogError> {
        let _ = key;
        unimplemented!()
    }

    /// An object as it was at a revision.
    ///
    /// # Errors
    /// If that revision is not kept any more, or not there yet, or the log cannot be read.
    pub fn get_at(&self, key: &Key, revision: Revision) -> Result<Option<Object>, LogError> {
        let _ = (key, revision);
        unimplemented!()
    }

    /// Objects of a resource in a namespace (in all, if empty), in key order, after a path (`namespace/name`) if one is given; 0 is no limit.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn list(
        &self,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed, LogError> {
        let _ = (resource, namespace, after, limit);
        unimplemented!()
    }

    /// The same as it was at a revision.
    ///
    /// # Errors
    /// If that revision is not kept any more, or not there yet, or the log cannot be read.
    pub fn list_at(
        &self,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
        revision: Revision,
    ) -> Result<Listed, LogError> {
        let _ = (resource, namespace, after, limit, revision);
        unimplemented!()
    }

    /// The events of revisions `from..=to`, at least one if there is any, at most about `max_bytes`. Compacted ones are left out: their
    /// revisions are missing, which can only be below [`Log::dense_from`].
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn events(&self, from: Revision, to: Revision, max_bytes: usize) -> Result<Vec<Event>, LogError> {
        let _ = (from, to, max_bytes);
        unimplemented!()
    }

    /// The event at a revision.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn event(&self, revision: Revision) -> Result<Option<Event>, LogError> {
        let _ = revision;
        unimplemented!()
    }

    /// The revisions of an object's events that are kept, oldest first, over all its lives.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn history(&self, key: &Key) -> Result<Vec<Revision>, LogError> {
        let _ = key;
        unimplemented!()
    }

    /// All objects at one revision.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, LogError> {
        unimplemented!()
    }

    /// Stops the writer after what it has, and closes the database. Readers get [`LogError::Closed`] from then on. Blocks shortly.
    pub fn close(self) {}
}
