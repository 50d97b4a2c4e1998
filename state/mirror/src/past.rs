//! What a mirror asks of the log when its own memory is too short.

use std::future::Future;
use std::pin::Pin;

use cox_objects::{Event, Key, Object, Resource, Revision};

/// A future of this port.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, PastError>> + Send + 'a>>;

/// The log's past, over the bus or in the same process.
pub trait Past: Send + Sync {
    /// The objects of a resource in a namespace (in all, if empty) as they were at a revision, in key order.
    fn list_at(&self, resource: &Resource, namespace: &str, revision: Revision) -> Asked<'_, Vec<(Key, Object)>>;

    /// The events of a resource with revisions `from..=to`, in order; all of them, or an error.
    fn events(&self, resource: &Resource, from: Revision, to: Revision) -> Asked<'_, Vec<Event>>;
}

/// Why the past cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PastError {
    /// It is not kept any more: 410.
    #[error("too old resource version: {revision} ({oldest})")]
    Expired {
        /// The revision asked for.
        revision: Revision,
        /// The oldest one that is kept.
        oldest: Revision,
    },
    /// The log cannot be asked now: 503.
    #[error("the log cannot be asked: {0}")]
    Unavailable(String),
}
