//! What is read out of pods.

use serde_json::json;

use crate::node::{Effect, Taint};
use crate::testing::*;

#[test]
fn tolerations_by_value_existence_effect_and_number() {
    let taint = |value: &str| Taint { key: "k".into(), value: value.into(), effect: Effect::NoSchedule };
    let tolerates = |toleration: serde_json::Value, value: &str| {
        pod("p", json!({"tolerations": [toleration]})).tolerates(&taint(value))
    };
    assert!(tolerates(json!({"key": "k", "value": "v"}), "v"));
    assert!(!tolerates(json!({"key": "k", "value": "w"}), "v"));
    assert!(tolerates(json!({"key": "k", "operator": "Exists"}), "v"));
    assert!(tolerates(json!({"operator": "Exists"}), "v"));
    assert!(tolerates(json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), "v"));
    assert!(!tolerates(json!({"key": "k", "value": "v", "effect": "NoExecute"}), "v"));
    assert!(tolerates(json!({"key": "k", "operator": "Gt", "value": "5"}), "7"));
    assert!(!tolerates(json!({"key": "k", "operator": "Lt", "value": "5"}), "7"));
    assert!(!tolerates(json!({"key": "other", "operator": "Exists"}), "v"));
}

#[test]
fn images_without_a_tag_are_the_latest() {
    let images = |name: &str| pod("p", json!({"containers": [{"name": "c", "image": name}]})).images;
    assert_eq!(images("nginx"), ["nginx:latest"]);
    assert_eq!(images("host:5000/a/b"), ["host:5000/a/b:latest"]);
    assert_eq!(images("a/b:1"), ["a/b:1"]);
    assert_eq!(images("a@sha256:00"), ["a@sha256:00"]);
}

#[test]
fn its_status_does_not_change_what_it_needs() {
    let mut object = manifest("p", json!({}));
    let before = read(&object);
    merge(&mut object, json!({"metadata": {"resourceVersion": "9"}, "status": {"nominatedNodeName": "n"}}));
    assert!(before.needs_the_same(&read(&object)));
    merge(&mut object, json!({"spec": {"nodeSelector": {"a": "b"}}}));
    assert!(!before.needs_the_same(&read(&object)));
}

#[test]
fn only_running_containers_and_sidecars_hold_ports() {
    let port = |number| json!([{"containerPort": 1, "hostPort": number}]);
    let spec = json!({
        "containers": [{"name": "a", "ports": port(1)}],
        "initContainers": [{"name": "b", "ports": port(2)}, {"name": "c", "restartPolicy": "Always", "ports": port(3)}],
    });
    let ports: Vec<i32> = pod("p", spec).ports.iter().map(|p| p.port).collect();
    assert_eq!(ports, [3, 1]);
}
