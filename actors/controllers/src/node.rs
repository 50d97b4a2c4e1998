//! Nodes: whether they still report, the taints that follow from how they are, and what becomes of the pods on them.

pub(crate) mod eviction;
pub(crate) mod health;
mod taints;
pub(crate) mod ttl;

use cox_kit::{Typed, View};
use cox_objects::{Key, Object, Resource, time};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{Meta, or_default};
use crate::pods::Pod;

/// The parts of a Node that controllers look at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub metadata: Meta,
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
    #[serde(deserialize_with = "or_default")]
    pub status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Spec {
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
    #[serde(deserialize_with = "or_default")]
    pub unschedulable: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// As they are written, for fields that nobody here knows must stay.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Value>,
}

impl Typed for Node {
    const RESOURCE: Resource = Resource::NODES;
}

impl Node {
    fn condition(&self, kind: &str) -> Option<&Value> {
        self.status.conditions.iter().find(|condition| condition.get("type").is_some_and(|t| t == kind))
    }

    /// The status of a condition: `True`, `False` or `Unknown`.
    fn says(&self, kind: &str) -> Option<&str> {
        self.condition(kind)?.get("status")?.as_str()
    }
}

/// The pods that run on a node.
pub(crate) fn pods_on(view: View<'_>, node: &str) -> Vec<std::sync::Arc<Pod>> {
    let mut pods = view.list::<Pod>("");
    pods.retain(|pod| pod.spec.node_name == node);
    pods
}

/// The status patch that says why a pod is taken away, keeping its other conditions.
pub(crate) fn disrupted(pod: &Object, reason: &str, message: &str, phase: Option<&str>, now: Timestamp) -> Value {
    let pod = pod.value();
    let said = pod.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut conditions: Vec<Value> =
        said.into_iter().filter(|condition| condition.get("type").is_none_or(|t| t != "DisruptionTarget")).collect();
    conditions.push(json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message, "lastProbeTime": null,
        "lastTransitionTime": time::format(now), "observedGeneration": cox_objects::meta::get(&pod, "metadata.generation"),
    }));
    let mut status = json!({"conditions": conditions});
    if let (Some(phase), Some(fields)) = (phase, status.as_object_mut()) {
        fields.insert("phase".into(), phase.into());
    }
    json!({"metadata": {"uid": cox_objects::meta::get(&pod, "metadata.uid")}, "status": status})
}

/// Where a node's heartbeats are.
pub(crate) fn lease_of(node: &str) -> Key {
    Key::new(Resource::LEASES, "kube-node-lease", node)
}

#[cfg(test)]
mod tests;
