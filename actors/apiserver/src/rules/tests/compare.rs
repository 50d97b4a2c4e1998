//! Comparing with what was recorded, apart from what admission adds.

use cox_objects::Kind;
use serde_json::{Value, json};

/// The finalizers by which admission protects volumes and claims in use.
const PROTECTION: [&str; 2] = ["kubernetes.io/pv-protection", "kubernetes.io/pvc-protection"];

/// Gives a Service the addresses and ports that it was recorded with.
pub(super) fn allocate(object: &mut Value, answer: &Value) {
    if object["kind"] != "Service" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
        let recorded = answer["spec"][field].clone();
        if !recorded.is_null()
            && object["spec"][field].as_str().is_none_or(str::is_empty)
            && object["spec"][field].as_array().is_none_or(Vec::is_empty)
        {
            object["spec"][field] = recorded;
        }
    }
    if answer["spec"]["healthCheckNodePort"].is_null() && object["spec"]["externalTrafficPolicy"] == "Local" {
        object["spec"]["healthCheckNodePort"] = json!(30_999);
    }
    let recorded = answer["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for (port, recorded) in object["spec"]["ports"].as_array_mut().into_iter().flatten().zip(recorded) {
        if port["nodePort"].as_i64().unwrap_or(0) == 0 && !recorded["nodePort"].is_null() {
            port["nodePort"] = recorded["nodePort"].clone();
        }
    }
}

/// Stands in for admission where validation would miss it: every pod has a service account.
pub(super) fn admit(kind: &Kind, object: &mut Value) {
    if kind.kind == "Pod" && object["spec"].is_object() {
        let spec = &mut object["spec"];
        for field in ["serviceAccountName", "serviceAccount"] {
            if spec[field].is_null() {
                spec[field] = json!("default");
            }
        }
    }
}

/// The differences between our refusal and the recorded one.
pub(super) fn refusals(ours: &Value, recorded: &Value, accepted: bool) -> Vec<String> {
    if accepted {
        return vec![format!("accepted, though Kubernetes said {}", recorded["message"])];
    }
    // Some messages hold the difference between two Go structs; what comes before it is compared.
    let message = |status: &Value| status["message"].as_str().unwrap_or_default().trim_end().to_owned();
    let (own, theirs) = (message(ours), message(recorded));
    if let Some((start, _)) = theirs.split_once("\n@@ ") {
        return if own.starts_with(start) { Vec::new() } else { vec![format!("ours {own}, Kubernetes {theirs}")] };
    }
    if own != theirs {
        return vec![format!("\n    ours       {own:?}\n    Kubernetes {theirs:?}")];
    }
    let sorted = |status: &Value| {
        let causes = status["details"]["causes"].as_array().into_iter().flatten();
        let mut causes: Vec<String> = causes.map(ToString::to_string).collect();
        causes.sort();
        causes
    };
    if sorted(ours) != sorted(recorded) {
        return vec![format!("causes\n    ours       {:?}\n    Kubernetes {:?}", sorted(ours), sorted(recorded))];
    }
    Vec::new()
}

/// The differences between our object and the recorded one.
pub(super) fn objects(kind: &Kind, ours: &Value, recorded: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let (mut ours, mut recorded) = (ours.clone(), recorded.clone());
    for side in [&mut ours, &mut recorded] {
        for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "selfLink"] {
            side["metadata"].as_object_mut().map(|m| m.remove(field));
        }
        let protects = |f: &Value| PROTECTION.contains(&f.as_str().unwrap_or_default());
        retain(&mut side["metadata"], "finalizers", &protects);
        if kind.kind == "PersistentVolumeClaim" {
            side["spec"].as_object_mut().map(|s| s.remove("storageClassName"));
        }
        if kind.kind == "Pod" {
            forget_admission(side);
        }
    }
    differ(&ours, &recorded, "", &mut found);
    found
}

/// Takes out what admission gives to pods: a token, tolerations, a priority.
fn forget_admission(pod: &mut Value) {
    let Some(spec) = pod["spec"].as_object_mut() else { return };
    for field in [
        "priority",
        "preemptionPolicy",
        "priorityClassName",
        "serviceAccount",
        "serviceAccountName",
        "imagePullSecrets",
    ] {
        spec.remove(field);
    }
    let token = |v: &Value| v["name"].as_str().is_some_and(|n| n.starts_with("kube-api-access-"));
    let default = |t: &Value| {
        t["key"].as_str().is_some_and(|k| k.starts_with("node.kubernetes.io/")) && t["tolerationSeconds"] == 300
    };
    let spec = &mut pod["spec"];
    retain(spec, "volumes", &token);
    retain(spec, "tolerations", &default);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            retain(container, "volumeMounts", &token);
        }
    }
}

/// Drops items of a list, and the list if nothing is left.
fn retain(holder: &mut Value, list: &str, drop: &dyn Fn(&Value) -> bool) {
    let Some(fields) = holder.as_object_mut() else { return };
    if let Some(items) = fields.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|i| !drop(i));
        if items.is_empty() {
            fields.remove(list);
        }
    }
}

fn differ(ours: &Value, recorded: &Value, path: &str, found: &mut Vec<String>) {
    match (ours, recorded) {
        (_, Value::String(any)) if any == "<any>" => {}
        (Value::Object(left), Value::Object(right)) => {
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                if key == "verbs" {
                    // The recordings keep them sorted.
                    continue;
                }
                let (a, b) = (left.get(key), right.get(key));
                differ(a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null), &format!("{path}/{key}"), found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (i, (a, b)) in left.iter().zip(right).enumerate() {
                differ(a, b, &format!("{path}/{i}"), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{path}: ours {a}, Kubernetes {b}")),
    }
}

/// The differences between our warnings and the recorded ones, whose headers quote the text.
pub(super) fn warnings(ours: &[String], recorded: &[String]) -> Vec<String> {
    let known = |text: &&String| !text.contains("unknown field") && !text.contains("duplicate field");
    let recorded: Vec<String> = recorded
        .iter()
        .filter(known)
        .filter_map(|header| serde_json::from_str(header.strip_prefix("299 - ")?).ok())
        .collect();
    if ours == recorded { Vec::new() } else { vec![format!("warnings: ours {ours:?}, Kubernetes {recorded:?}")] }
}
