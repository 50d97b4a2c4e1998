//! The taints that follow from a node's conditions: nothing new is placed on it, and what does not tolerate its state goes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Node;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, the status that matters, and the taint for it.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

/// The taints that a node should have; none if it has them. Those of others stay, in their order.
pub(super) fn wanted(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    let mut ours: Vec<(&str, &str)> = BY_CONDITION
        .iter()
        .filter(|(condition, status, _)| node.says(condition) == Some(status))
        .map(|(_, _, key)| (*key, "NoSchedule"))
        .collect();
    if node.spec.unschedulable {
        ours.push((UNSCHEDULABLE, "NoSchedule"));
    }
    match node.says("Ready") {
        Some("False") => ours.push((NOT_READY, "NoExecute")),
        Some("Unknown") => ours.push((UNREACHABLE, "NoExecute")),
        _ => {}
    }
    let is = |taint: &Taint, (key, effect): (&str, &str)| taint.key == key && taint.effect == effect;
    let mut taints = node.spec.taints.clone();
    // Without a Ready condition nobody knows whether what does not tolerate the node's state should go.
    let knows = |taint: &Taint| taint.effect != "NoExecute" || node.says("Ready").is_some();
    taints.retain(|taint| !is_ours(taint) || !knows(taint) || ours.iter().any(|our| is(taint, *our)));
    for our in ours {
        if !taints.iter().any(|taint| is(taint, our)) {
            let (key, effect) = our;
            let time_added = Some(Time(now));
            taints.push(Taint { key: key.into(), effect: effect.into(), value: None, time_added });
        }
    }
    (taints != node.spec.taints).then_some(taints)
}

fn is_ours(taint: &Taint) -> bool {
    match taint.effect.as_str() {
        "NoSchedule" => taint.key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, key)| taint.key == *key),
        "NoExecute" => taint.key == NOT_READY || taint.key == UNREACHABLE,
        _ => false,
    }
}
