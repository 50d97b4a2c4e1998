//! The status of a set: what its pods are like, and why there are not as many as there should be.

use std::sync::Arc;

use cox_kit::Command;
use cox_objects::Key;
use cox_objects::selector::Labels;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Failure, Flavor};
use crate::model::Set;
use crate::pods::Pod;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub replicas: usize,
    pub labelled: usize,
    pub ready: usize,
    pub available: usize,
    pub terminating: usize,
}

pub(super) fn count(set: &Set, pods: &[Arc<Pod>], terminating: usize, now: Timestamp) -> Counts {
    let labels = set.spec.template.pointer("/metadata/labels").and_then(Value::as_object);
    let labelled = |pod: &Arc<Pod>| {
        labels.is_none_or(|all| all.iter().all(|(key, value)| pod.metadata.labels.label(key) == value.as_str()))
    };
    let count = |of: &dyn Fn(&Arc<Pod>) -> bool| pods.iter().filter(|pod| of(pod)).count();
    Counts {
        replicas: pods.len(),
        labelled: count(&labelled),
        ready: count(&|pod| pod.is_ready()),
        available: count(&|pod| pod.is_available(set.spec.min_ready_seconds, now)),
        terminating,
    }
}

/// The write of the status, if it says anything new.
pub(super) fn update<F: Flavor>(
    key: &Key,
    object: &Value,
    counts: &Counts,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Option<Command> {
    let old = object.get("status").cloned().unwrap_or_else(|| json!({}));
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let mut status = json!({"replicas": counts.replicas});
    let fields = status.as_object_mut()?;
    let mut put = |name: &str, value: usize| {
        if value > 0 {
            fields.insert(name.to_owned(), value.into());
        }
    };
    put("fullyLabeledReplicas", counts.labelled);
    put("readyReplicas", counts.ready);
    put("availableReplicas", counts.available);
    if F::KIND == "ReplicaSet" {
        fields.insert("terminatingReplicas".into(), counts.terminating.into());
    }
    if generation > 0 {
        fields.insert("observedGeneration".into(), generation.into());
    }
    let conditions = conditions(&old, failure, now);
    if !conditions.is_empty() {
        fields.insert("conditions".into(), conditions.into());
    }
    if status == old {
        return None;
    }
    let mut object = object.clone();
    object.as_object_mut()?.insert("status".into(), status);
    Some(Command::Update { key: key.clone(), subresource: "status", object })
}

fn conditions(old: &Value, failure: Option<&Failure>, now: Timestamp) -> Vec<Value> {
    let mut conditions = old.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let is = |condition: &Value, name: &str, value: &str| condition.get(name).and_then(Value::as_str) == Some(value);
    let Some(failure) = failure else {
        conditions.retain(|condition| !is(condition, "type", "ReplicaFailure"));
        return conditions;
    };
    let said = |condition: &Value| is(condition, "type", "ReplicaFailure") && is(condition, "reason", failure.reason);
    if !conditions.iter().any(said) {
        conditions.retain(|condition| !is(condition, "type", "ReplicaFailure"));
        conditions.push(json!({
            "type": "ReplicaFailure", "status": "True", "lastTransitionTime": cox_objects::time::format(now),
            "reason": failure.reason, "message": failure.message,
        }));
    }
    conditions
}
