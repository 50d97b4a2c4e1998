//! What the log's writer knows besides single objects, and decides guards by: live namespaces, node ports, roles and bindings.
//!
//! Guarantees: guards are checked against committed state plus the batch before them. Readers of [`Shared`] see namespaces and node ports as they
//! are staged (a hint, the guard decides), all else only once it is durable. A batch that failed is forgotten by a reset.

mod few;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cox_log::{Arbiter, Guard, LeaseHeld, Refusal, Staged};
use cox_objects::{Change, Event, Key, Object, Resource, Revision, Status};
use parking_lot::RwLock;

use crate::admission::{POOL, port_numbers, terminating};
use crate::figures::Batches;
use crate::value::{int, text};
use few::Few;

pub(crate) use cox_objects::rbac::Index as Rbac;

/// What the apiserver's readers see of the indexes.
#[derive(Default)]
pub(crate) struct Shared {
    live: RwLock<HashSet<String>>,
    ports: RwLock<HashMap<u16, Key>>,
    rbac: ArcSwap<Rbac>,
    few: Few,
}

impl Shared {
    /// Whether a namespace takes new objects.
    pub(crate) fn is_live(&self, namespace: &str) -> bool {
        self.live.read().contains(namespace)
    }

    /// The Service that has a node port.
    pub(crate) fn port_owner(&self, port: u16) -> Option<Key> {
        self.ports.read().get(&port).cloned()
    }

    /// Durable objects of a resource in a namespace (in all, if empty), if those are kept in memory.
    pub(crate) fn list(&self, resource: &Resource, namespace: &str) -> Option<Vec<(Key, Object)>> {
        self.few.list(resource, namespace)
    }

    /// Roles and bindings, as they are durable.
    pub(crate) fn rbac(&self) -> Arc<Rbac> {
        self.rbac.load_full()
    }
}

/// The writer's own.
pub(crate) struct Indexes {
    shared: Arc<Shared>,
    rbac: Rbac,
    /// Whether roles or bindings changed since they were published.
    news: bool,
    /// What is not durable yet of the objects that readers find in memory.
    staged: Vec<(Key, Option<Object>)>,
    /// The Leases that guards named, each as it was read at a revision.
    leases: HashMap<Key, (Revision, LeaseHeld)>,
    measured: Option<Batches>,
}

impl Indexes {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (rbac, staged, leases) = (Rbac::default(), Vec::new(), HashMap::new());
        Indexes { shared, rbac, news: true, staged, leases, measured: None }
    }

    /// The same, with instruments.
    pub(crate) fn measured(self, by: Batches) -> Self {
        Indexes { measured: Some(by), ..self }
    }

    fn take_in(&mut self, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        match key.resource.as_str() {
            "namespaces" => {
                let mut live = self.shared.live.write();
                if new.is_some_and(|n| !terminating(&n.value())) {
                    live.insert(key.name().to_owned());
                } else {
                    live.remove(key.name());
                }
            }
            "services" => self.service(key, old, new),
            _ if few::covers(&key.resource) => self.staged.push((key.clone(), new.cloned())),
            _ if Rbac::covers(&key.resource) => {
                self.news = true;
                if let Err(error) = self.rbac.apply(key, new) {
                    tracing::error!(%key, %error, "it gives no rights, since it cannot be read");
                }
            }
            _ => {}
        }
    }

    fn service(&self, key: &Key, old: Option<&Object>, new: Option<&Object>) {
        let numbers = |object: Option<&Object>| object.map(|o| port_numbers(&o.value())).unwrap_or_default();
        let (before, after) = (numbers(old), numbers(new));
        if before == after {
            return;
        }
        let mut ports = self.shared.ports.write();
        for number in before {
            if ports.get(&number) == Some(key) {
                ports.remove(&number);
            }
        }
        for number in after {
            ports.entry(number).or_insert_with(|| key.clone());
        }
    }
}

/// What a guard would say of a Lease as it is.
fn held(key: &Key, lease: &Object) -> LeaseHeld {
    let lease = lease.value();
    let string = |at| text(&lease, at).to_owned();
    let transitions = int(&lease, "/spec/leaseTransitions").unwrap_or(0);
    LeaseHeld { key: key.clone(), uid: string("/metadata/uid"), holder: string("/spec/holderIdentity"), transitions }
}

impl Indexes {
    /// Whether a Lease is still held as a guard says. It is read once a version: each command of a leader has this guard.
    fn lease(&mut self, guard: &LeaseHeld, staged: &dyn Staged) -> Result<(), Refusal> {
        let holds = staged.get(&guard.key).is_some_and(|lease| {
            let revision = lease.revision();
            let known = self.leases.get(&guard.key).is_some_and(|(of, _)| *of == revision);
            if !known {
                self.leases.insert(guard.key.clone(), (revision, held(&guard.key, &lease)));
            }
            self.leases.get(&guard.key).is_some_and(|(_, held)| held == guard)
        });
        if holds {
            return Ok(());
        }
        Err(never(Status::conflict(
            &guard.key.resource,
            guard.key.name(),
            &format!("it is no longer held by {}", guard.holder),
        )))
    }
}

impl Arbiter for Indexes {
    fn check(&mut self, guard: &Guard, staged: &dyn Staged) -> Result<(), Refusal> {
        match guard {
            Guard::NamespaceLive(name) if self.shared.is_live(name) => Ok(()),
            Guard::NamespaceLive(name) => Err(again(Status::not_found(&Resource::NAMESPACES, name))),
            Guard::Free { pool, value, owner } if pool == POOL => {
                let has = value.parse().ok().and_then(|port: u16| self.shared.port_owner(port));
                match has {
                    Some(has) if has != *owner => Err(again(Status::conflict(
                        &owner.resource,
                        owner.name(),
                        "provided port is already allocated",
                    ))),
                    _ => Ok(()),
                }
            }
            Guard::Free { pool, .. } => Err(never(Status::internal(format!("no such pool: {pool}")))),
            Guard::Lease(held) => self.lease(held, staged),
            Guard::Exists { key, uid } => {
                let object = staged.get(key).map(|o| o.value());
                let there = object.is_some_and(|o| uid.as_deref().is_none_or(|u| text(&o, "/metadata/uid") == u));
                if there { Ok(()) } else { Err(again(Status::not_found(&key.resource, key.name()))) }
            }
        }
    }

    fn apply(&mut self, event: &Event, old: Option<&Object>) {
        if event.change == Change::Deleted && !self.leases.is_empty() {
            self.leases.remove(&event.key);
        }
        let new = (event.change != Change::Deleted).then_some(&event.object);
        self.take_in(&event.key, old, new);
    }

    fn written(&mut self, transactions: usize, took: Duration) {
        if let Some(measured) = &self.measured {
            measured.written(transactions, took);
        }
    }

    fn durable(&mut self, _: Revision) {
        if std::mem::take(&mut self.news) {
            self.shared.rbac.store(Arc::new(self.rbac.clone()));
        }
        if !self.staged.is_empty() {
            self.shared.few.take_in(self.staged.drain(..));
        }
    }

    fn reads(&self, resource: &Resource) -> bool {
        let here = *resource == Resource::NAMESPACES || *resource == Resource::SERVICES || few::covers(resource);
        here || Rbac::covers(resource)
    }

    fn reset(&mut self, objects: &mut dyn Iterator<Item = (Key, Object)>, head: Revision) {
        self.rbac = Rbac::default();
        self.staged.clear();
        self.leases.clear();
        self.shared.live.write().clear();
        self.shared.ports.write().clear();
        self.shared.few.clear();
        for (key, object) in objects {
            self.take_in(&key, None, Some(&object));
        }
        self.news = true;
        self.durable(head);
    }
}

/// Deciding the request again gives another plan, or the error in its own words.
fn again(status: Status) -> Refusal {
    Refusal { retry: true, status }
}

fn never(status: Status) -> Refusal {
    Refusal { retry: false, status }
}

#[cfg(test)]
mod tests;
