//! Steps as api requests: bindings, conditions, evictions of victims, and what is noted about them. Pure.

use std::sync::Arc;

use cox_kit::Command;
use cox_kit::recorder::{About, Note};
use cox_objects::Object;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::pod::Pod;

/// The name that pods know this scheduler by, and that Events report.
pub const SCHEDULER: &str = "default-scheduler";

/// Binds a pod to a node.
pub fn bind(pod: &Pod, node: &str) -> Command {
    let body = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"namespace": pod.namespace(), "name": pod.key.name(), "uid": pod.uid},
        "target": {"kind": "Node", "name": node},
    });
    Command::CreateAt { key: pod.key.clone(), subresource: "binding", body }
}

/// Notes that a pod was bound.
pub fn bound(pod: &Pod, node: &str) -> Note {
    Note::normal(about(pod), "Scheduled", format!("Successfully assigned {} to {node}", pod.key.path()))
}

/// Notes that a pod found no node.
pub fn failed(pod: &Pod, message: &str) -> Note {
    Note::warning(about(pod), "FailedScheduling", message)
}

/// Notes that a pod is left alone, because the decision about it panics.
pub fn left_alone(pod: &Pod, panic: &str) -> Note {
    cox_kit::reconcile::left_alone(about(pod), SCHEDULER, panic)
}

/// Notes that a pod has to go for another.
pub fn preempted(victim: &Pod, by: &Pod, node: &str) -> Note {
    Note::normal(about(victim), "Preempted", format!("Preempted by pod {} on node {node}", by.uid))
}

fn about(pod: &Pod) -> About {
    About {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: pod.namespace().to_owned(),
        name: pod.key.name().to_owned(),
        uid: pod.uid.clone(),
        resource_version: pod.revision.to_string(),
        field_path: String::new(),
    }
}

/// Writes into the stored form of a pod that it found no node, and where room is made for it; none if it says so already.
pub fn unschedulable(
    stored: &Object,
    pod: &Pod,
    message: &str,
    nominate: Option<Option<&Arc<str>>>,
    now: Timestamp,
) -> Option<Command> {
    let condition = Condition { kind: "PodScheduled", status: "False", reason: "Unschedulable", message };
    let mut status = Map::new();
    if let Some(conditions) = with_condition(stored, &condition, now) {
        status.insert("conditions".into(), conditions);
    }
    if let Some(node) = nominate {
        status.insert("nominatedNodeName".into(), node.map_or(Value::Null, |node| (&**node).into()));
    }
    (!status.is_empty()).then(|| patch(stored, pod, status))
}

/// Says in a pod's status that it has to go for another, and deletes it. The first is left out where it is said already.
pub fn evict(stored: &Object, victim: &Pod, now: Timestamp) -> Vec<Command> {
    let condition = Condition {
        kind: "DisruptionTarget",
        status: "True",
        reason: "PreemptionByScheduler",
        message: "default-scheduler: preempting to accommodate a higher priority pod",
    };
    let said = with_condition(stored, &condition, now);
    let say = said.map(|conditions| patch(stored, victim, Map::from_iter([("conditions".to_owned(), conditions)])));
    say.into_iter().chain([Command::delete(victim.key.clone(), &victim.uid)]).collect()
}

struct Condition<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

/// A merge patch replaces the whole list of conditions: it holds for the version that they were read from only.
fn patch(stored: &Object, pod: &Pod, status: Map<String, Value>) -> Command {
    let patch = json!({
        "metadata": {"uid": pod.uid, "resourceVersion": stored.revision().to_string()},
        "status": status,
    });
    Command::Patch { key: pod.key.clone(), subresource: "status", patch }
}

/// The conditions with this one in its place; none if it is there already. Its time changes with its status only.
fn with_condition(stored: &Object, condition: &Condition<'_>, now: Timestamp) -> Option<Value> {
    let object = stored.value();
    let mut conditions = match object.pointer("/status/conditions") {
        Some(Value::Array(conditions)) => conditions.clone(),
        _ => Vec::new(),
    };
    let mut new = json!({
        "type": condition.kind, "status": condition.status, "lastProbeTime": null,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "reason": condition.reason, "message": condition.message,
    });
    if let (Some(generation), Some(fields)) = (object.pointer("/metadata/generation"), new.as_object_mut()) {
        fields.insert("observedGeneration".into(), generation.clone());
    }
    match conditions.iter_mut().find(|c| c.get("type") == new.get("type")) {
        None => conditions.push(new),
        Some(old) => {
            let same = |field: &str| old.get(field) == new.get(field);
            if ["status", "reason", "message", "observedGeneration"].into_iter().all(same) {
                return None;
            }
            if same("status")
                && let (Some(time), Some(fields)) = (old.get("lastTransitionTime"), new.as_object_mut())
            {
                fields.insert("lastTransitionTime".into(), time.clone());
            }
            *old = new;
        }
    }
    Some(conditions.into())
}

#[cfg(test)]
mod tests;
