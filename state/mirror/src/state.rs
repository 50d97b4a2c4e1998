//! The mirror's state: all tables, where they stand, and how events change them. Synchronous and without a clock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use cox_objects::{Cause, Change, Epoch, Event, Key, Object, Position, Resource, Revision, Source};
use tokio::sync::watch;

use crate::table::Table;
use crate::{Entry, Item, Limits, ListQuery, Listing, Segment, Selected, WatchError};

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in, with its whole transaction.
    Applied,
    /// It waits for the rest of its transaction.
    Waits,
    /// It is not newer than what is there.
    Stale,
}

/// Why an event could not be taken.
#[derive(Debug)]
pub enum Refused {
    /// Events are missing before it.
    Gap {
        /// The first that is missing: read them from there on, then offer this one again.
        from: Revision,
        /// The event.
        event: Box<Event>,
    },
    /// It belongs to another life of the log: only a new snapshot helps.
    OtherEpoch,
}

/// A change without a place in a dense sequence: how a node's feed puts its part of the state together.
#[derive(Clone, Debug)]
pub struct Put {
    /// What it is about.
    pub key: Key,
    /// The object; none takes it away.
    pub object: Option<Object>,
    /// The revision of the event that put it there: never below that of an earlier one.
    pub at: Revision,
    /// Why that event was written, as far as it is told; nothing if the event is not known.
    pub cause: Arc<Cause>,
}

/// A projection of the log up to a position, with the recent past of each resource.
#[derive(Debug)]
pub struct State {
    position: Position,
    /// Where it began: every change after it has been seen.
    base: Revision,
    tables: HashMap<Resource, Table>,
    pending: Vec<Event>,
    /// The remembered changes of all tables in their order: resource and weight.
    order: VecDeque<(Revision, Resource, usize)>,
    bytes: usize,
    limits: Limits,
    /// Resources changed in this turn, whose watchers are still to be woken.
    touched: Vec<Resource>,
}

impl State {
    /// An empty state that is not at any position yet.
    pub fn new(limits: Limits) -> Self {
        State {
            position: Position { epoch: Epoch(0), revision: 0 },
            base: 0,
            tables: HashMap::new(),
            pending: Vec::new(),
            order: VecDeque::new(),
            bytes: 0,
            limits,
            touched: Vec::new(),
        }
    }

    /// The position up to which it is whole.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The revision after which the next event is expected: that of an unfinished transaction's last event, if there is one.
    pub fn expects_after(&self) -> Revision {
        self.pending.last().map_or(self.position.revision, Event::revision)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.tables.values().map(Table::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts anew from all objects at a position. Who follows changes has to start anew too, unless it stands exactly there.
    pub fn reset(&mut self, position: Position, objects: impl IntoIterator<Item = (Key, Object)>) {
        self.pending.clear();
        self.order.clear();
        self.bytes = 0;
        self.position = position;
        self.base = position.revision;
        for table in self.tables.values_mut() {
            table.clear(position.revision);
        }
        for (key, object) in objects {
            self.table(&key.resource.clone()).put(Arc::new(Item::new(key, object)));
        }
        for table in self.tables.values() {
            table.announce(position.revision);
        }
    }

    /// Takes an event in; a transaction shows when its last event is there.
    ///
    /// # Errors
    /// If it does not follow what is there.
    pub fn offer(&mut self, event: Event) -> Result<Taken, Refused> {
        if event.position.epoch != self.position.epoch {
            return Err(Refused::OtherEpoch);
        }
        let after = self.expects_after();
        if event.revision() <= after {
            return Ok(Taken::Stale);
        }
        let begins = event.transaction.0 == event.revision();
        if event.revision() != after + 1 || (self.pending.is_empty() && !begins) {
            return Err(Refused::Gap { from: after + 1, event: Box::new(event) });
        }
        let ends = event.ends_transaction();
        self.pending.push(event);
        if !ends {
            return Ok(Taken::Waits);
        }
        for event in std::mem::take(&mut self.pending) {
            self.apply(event);
        }
        Ok(Taken::Applied)
    }

    /// Drops an unfinished transaction, whose events are read again with those of a gap.
    pub fn drop_unfinished(&mut self) {
        self.pending.clear();
    }

    fn apply(&mut self, event: Event) {
        let place = (event.position, event.transaction, event.time);
        let item = Arc::new(Item::new(event.key, event.object));
        self.change(place, event.change, item, Arc::new(event.cause));
        self.position = event.position;
    }

    /// Applies changes of a part of the state, up to a position; revisions may be left out.
    pub fn put_all(&mut self, position: Position, puts: impl IntoIterator<Item = Put>) {
        for Put { key, object, at, cause } in puts {
            let old = self.item(&key).cloned();
            let (change, item) = match (object, old) {
                (Some(object), None) => (Change::Added, Arc::new(Item::new(key, object))),
                (Some(object), Some(old)) if *old.object() == object => continue,
                (Some(object), Some(_)) => (Change::Modified, Arc::new(Item::new(key, object))),
                (None, Some(old)) => (Change::Deleted, old),
                (None, None) => continue,
            };
            let place = (Position { epoch: position.epoch, revision: at }, (at, at), 0);
            self.change(place, change, item, cause);
        }
        self.position = position;
    }

    /// Makes the state exactly these objects, by changes where that is possible: when it moves forward in the same epoch.
    pub fn replace(&mut self, position: Position, objects: Vec<(Key, Object)>) {
        let same = |(key, object): &(Key, Object)| self.item(key).is_some_and(|item| item.object() == object);
        if self.position == position && self.len() == objects.len() && objects.iter().all(same) {
            // The connection was lost and nothing has happened: nobody has to start anew.
            return;
        }
        let forward = self.position.epoch == position.epoch && self.position.revision < position.revision;
        if !forward {
            return self.reset(position, objects);
        }
        let kept: HashSet<&Key> = objects.iter().map(|(key, _)| key).collect();
        let all = self.tables.values().flat_map(|table| table.all(""));
        let gone: Vec<Key> = all.map(|item| item.key()).filter(|key| !kept.contains(key)).cloned().collect();
        drop(kept);
        let at = position.revision;
        // Which events led here is not known.
        let cause = Arc::new(Cause::default());
        let gone = gone.into_iter().map(|key| Put { key, object: None, at, cause: cause.clone() });
        let puts = objects.into_iter().map(|(key, object)| Put { key, object: Some(object), at, cause: cause.clone() });
        self.put_all(position, puts.chain(gone));
    }

    fn change(
        &mut self,
        place: (Position, (Revision, Revision), u64),
        change: Change,
        item: Arc<Item>,
        cause: Arc<Cause>,
    ) {
        let resource = item.key().resource.clone();
        let limits = self.limits;
        let table = self.table(&resource);
        let old = match change {
            Change::Deleted => table.take(item.key().path()),
            Change::Added | Change::Modified => table.put(item.clone()),
        };
        let entry = Arc::new(Entry::new(place, change, old, item, cause));
        let weight = entry.weight();
        table.remember(entry);
        let crowded = table.remembered() > limits.entries;
        self.order.push_back((place.0.revision, resource.clone(), weight));
        self.bytes += weight;
        if crowded {
            self.forget_of(&resource);
        }
        while self.bytes > self.limits.bytes && self.forget_first() {}
        if self.touched.last() != Some(&resource) {
            self.touched.push(resource);
        }
    }

    /// Forgets changes that are older than the limit.
    pub fn age(&mut self, now: u64) {
        let limit = now.saturating_sub(self.limits.age);
        while let Some((_, resource, _)) = self.order.front() {
            let oldest = self.tables.get(resource).and_then(|table| table.oldest());
            if oldest.is_some_and(|entry| entry.time >= limit) || !self.forget_first() {
                break;
            }
        }
    }

    /// Forgets the oldest change of all.
    fn forget_first(&mut self) -> bool {
        let Some((revision, resource, weight)) = self.order.pop_front() else { return false };
        self.bytes = self.bytes.saturating_sub(weight);
        // A table that was over its own limit has forgotten this one already.
        if let Some(table) = self.tables.get_mut(&resource)
            && table.oldest().is_some_and(|entry| entry.revision() <= revision)
        {
            table.forget_oldest();
        }
        true
    }

    /// Forgets the oldest change of a crowded table. Its weight stays counted until its turn in the order of all.
    fn forget_of(&mut self, resource: &Resource) {
        if let Some(table) = self.tables.get_mut(resource) {
            table.forget_oldest();
        }
    }

    /// Wakes those who follow what has changed since the last call.
    pub fn wake(&mut self) {
        for resource in std::mem::take(&mut self.touched) {
            if let Some(table) = self.tables.get(&resource) {
                table.wake();
            }
        }
    }

    fn table(&mut self, resource: &Resource) -> &mut Table {
        let base = self.base;
        self.tables.entry(resource.clone()).or_insert_with(|| Table::new(base))
    }

    /// The revision of a resource's newest change, as it moves.
    pub(crate) fn follow(&mut self, resource: &Resource) -> watch::Receiver<Revision> {
        self.table(resource).changed()
    }

    /// An object with what was read out of it.
    pub fn item(&self, key: &Key) -> Option<&Arc<Item>> {
        self.tables.get(&key.resource)?.get(key.path())
    }

    /// All objects of a resource in a namespace (in all, if empty), in key order.
    pub fn items(&self, resource: &Resource, namespace: &str) -> impl Iterator<Item = &Arc<Item>> {
        self.tables.get(resource).into_iter().flat_map(move |table| table.all(namespace))
    }

    /// All objects of a resource with an owner reference to a uid, in key order.
    pub fn owned(&self, resource: &Resource, uid: &str) -> impl Iterator<Item = &Arc<Item>> {
        self.tables.get(resource).into_iter().flat_map(move |table| table.owned_by(uid))
    }

    /// Answers a list.
    ///
    /// # Errors
    /// If it asks for a revision that is not there yet, or is not remembered.
    pub fn list(&self, query: &ListQuery) -> Result<Listing, WatchError> {
        let revision = query.at.unwrap_or(self.position.revision);
        self.check(revision, &query.what.resource)?;
        match self.tables.get(&query.what.resource) {
            Some(table) => Ok(table.list(query, revision)),
            None => Ok(Listing { revision, items: Vec::new(), more: false, remaining: None }),
        }
    }

    /// Whether changes of a resource after a revision are all remembered.
    pub(crate) fn check(&self, revision: Revision, resource: &Resource) -> Result<(), WatchError> {
        let current = self.position.revision;
        if revision > current {
            return Err(WatchError::Future { revision, current });
        }
        let oldest = self.tables.get(resource).map_or(self.base, Table::floor);
        if revision < oldest { Err(WatchError::Expired { revision, oldest }) } else { Ok(()) }
    }

    /// The changes after a revision that a watch sees.
    pub(crate) fn segment(&self, after: Revision, what: &Selected) -> Result<Arc<Segment>, WatchError> {
        self.check(after, &what.resource)?;
        match self.tables.get(&what.resource) {
            Some(table) => Ok(table.segment(after, what)),
            None => Ok(Arc::new(Segment::of(std::iter::empty(), what, after, after))),
        }
    }

    /// The changes after a revision of several resources, in order.
    pub(crate) fn since(&self, after: Revision, resources: &[Resource]) -> Result<Vec<Arc<Entry>>, WatchError> {
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for resource in resources {
            self.check(after, resource)?;
            entries.extend(self.tables.get(resource).into_iter().flat_map(|table| table.since(after)).cloned());
        }
        // Stable: a feed's changes of one position keep their order within a resource.
        entries.sort_by_key(|entry| entry.revision());
        Ok(entries)
    }
}

impl Source for State {
    fn revision(&self) -> Revision {
        self.position.revision
    }

    fn get(&self, key: &Key) -> Option<Object> {
        self.item(key).map(|item| item.object().clone())
    }

    fn list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)> {
        self.items(resource, namespace).map(|item| (item.key().clone(), item.object().clone())).collect()
    }

    fn owned(&self, resource: &Resource, owner_uid: &str) -> Vec<(Key, Object)> {
        State::owned(self, resource, owner_uid).map(|item| (item.key().clone(), item.object().clone())).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
