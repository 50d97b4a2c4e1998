//! Committed state in memory, for tests: the log's rules for transactions, without a log.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_log::{Arbiter, Existence, Guard, Precondition, Staged};
use cox_objects::{Cause, Change as Kindof, Draft, Epoch, Event, Key, Object, Position, Resource, Revision, Source};

use super::State;
use crate::index::{Indexes, Rbac, Shared};
use crate::plan::{Change, Plan};

/// The state, and the writer's indexes.
pub(crate) struct Memory {
    objects: BTreeMap<Key, Object>,
    head: Revision,
    shared: Arc<Shared>,
    indexes: Indexes,
}

/// Why a plan was not committed.
#[derive(Debug)]
pub(crate) enum Refused {
    Exists,
    Missing,
    Conflict,
    Guard,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let shared = Arc::new(Shared::default());
        let mut indexes = Indexes::new(shared.clone());
        indexes.reset(&mut std::iter::empty(), 0);
        Memory { objects: BTreeMap::new(), head: 0, shared, indexes }
    }

    /// Commits a plan, or says why not; the objects of its changes.
    pub(crate) fn commit(&mut self, plan: &Plan) -> Result<Vec<Object>, Refused> {
        self.transact(&plan.changes, &plan.preconditions, &plan.guards)
    }

    pub(crate) fn transact(
        &mut self,
        changes: &[Change],
        preconditions: &[Precondition],
        guards: &[Guard],
    ) -> Result<Vec<Object>, Refused> {
        for precondition in preconditions {
            let current = self.objects.get(&precondition.key);
            if current.is_none_or(|o| precondition.revision.is_some_and(|r| r != o.revision())) {
                return Err(Refused::Conflict);
            }
        }
        let staged = View(&self.objects, self.head);
        if guards.iter().any(|guard| self.indexes.check(guard, &staged).is_err()) {
            return Err(Refused::Guard);
        }
        for change in changes {
            let there = self.objects.contains_key(change.key());
            match change {
                Change::Put { must: Existence::Absent, .. } if there => return Err(Refused::Exists),
                Change::Put { must: Existence::Present, .. } | Change::Delete { .. } if !there => {
                    return Err(Refused::Missing);
                }
                _ => {}
            }
        }
        let done = changes.iter().map(|change| self.apply(change)).collect();
        self.indexes.durable(self.head);
        Ok(done)
    }

    fn apply(&mut self, change: &Change) -> Object {
        let key = change.key().clone();
        let old = self.objects.get(&key).cloned();
        let (object, kind) = match change {
            Change::Put { object, .. } => {
                let draft = Draft::encode(object).expect("an object");
                if let Some(same) = old.as_ref().filter(|o| draft.same_as(o)) {
                    return same.clone();
                }
                (draft.seal(self.head + 1), if old.is_some() { Kindof::Modified } else { Kindof::Added })
            }
            Change::Delete { last, .. } => {
                let draft = match last {
                    Some(last) => Draft::encode(last).expect("an object"),
                    None => Draft::of(old.as_ref().expect("it is there")),
                };
                (draft.seal(self.head + 1), Kindof::Deleted)
            }
        };
        self.head += 1;
        let event = Event {
            position: Position { epoch: Epoch(1), revision: self.head },
            transaction: (self.head, self.head),
            time: 0,
            key: key.clone(),
            change: kind,
            object: object.clone(),
            cause: Cause::default(),
        };
        self.indexes.apply(&event, old.as_ref());
        match kind {
            Kindof::Deleted => drop(self.objects.remove(&key)),
            _ => drop(self.objects.insert(key, object.clone())),
        }
        object
    }
}

struct View<'a>(&'a BTreeMap<Key, Object>, Revision);

impl Staged for View<'_> {
    fn head(&self) -> Revision {
        self.1
    }
    fn get(&self, key: &Key) -> Option<Object> {
        self.0.get(key).cloned()
    }
}

impl Source for Memory {
    fn revision(&self) -> Revision {
        self.head
    }

    fn get(&self, key: &Key) -> Option<Object> {
        self.objects.get(key).cloned()
    }

    fn list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)> {
        let within = |key: &&Key| key.resource == *resource && (namespace.is_empty() || key.namespace() == namespace);
        let found = self.objects.iter().filter(|(key, _)| within(key));
        found.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    fn owned(&self, resource: &Resource, owner_uid: &str) -> Vec<(Key, Object)> {
        let mut all = self.list(resource, "");
        all.retain(|(_, o)| {
            crate::value::list(&o.value(), "/metadata/ownerReferences").iter().any(|r| r["uid"] == owner_uid)
        });
        all
    }
}

impl State for Memory {
    fn rbac(&self) -> Arc<Rbac> {
        self.shared.rbac()
    }

    fn is_live(&self, namespace: &str) -> bool {
        self.shared.is_live(namespace)
    }

    fn port_owner(&self, port: u16) -> Option<Key> {
        self.shared.port_owner(port)
    }
}
