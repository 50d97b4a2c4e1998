//! Joining a watch that starts before the mirror's memory: the changes in between are made of the log's events.

use std::collections::HashMap;
use std::sync::Arc;

use cox_objects::{Change, Event, Key, Revision};

use crate::{Entry, Item, Segment, Selected};

/// The objects that are meant as they were before the first event; none where that does not matter, since nothing but the place decides
/// whether an object is meant, and its place does not change.
pub type Before = Option<HashMap<Key, Arc<Item>>>;

/// The changes of a selection after a revision and through another, from all events of its resource in between.
pub fn segment(events: Vec<Event>, what: &Selected, before: Before, after: Revision, through: Revision) -> Segment {
    let mut known = before;
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    let events = events.into_iter().filter(|event| event.key.resource == what.resource);
    for event in events.filter(|event| event.revision() > after && event.revision() <= through) {
        let Event { position, transaction, time, key, change, object, cause } = event;
        let new = Arc::new(Item::new(key.clone(), object));
        if !what.covers(&new) {
            continue;
        }
        let old = match &mut known {
            None => (change != Change::Added).then(|| new.clone()),
            Some(known) if change == Change::Deleted => known.remove(&key),
            Some(known) => known.insert(key, new.clone()),
        };
        entries.push(Arc::new(Entry::new((position, transaction, time), change, old, new, Arc::new(cause))));
    }
    Segment::of(entries.iter(), what, after, through)
}

#[cfg(test)]
mod tests;
