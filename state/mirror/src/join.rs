//! Joining a watch that starts before the mirror's memory: the changes in between are read from the log.

use std::collections::HashMap;
use std::sync::Arc;

use cox_objects::{Change, Event, Key, Revision};

use crate::{Entry, Item, Segment, Selected};

/// The changes of a selection after a revision and through another, from all events in between. None if they do not tell enough: when a
/// selector decides and an object was changed that it may have selected before, or not.
pub fn segment(events: Vec<Event>, what: &Selected, after: Revision, through: Revision) -> Option<Segment> {
    let mut known: HashMap<Key, Option<Arc<Item>>> = HashMap::new();
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    let events = events.into_iter().filter(|event| event.key.resource == what.resource);
    for event in events.filter(|event| event.revision() > after && event.revision() <= through) {
        let Event { position, transaction, time, key, change, object, cause } = event;
        let new = Arc::new(Item::new(key.clone(), object));
        if !what.covers(&new) {
            continue;
        }
        let old = match known.get(&key) {
            Some(old) => old.clone(),
            None if change == Change::Added => None,
            // Where it is does not change, so that what it was does not matter.
            None if what.selector.is_none() => Some(new.clone()),
            None => return None,
        };
        known.insert(key, (change != Change::Deleted).then(|| new.clone()));
        entries.push(Arc::new(Entry::new((position, transaction, time), change, old, new, Arc::new(cause))));
    }
    Some(Segment::of(entries.iter(), what, after, through))
}

#[cfg(test)]
mod tests;
