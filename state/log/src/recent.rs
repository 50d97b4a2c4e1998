//! What was committed last, in memory: the newest events for who publishes them, and objects for who decides about them.
//!
//! Guarantees: only the writer fills it, with what is durable, so it never says more than the database does. What it does not hold is
//! read there. Caveats: a writer that opens the database again clears it, since it does not know what of a failed write was done.

use std::collections::{HashMap, VecDeque};

use cox_objects::{Change, Event, Key, Object, Revision};
use parking_lot::RwLock;

/// What an entry takes beside its object's text, about.
const OVERHEAD: usize = 320;

/// Shared by the writer and all readers.
pub(crate) struct Recent {
    inner: RwLock<Inner>,
    event_bytes: usize,
    object_bytes: usize,
}

#[derive(Default)]
struct Inner {
    /// Dense, the newest last.
    events: VecDeque<Event>,
    bytes_of_events: usize,
    /// Objects as they are, in two generations: when the younger is full, the older is forgotten and the younger becomes it.
    young: HashMap<Key, Object>,
    bytes_of_young: usize,
    old: HashMap<Key, Object>,
}

impl Recent {
    /// Keeps at most about so many bytes of events and of objects.
    pub(crate) fn new(event_bytes: usize, object_bytes: usize) -> Self {
        Recent { inner: RwLock::default(), event_bytes, object_bytes }
    }

    /// Takes in what has become durable.
    pub(crate) fn commit(&self, events: Vec<Event>) {
        let mut inner = self.inner.write();
        for event in events {
            inner.forget(&event.key);
            if event.change != Change::Deleted {
                inner.keep(&event.key, &event.object, self.object_bytes);
            }
            inner.bytes_of_events += weight(&event.object);
            inner.events.push_back(event);
        }
        while inner.bytes_of_events > self.event_bytes {
            let Some(oldest) = inner.events.pop_front() else { break };
            inner.bytes_of_events -= weight(&oldest.object);
        }
    }

    /// Takes in an object that the writer has read: nobody else can have changed it meanwhile.
    pub(crate) fn note(&self, key: &Key, object: &Object) {
        self.inner.write().keep(key, object, self.object_bytes);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.inner.write() = Inner::default();
    }

    /// An object as it is, if it is held.
    pub(crate) fn object(&self, key: &Key) -> Option<Object> {
        let inner = self.inner.read();
        inner.young.get(key).or_else(|| inner.old.get(key)).cloned()
    }

    /// The event at a revision, if it is held.
    pub(crate) fn event(&self, revision: Revision) -> Option<Event> {
        let inner = self.inner.read();
        inner.events.get(inner.place(revision)?).cloned()
    }

    /// The events of revisions `from..=to`, at least one, up to about so many bytes; none if the first is not held.
    pub(crate) fn events(&self, from: Revision, to: Revision, max_bytes: usize) -> Option<Vec<Event>> {
        let inner = self.inner.read();
        let mut bytes = 0;
        let held = inner.events.range(inner.place(from)?..).take_while(|event| {
            let first = bytes == 0;
            bytes += weight(&event.object);
            event.revision() <= to && (first || bytes <= max_bytes)
        });
        Some(held.cloned().collect())
    }
}

impl Inner {
    /// Where the event of a revision is held.
    fn place(&self, revision: Revision) -> Option<usize> {
        let first = self.events.front()?.revision();
        let place = usize::try_from(revision.checked_sub(first)?).ok()?;
        (place < self.events.len()).then_some(place)
    }

    fn keep(&mut self, key: &Key, object: &Object, most: usize) {
        if self.bytes_of_young + weight(object) > most / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes_of_young = 0;
        }
        self.bytes_of_young += weight(object);
        if let Some(before) = self.young.insert(key.clone(), object.clone()) {
            self.bytes_of_young -= weight(&before);
        }
    }

    fn forget(&mut self, key: &Key) {
        self.old.remove(key);
        if let Some(before) = self.young.remove(key) {
            self.bytes_of_young -= weight(&before);
        }
    }
}

fn weight(object: &Object) -> usize {
    object.bytes().len() + OVERHEAD
}

#[cfg(test)]
mod tests;
