//! DefaultTolerationSeconds: a pod stays five minutes on a node that is not ready or not reachable.

use serde_json::{Value, json};

use crate::value::{items, map, text};

const SECONDS: i64 = 300;

/// Adds the tolerations that the pod has none of its own for.
pub(super) fn admit(pod: &mut Value) {
    let tolerations = items(map(pod, "spec"), "tolerations");
    let missing: Vec<Value> = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        .into_iter()
        .filter(|key| !tolerations.iter().any(|t| tolerates(t, key)))
        .map(|key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}))
        .collect();
    tolerations.extend(missing);
}

fn tolerates(toleration: &Value, key: &str) -> bool {
    let said = text(toleration, "/key");
    (said.is_empty() || said == key) && matches!(text(toleration, "/effect"), "" | "NoExecute")
}
