//! Waiting for a mirror to have a revision, each waiter woken once.

use std::collections::BTreeMap;

use cox_objects::{Position, Revision};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The mirror did not get to a revision in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mirror is at revision {current}, not yet at {wanted}")]
pub struct Lagging {
    /// The revision waited for.
    pub wanted: Revision,
    /// The one that it has.
    pub current: Revision,
}

/// Those who wait, by revision.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    reached: Revision,
    next: u64,
    by_revision: BTreeMap<(Revision, u64), oneshot::Sender<()>>,
}

impl Waiters {
    /// The mirror has this position now; readers that come later find it there.
    pub(crate) fn reached(&self, position: Position) {
        let woken = {
            let mut waiting = self.waiting.lock();
            waiting.reached = position.revision;
            let rest = waiting.by_revision.split_off(&(position.revision.saturating_add(1), 0));
            std::mem::replace(&mut waiting.by_revision, rest)
        };
        for waiter in woken.into_values() {
            // One that has given up is gone; nobody needs to know.
            let _ = waiter.send(());
        }
    }

    /// Waits until `reached` was called with at least this revision.
    pub(crate) async fn wait_for(&self, wanted: Revision, deadline: Instant) -> Result<(), Lagging> {
        let (place, woken) = {
            let mut waiting = self.waiting.lock();
            if waiting.reached >= wanted {
                return Ok(());
            }
            let (sender, woken) = oneshot::channel();
            waiting.next += 1;
            let place = (wanted, waiting.next);
            waiting.by_revision.insert(place, sender);
            (Place { waiters: self, place }, woken)
        };
        let result = tokio::time::timeout_at(deadline, woken).await;
        drop(place);
        match result {
            Ok(Ok(())) => Ok(()),
            _ => Err(Lagging { wanted, current: self.waiting.lock().reached }),
        }
    }
}

/// A place in the queue, given back also when the waiter is dropped.
struct Place<'a> {
    waiters: &'a Waiters,
    place: (Revision, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiters.waiting.lock().by_revision.remove(&self.place);
    }
}

#[cfg(test)]
mod tests;
