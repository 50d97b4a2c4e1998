//! Changes for components: what is there, then every change of some resources, in order.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use cox_objects::{Cause, Key, Object, Position, Resource, Revision};
use tokio::sync::watch;

use crate::Entry;
use crate::mirror::Shared;

/// How many changes go out at a time, at least, if there are so many; a transaction is never split.
const AT_A_TIME: usize = 256;

/// A change of one object, as components see it.
#[derive(Clone, Debug)]
pub struct Change {
    /// What it is about.
    pub key: Key,
    /// The object before; none if there was none, or it is one of the objects at the start.
    pub old: Option<Object>,
    /// The object after; none if it is gone.
    pub new: Option<Object>,
    /// The event; of the objects at the start, the one that made them as they are. A node's feed shows what a pod has come to name at the
    /// pod's event, and after a lost connection what it has missed where it goes on: [`Change::event`] is the object's own.
    pub position: Position,
    /// Who wrote the object's own event, and why; of the objects at the start, nothing. A node's feed tells the chain and the trace only,
    /// and of what it has missed nothing.
    pub cause: Arc<Cause>,
}

impl Change {
    /// The event that made the object as it is; of one that is gone, that which took it away.
    pub fn event(&self) -> Position {
        let revision = self.new.as_ref().map_or(self.position.revision, Object::revision);
        Position { revision, ..self.position }
    }
}

/// A reader of changes; it holds a cursor, and nothing is queued for it.
pub struct Changes {
    shared: Arc<Shared>,
    resources: Vec<Resource>,
    cursor: Revision,
    changed: Vec<watch::Receiver<Revision>>,
    initial: std::vec::IntoIter<Change>,
    taken: std::vec::IntoIter<Arc<Entry>>,
}

impl Changes {
    pub(crate) fn start(shared: Arc<Shared>, resources: &[Resource]) -> Self {
        let mut state = shared.state.write();
        let changed = resources.iter().map(|resource| state.follow(resource)).collect();
        let position = state.position();
        let cause = Arc::new(Cause::default());
        let initial: Vec<Change> = resources
            .iter()
            .flat_map(|resource| state.items(resource, ""))
            .map(|item| Change {
                key: item.key().clone(),
                old: None,
                new: Some(item.object().clone()),
                position: Position { epoch: position.epoch, revision: item.revision() },
                cause: cause.clone(),
            })
            .collect();
        drop(state);
        let (initial, taken) = (initial.into_iter(), Vec::new().into_iter());
        Changes { shared, resources: resources.to_vec(), cursor: position.revision, changed, initial, taken }
    }

    /// Changes after a revision only.
    pub(crate) fn after(shared: Arc<Shared>, resources: &[Resource], cursor: Revision) -> Self {
        let mut state = shared.state.write();
        let changed = resources.iter().map(|resource| state.follow(resource)).collect();
        drop(state);
        let (initial, taken) = (Vec::new().into_iter(), Vec::new().into_iter());
        Changes { shared, resources: resources.to_vec(), cursor, changed, initial, taken }
    }

    /// What comes next: the objects at the start, then changes, whole transactions at a time. None if the reader was too slow or the mirror had
    /// to start anew: then so must the reader. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Vec<Change>> {
        if self.initial.len() > 0 {
            return Some(self.initial.by_ref().take(AT_A_TIME).collect());
        }
        loop {
            for receiver in &mut self.changed {
                receiver.borrow_and_update();
            }
            if self.taken.len() == 0 {
                self.take_since()?;
            }
            if let Some(changes) = self.take_some() {
                return Some(changes);
            }
            any_changed(&mut self.changed).await;
        }
    }

    /// Whether all changes up to a revision were handed out.
    pub(crate) fn is_drained_to(&self, revision: Revision) -> bool {
        let handed_out = self.initial.len() == 0 && self.taken.len() == 0;
        let state = self.shared.state.read();
        let none_since = |entries: Vec<Arc<Entry>>| entries.iter().all(|entry| entry.revision() > revision);
        handed_out && state.since(self.cursor, &self.resources).is_ok_and(none_since)
    }

    fn take_since(&mut self) -> Option<()> {
        let state = self.shared.state.read();
        self.taken = state.since(self.cursor, &self.resources).ok()?.into_iter();
        self.cursor = state.position().revision;
        Some(())
    }

    fn take_some(&mut self) -> Option<Vec<Change>> {
        let mut changes = Vec::new();
        while let Some(next) = self.taken.as_slice().first() {
            let begins = next.revision() == next.transaction.0 || changes.is_empty();
            if begins && changes.len() >= AT_A_TIME {
                break;
            }
            changes.extend(self.taken.next().map(|entry| of(&entry)));
        }
        (!changes.is_empty()).then_some(changes)
    }
}

fn of(entry: &Arc<Entry>) -> Change {
    let gone = entry.change == cox_objects::Change::Deleted;
    Change {
        key: entry.key().clone(),
        old: entry.old.as_ref().map(|old| old.object().clone()),
        new: (!gone).then(|| entry.new.object().clone()),
        position: entry.position,
        cause: entry.cause.clone(),
    }
}

/// Waits until one of the resources has changed; forever if there are none.
async fn any_changed(receivers: &mut [watch::Receiver<Revision>]) {
    let mut waiting: Vec<_> = receivers.iter_mut().map(|receiver| Box::pin(receiver.changed())).collect();
    let any = poll_fn(|context| {
        for changed in &mut waiting {
            if changed.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    });
    pin!(any).await;
}

#[cfg(test)]
mod tests;
