//! Whether nodes still report: one that has not for too long is unknown, and its pods are not ready.

use std::collections::HashMap;
use std::time::Duration;

use cox_kit::feed::Change;
use cox_kit::recorder::Note;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Resource, time};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};

use super::{Node, lease_of, pods_on, taints};

/// How long a node may be silent.
const GRACE: SignedDuration = SignedDuration::from_secs(40);
/// How long a node may take until it reports for the first time.
const STARTUP_GRACE: SignedDuration = SignedDuration::from_secs(60);
/// The conditions that nobody knows any more of a node that is silent.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The controller. A restart loses since when nodes are silent: the time begins anew.
#[derive(Default)]
pub(crate) struct Health {
    seen: HashMap<Key, Seen>,
}

/// The last sign of life of a node, and when it was seen: by our clock, for the node's may be wrong.
#[derive(PartialEq)]
struct Seen {
    sign: (Option<Timestamp>, Value),
    at: Timestamp,
    ready: Option<String>,
}

impl Health {
    /// How long the node may still be silent; negative if it was for too long. Tells what is new about it.
    fn left(&mut self, view: View<'_>, key: &Key, node: &Node, now: Timestamp) -> (SignedDuration, Vec<Command>) {
        let lease = view.at::<Lease>(&lease_of(key.name()));
        let renewed = lease.as_ref().and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0));
        let ready = node.condition("Ready");
        let sign = (renewed, ready.and_then(|ready| ready.get("lastHeartbeatTime")).cloned().unwrap_or(Value::Null));
        let grace = if ready.is_some() { GRACE } else { STARTUP_GRACE };
        let says = node.says("Ready").map(str::to_owned);
        let about = || node.metadata.about("v1", "Node");
        let mut notes = Vec::new();
        let at = match self.seen.get(key) {
            None => {
                let name = key.name();
                let message = format!("Node {name} event: Registered Node {name} in Controller");
                notes.push(Command::Record(Note::normal(about(), "RegisteredNode", message)));
                now
            }
            Some(seen) => {
                if seen.ready.as_deref() == Some("True") && says.as_deref() != Some("True") {
                    let message = format!("Node {} status is now: NodeNotReady", key.name());
                    notes.push(Command::Record(Note::normal(about(), "NodeNotReady", message)));
                }
                if seen.sign == sign { seen.at } else { now }
            }
        };
        self.seen.insert(key.clone(), Seen { sign, at, ready: says });
        (grace - now.duration_since(at), notes)
    }
}

impl Reconciler for Health {
    const NAME: &'static str = "node-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::NODES, Resource::LEASES]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == Resource::NODES {
            return vec![change.key.clone()];
        }
        let node = Key::new(Resource::NODES, "", change.key.name());
        let heartbeat = change.key == lease_of(change.key.name()) && view.raw(&node).is_some();
        heartbeat.then_some(node).into_iter().collect()
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, now: Timestamp) -> Decision {
        let Some(node) = view.at::<Node>(key) else {
            self.seen.remove(key);
            return Decision::none();
        };
        let (left, mut commands) = self.left(view, key, &node, now);
        let silent = !left.is_positive();
        let unknown = if silent { unknown(&node, now) } else { None };
        if let Some(conditions) = unknown {
            let meta = &node.metadata;
            let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
                               "status": {"conditions": conditions}});
            commands.push(Command::Patch { key: key.clone(), subresource: "status", patch });
        } else if let Some(taints) = taints::wanted(&node, now) {
            let meta = &node.metadata;
            let taints = if taints.is_empty() { Value::Null } else { json!(taints) };
            let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
                               "spec": {"taints": taints}});
            commands.push(Command::Patch { key: key.clone(), subresource: "", patch });
        } else if silent {
            commands.extend(unready(view, key.name(), now));
        }
        let decision = Decision::of(commands);
        // A millisecond later, so that it is over then.
        let after = Duration::try_from(left).unwrap_or(Duration::from_secs(5)) + Duration::from_millis(1);
        decision.again_in(after, "node-grace")
    }
}

/// The conditions of a node that is silent; none if they say so already.
fn unknown(node: &Node, now: Timestamp) -> Option<Vec<Value>> {
    let mut conditions = node.status.conditions.clone();
    let stamp = time::format(now);
    for kind in CONDITIONS {
        let known = conditions.iter_mut().find(|condition| condition.get("type").is_some_and(|t| t == kind));
        let Some(condition) = known.and_then(Value::as_object_mut) else {
            conditions.push(json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.", "lastHeartbeatTime": time::format(node.metadata.created()),
                "lastTransitionTime": stamp,
            }));
            continue;
        };
        if condition.get("status").is_some_and(|status| status == "Unknown") {
            continue;
        }
        condition.insert("status".into(), "Unknown".into());
        condition.insert("reason".into(), "NodeStatusUnknown".into());
        condition.insert("message".into(), "Kubelet stopped posting node status.".into());
        condition.insert("lastTransitionTime".into(), stamp.as_str().into());
    }
    (conditions != node.status.conditions).then_some(conditions)
}

/// Says of the pods on a silent node that they are not ready: nothing should be sent to them.
fn unready(view: View<'_>, node: &str, now: Timestamp) -> Vec<Command> {
    let ready = pods_on(view, node).into_iter().filter(|pod| pod.is_ready());
    let commands = ready.flat_map(|pod| {
        let key = pod.metadata.key(Resource::PODS);
        let mut conditions = view
            .raw(&key)
            .and_then(|pod| pod.value().pointer("/status/conditions").and_then(Value::as_array).cloned())
            .unwrap_or_default();
        for condition in conditions.iter_mut().filter(|c| c.get("type").is_some_and(|t| t == "Ready")) {
            cox_objects::meta::set(condition, "status", "False");
            cox_objects::meta::set(condition, "lastTransitionTime", time::format(now));
        }
        let meta = &pod.metadata;
        let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
                           "status": {"conditions": conditions}});
        let note = Note::warning(meta.about("v1", "Pod"), "NodeNotReady", "Node is not ready");
        [Command::Patch { key, subresource: "status", patch }, Command::Record(note)]
    });
    commands.collect()
}
