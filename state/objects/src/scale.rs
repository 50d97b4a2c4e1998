//! The Scale view of workloads: what `…/scale` shows of a Deployment, ReplicaSet, StatefulSet or ReplicationController.

use serde_json::{Map, Value, json};

use crate::selector::LabelSelector;

/// An object that has no Scale view.
#[derive(Debug, thiserror::Error)]
#[error("{0} has no scale")]
pub struct NoScale(String);

/// The `autoscaling/v1` Scale of an object.
///
/// # Errors
/// If its selector is none.
pub fn of(object: &Value) -> Result<Value, NoScale> {
    let metadata = |name: &str| object.pointer(&format!("/metadata/{name}")).cloned();
    let mut kept = Map::new();
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata(name) {
            kept.insert(name.into(), value);
        }
    }
    let replicas = |part: &str| object.pointer(&format!("/{part}/replicas")).and_then(Value::as_i64);
    let mut spec = Map::new();
    if let Some(count) = replicas("spec").filter(|count| *count != 0) {
        spec.insert("replicas".into(), count.into());
    }
    let mut status = Map::new();
    status.insert("replicas".into(), replicas("status").unwrap_or(0).into());
    let selector = selector(object).ok_or_else(|| NoScale(object["kind"].as_str().unwrap_or_default().to_owned()))?;
    if !selector.is_empty() {
        status.insert("selector".into(), selector.into());
    }
    Ok(json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept, "spec": spec, "status": status}))
}

/// Sets the number of replicas that an object is to have.
pub fn set_replicas(object: &mut Value, replicas: i64) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".into(), replicas.into());
    }
}

/// The selector as one text. A ReplicationController has a plain map of labels.
fn selector(object: &Value) -> Option<String> {
    let Some(selector) = object.pointer("/spec/selector") else { return Some(String::new()) };
    if selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some() {
        return LabelSelector::from_value(selector).ok().map(|s| s.to_string());
    }
    let mut labels: Vec<String> =
        selector.as_object()?.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    labels.sort();
    Some(labels.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_and_a_controller_show_count_and_selector() {
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "d", "uid": "u", "labels": {"a": "b"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"b": "2", "a": "1"}}}, "status": {"replicas": 2}});
        assert_eq!(
            of(&deployment).unwrap(),
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "d", "uid": "u"},
                   "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "a=1,b=2"}}),
        );
        let controller = json!({"kind": "ReplicationController", "metadata": {"name": "r"},
            "spec": {"replicas": 0, "selector": {"app": "x"}}});
        let scale = of(&controller).unwrap();
        assert_eq!(scale["spec"], json!({}));
        assert_eq!(scale["status"], json!({"replicas": 0, "selector": "app=x"}));
    }

    #[test]
    fn setting_the_count_touches_nothing_else() {
        let mut object = json!({"spec": {"replicas": 1, "paused": true}});
        set_replicas(&mut object, 5);
        assert_eq!(object, json!({"spec": {"replicas": 5, "paused": true}}));
    }
}
