//! What the log's writer knows besides single objects, and decides guards by: live namespaces, node ports, roles and bindings.
//!
//! Guarantees: guards are checked against committed state plus the batch before them. Readers of [`Shared`] see namespaces and node ports as they
//! are staged (a hint, the guard decides) and roles only once they are durable. A batch that failed is forgotten by a reset.

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

pub(crate) use cox_objects::rbac::Index as Rbac;

/// What the apiserver's readers see of the indexes.
#[derive(Default)]
pub(crate) struct Shared {
    live: RwLock<HashSet<String>>,
    ports: RwLock<HashMap<u16, Key>>,
    rbac: ArcSwap<Rbac>,
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
    measured: Option<Batches>,
}

impl Indexes {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Indexes { shared, rbac: Rbac::default(), news: true, measured: None }
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
            Guard::Lease(held) => lease(held, staged),
            Guard::Exists { key, uid } => {
                let object = staged.get(key).map(|o| o.value());
                let there = object.is_some_and(|o| uid.as_deref().is_none_or(|u| text(&o, "/metadata/uid") == u));
                if there { Ok(()) } else { Err(again(Status::not_found(&key.resource, key.name()))) }
            }
        }
    }

    fn apply(&mut self, event: &Event, old: Option<&Object>) {
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
    }

    fn reads(&self, resource: &Resource) -> bool {
        *resource == Resource::NAMESPACES || *resource == Resource::SERVICES || Rbac::covers(resource)
    }

    fn reset(&mut self, objects: &mut dyn Iterator<Item = (Key, Object)>, head: Revision) {
        self.shared.live.write().clear();
        self.rbac = Rbac::default();
        self.shared.ports.write().clear();
        for (key, object) in objects {
            self.take_in(&key, None, Some(&object));
        }
        self.news = true;
        self.durable(head);
    }
}

fn lease(held: &LeaseHeld, staged: &dyn Staged) -> Result<(), Refusal> {
    let lease = staged.get(&held.key).map(|o| o.value());
    let holds = lease.is_some_and(|l| {
        text(&l, "/metadata/uid") == held.uid
            && text(&l, "/spec/holderIdentity") == held.holder
            && int(&l, "/spec/leaseTransitions").unwrap_or(0) == held.transitions
    });
    if holds {
        return Ok(());
    }
    Err(never(Status::conflict(
        &held.key.resource,
        held.key.name(),
        &format!("it is no longer held by {}", held.holder),
    )))
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
