//! Who is worked on: so many requests at a time, in the order in which they came; and before them those by which leaders lead and nodes are alive.
//!
//! Most requests come over the bus from components that pass no gateway, so that its priority levels are not enough: a Lease that waits behind
//! thousands of other writes is lost, though nobody is ill. As Kubernetes' levels `leader-election` and `node-high` these requests have places of
//! their own, a bounded number; beyond it they wait as all others do, so that nothing starves.

use std::sync::Arc;

use cox_bus::{ApiRequest, Identity};
use cox_objects::User;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pipeline::identify;

/// How many vital requests are worked on beside the others.
const VITAL: usize = 256;

/// The places; clones share them.
#[derive(Clone)]
pub(crate) struct Gate {
    /// Of all ordinary requests that are here.
    here: Arc<Semaphore>,
    /// Of those that are worked on. The log takes more at a time, so that a vital one finds room there.
    worked_on: Arc<Semaphore>,
    vital: Arc<Semaphore>,
}

/// The place of a request that was let in.
pub(crate) enum Place {
    /// It goes ahead at once.
    Vital(OwnedSemaphorePermit),
    /// It waits for its turn.
    Ordinary { here: OwnedSemaphorePermit, turns: Arc<Semaphore> },
}

/// That a request is worked on; the place is free once this is dropped.
pub(crate) struct Turn {
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Gate {
    /// A gate for at most so many ordinary requests.
    pub(crate) fn new(most: usize) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Gate { here: places(most), worked_on: places((most * 3 / 8).max(1)), vital: places(VITAL) }
    }

    /// The place of a request that has arrived; none if there are too many.
    pub(crate) fn enter(&self, from: &Identity, request: &ApiRequest) -> Option<Place> {
        if is_vital(from, request)
            && let Ok(place) = self.vital.clone().try_acquire_owned()
        {
            return Some(Place::Vital(place));
        }
        let here = self.here.clone().try_acquire_owned().ok()?;
        Some(Place::Ordinary { here, turns: self.worked_on.clone() })
    }
}

impl Place {
    /// Waits until it is this request's turn.
    pub(crate) async fn turn(self) -> Turn {
        let permits = match self {
            Place::Vital(place) => [Some(place), None],
            // The semaphore is never closed.
            Place::Ordinary { here, turns } => [Some(here), turns.acquire_owned().await.ok()],
        };
        Turn { _permits: permits }
    }
}

/// Whether a leader's Lease, or a node's Lease or Node, depends on it.
fn is_vital(from: &Identity, request: &ApiRequest) -> bool {
    let of = |group: &str, plural: &str| request.group == group && request.plural == plural;
    let lease = of("coordination.k8s.io", "leases");
    let node = of("", "nodes") && matches!(request.subresource.as_str(), "" | "status");
    if !lease && !node {
        return false;
    }
    // Who may not speak for a user is told so in its turn.
    let Ok(user) = identify::user(from, request) else { return false };
    user.is_in("system:nodes") || (lease && request.namespace == "kube-system" && is_component(&user))
}

fn is_component(user: &User) -> bool {
    matches!(user.name.as_str(), "system:kube-controller-manager" | "system:kube-scheduler")
        || user.is_in("system:serviceaccounts:kube-system")
}

#[cfg(test)]
mod tests;
