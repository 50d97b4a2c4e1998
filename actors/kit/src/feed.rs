//! What a component follows: a state that it can read, and its changes in order. A mirror is one, a node's feed another.

use std::future::Future;
use std::time::Duration;

use cox_mirror::Mirror;
use cox_objects::{Resource, Revision, Source};

pub use cox_mirror::{Change, Changes};

/// A reader of changes was too slow, or its mirror had to start anew: it lists everything again. Nothing is wrong with it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("fell behind the changes")]
pub struct Behind;

/// A readable state with its changes.
pub trait Feed: Source + Clone + 'static {
    /// All objects of these resources as changes from nothing, then every change in order, whole transactions at a time.
    /// The stream ends for a reader that is too slow: it must start anew.
    fn changes(&self, resources: &[Resource]) -> Changes;

    /// Waits until the state is whole up to a revision; false after the timeout.
    fn wait_for(&self, revision: Revision, timeout: Duration) -> impl Future<Output = bool> + Send;
}

impl Feed for Mirror {
    fn changes(&self, resources: &[Resource]) -> Changes {
        Mirror::changes(self, resources)
    }

    async fn wait_for(&self, revision: Revision, timeout: Duration) -> bool {
        self.waits_for(revision, timeout).await
    }
}
