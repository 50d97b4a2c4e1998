//! When this server is ready: the log takes writes, the bus is up, the mirror has caught up, and what every cluster begins with is there.

use std::time::Duration;

use cox_bus::Bus;
use cox_gateway::{Check, Readiness};
use cox_mirror::Mirror;
use cox_objects::{Key, Position, Resource, Source};
use futures::future::BoxFuture;

/// How long the apiserver may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// The namespaces that a cluster begins with; pods can start in one once its `default` ServiceAccount is there.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// What is asked.
pub struct Facts {
    bus: Bus,
    mirror: Mirror,
}

impl Facts {
    /// Facts about a process with this connection and mirror.
    pub fn new(bus: Bus, mirror: Mirror) -> Self {
        Facts { bus, mirror }
    }

    fn bus_check(&self) -> Check {
        let up = self.bus.state().borrow().up;
        Check::new("bus", (!up).then(|| "the bus is not connected".to_owned()))
    }

    async fn head(&self) -> (Check, Option<Position>) {
        let head = self.bus.head(tokio::time::Instant::now() + PATIENCE).await;
        let fault = head.as_ref().err().map(|error| format!("the apiserver does not answer: {error}"));
        (Check::new("log-store", fault), head.ok())
    }

    async fn all(&self) -> Vec<Check> {
        let (store, head) = self.head().await;
        let behind = match head {
            Some(head) if self.mirror.waits_for(head.revision, PATIENCE).await => None,
            Some(head) => {
                Some(format!("the mirror is at {} and the log at {}", self.mirror.position().revision, head.revision))
            }
            None => Some("the head is not known".to_owned()),
        };
        let there = |resource, namespace: &str, name: &str| {
            Source::get(&self.mirror, &Key::new(resource, namespace, name)).is_some()
        };
        let roles = there(Resource::CLUSTERROLES, "", "cluster-admin");
        let missing = NAMESPACES.into_iter().find(|namespace| {
            !there(Resource::NAMESPACES, "", namespace) || !there(Resource::SERVICEACCOUNTS, namespace, "default")
        });
        vec![
            store,
            self.bus_check(),
            Check::new("mirror", behind),
            Check::new(
                "poststarthook/rbac/bootstrap-roles",
                (!roles).then(|| "the bootstrap roles are missing".to_owned()),
            ),
            Check::new(
                "poststarthook/start-system-namespaces-controller",
                missing.map(|namespace| format!("namespace {namespace} or its default ServiceAccount is missing")),
            ),
        ]
    }
}

impl Readiness for Facts {
    fn live(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async { vec![self.head().await.0, self.bus_check()] })
    }

    fn ready(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(self.all())
    }
}

/// What is still missing until the server is ready; none if it is.
pub async fn missing(facts: &Facts) -> Option<String> {
    facts.all().await.into_iter().find_map(|check| check.fault)
}
