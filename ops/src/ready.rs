//! How this server does: the log takes writes, the bus is up, the mirror has caught up, the event stream gets on, what every cluster begins with
//! is there, and no component's actors have failed.

use std::time::Duration;

use cox_apiserver::readiness::QUESTION;
use cox_bus::{Bus, CallError, Identity, Why};
use cox_gateway::{Check, Readiness};
use cox_mirror::Mirror;
use cox_objects::{Key, Position, Resource, Source};
use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;

/// How long the bus, and who is asked over it, may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the event stream may acknowledge nothing, in seconds: a nats-server that starts again takes less.
const STUCK: u64 = 5;
/// The namespaces that a cluster begins with; pods can start in one once its `default` ServiceAccount is there.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// The components that are asked what is wrong with them, where they run. Nodes tell it in their own conditions.
const COMPONENTS: [Identity; 3] = [Identity::Controllers, Identity::Scheduler, Identity::Feed];

/// What is asked.
pub struct Facts {
    bus: Bus,
    mirror: Mirror,
    /// Whether the connection may ask components how they do.
    asks: bool,
}

impl Facts {
    /// Facts about a process with this connection and mirror.
    pub fn new(bus: Bus, mirror: Mirror) -> Self {
        let asks = matches!(bus.identity(), Identity::Gateway);
        Facts { bus, mirror, asks }
    }

    async fn bus_check(&self) -> Check {
        let up = self.bus.state().borrow().up;
        let answers = up && self.bus.round_trip(Instant::now() + PATIENCE).await.is_ok();
        let fault = match (up, answers) {
            (true, true) => None,
            (true, false) => Some("nats-server does not answer".to_owned()),
            (false, _) => Some("the bus is not connected".to_owned()),
        };
        Check::new("bus", fault)
    }

    /// What the apiserver says of itself, and the head of its log.
    async fn log_checks(&self) -> (Vec<Check>, Option<Position>) {
        let (head, told) = tokio::join!(self.bus.head(Instant::now() + PATIENCE), self.told());
        let checks = match (&head, &told) {
            (Err(error), _) | (_, Some(Err(error))) => vec![Check::new("log-store", silent(error))],
            (Ok(_), Some(Ok(told))) => of_apiserver(told),
            (Ok(_), None) => vec![Check::new("log-store", None)],
        };
        (checks, head.ok())
    }

    async fn told(&self) -> Option<Result<cox_apiserver::Readiness, CallError>> {
        if !self.asks {
            return None;
        }
        let subject = self.bus.subjects().ctl(&Identity::Apiserver, QUESTION);
        Some(self.bus.request_json(&subject, &(), Instant::now() + PATIENCE).await)
    }

    async fn live_checks(&self) -> Vec<Check> {
        let (bus, head) = tokio::join!(self.bus_check(), self.bus.head(Instant::now() + PATIENCE));
        // A log that takes no writes for now is no reason to start anew.
        vec![Check::new("log-store", head.err().as_ref().and_then(silent)), bus]
    }

    async fn all(&self) -> Vec<Check> {
        let (bus, (mut checks, head)) = tokio::join!(self.bus_check(), self.log_checks());
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
        checks.extend([
            bus,
            Check::new("mirror", behind),
            Check::new(
                "poststarthook/rbac/bootstrap-roles",
                (!roles).then(|| "the bootstrap roles are missing".to_owned()),
            ),
            Check::new(
                "poststarthook/start-system-namespaces-controller",
                missing.map(|namespace| format!("namespace {namespace} or its default ServiceAccount is missing")),
            ),
        ]);
        checks
    }

    /// The components that run.
    async fn components(&self) -> Vec<Check> {
        let asked = COMPONENTS.iter().filter(|_| self.asks).map(|identity| async move {
            let subject = self.bus.subjects().ctl(identity, QUESTION);
            let told = self.bus.request_json::<_, Vec<String>>(&subject, &(), Instant::now() + PATIENCE).await;
            let fault = match told {
                Ok(faults) => faults.first().cloned(),
                // A cluster may do without it, or it runs beside another bus.
                Err(CallError::SurelyNotDone(Why::NobodyServes(_))) => return None,
                Err(error) => Some(format!("it does not answer: {error}")),
            };
            Some(Check::new(&identity.to_string(), fault))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

fn silent(error: &CallError) -> Option<String> {
    Some(format!("the apiserver does not answer: {error}"))
}

/// What an apiserver says of itself, as checks.
pub fn of_apiserver(told: &cox_apiserver::Readiness) -> Vec<Check> {
    let stuck = told.unpublished_seconds;
    let late = (stuck >= STUCK).then(|| format!("the event stream has acknowledged nothing for {stuck} seconds"));
    let full = told.not_writable.as_ref().map(|why| format!("the log takes no writes: {why}"));
    vec![Check::new("log-store", full), Check::new("publisher", late)]
}

impl Readiness for Facts {
    fn live(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(self.live_checks())
    }

    fn ready(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(self.all())
    }

    fn health(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            let (mut checks, components) = tokio::join!(self.all(), self.components());
            checks.extend(components);
            checks
        })
    }
}

/// What is still missing until the server is ready; none if it is.
pub async fn missing(facts: &Facts) -> Option<String> {
    facts.all().await.into_iter().find_map(|check| check.fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apiserver_says_what_is_wrong_with_the_log_and_its_stream() {
        let well = cox_apiserver::Readiness { not_writable: None, bootstrapped: true, head: 7, unpublished_seconds: 4 };
        assert!(of_apiserver(&well).iter().all(|check| check.fault.is_none()));
        let ill = cox_apiserver::Readiness {
            not_writable: Some("No space left on device".to_owned()),
            unpublished_seconds: 5,
            ..well
        };
        let faults: Vec<_> = of_apiserver(&ill).into_iter().filter_map(|check| check.fault).collect();
        assert_eq!(
            faults,
            [
                "the log takes no writes: No space left on device",
                "the event stream has acknowledged nothing for 5 seconds"
            ]
        );
    }
}
