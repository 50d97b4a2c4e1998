//! TaintNodesByCondition: a new node takes no pods until it is found ready.

use serde_json::{Value, json};

use crate::value::{items, map, text};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// Adds the taint, if it is not there.
pub(super) fn taint(node: &mut Value) {
    let taints = items(map(node, "spec"), "taints");
    let there = |t: &Value| text(t, "/key") == NOT_READY && text(t, "/effect") == "NoSchedule";
    if !taints.iter().any(there) {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
}
