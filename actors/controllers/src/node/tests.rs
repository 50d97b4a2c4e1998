//! Nodes that fall silent and come back, and which pods that moves.

use cox_objects::{Key, Resource};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Taint, Toleration};
use serde_json::{Value, json};

use super::eviction::{Stay, TaintEviction, stay};
use super::health::Health;
use super::ttl::Ttl;
use crate::testing::Cluster;

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"conditions": [
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "2020-01-01T00:00:00Z",
         "lastTransitionTime": "2020-01-01T00:00:00Z"}]}})
}

fn pod(name: &str, tolerations: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]},
        "spec": {"nodeName": "a", "tolerations": tolerations}})
}

fn taints(cluster: &Cluster, key: &Key) -> Vec<(String, String)> {
    let taints = cluster.value(key)["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let text = |taint: &Value, field: &str| taint[field].as_str().unwrap().to_owned();
    taints.iter().map(|taint| (text(taint, "key"), text(taint, "effect"))).collect()
}

#[test]
fn a_silent_node_becomes_unknown_and_a_lease_keeps_it_alive() {
    let (mut cluster, mut core) = (Cluster::new(), Health::default());
    let key = cluster.create(node("a"));
    let pod = cluster.create(pod("p", json!([])));
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a",
        "namespace": "kube-node-lease"}, "spec": {"renewTime": "2026-11-21T12:00:00.000000Z"}});
    let lease = cluster.create(lease);
    cluster.settle(&mut core);
    assert_eq!(taints(&cluster, &key), []);
    assert_eq!(cluster.notes[0].0, "RegisteredNode");

    cluster.now += SignedDuration::from_secs(30);
    cluster.merge(&lease, &json!({"spec": {"renewTime": "2026-11-21T12:00:30.000000Z"}}));
    assert_eq!(cluster.news(&mut core), std::slice::from_ref(&key));
    cluster.settle(&mut core);
    cluster.now += SignedDuration::from_secs(30);
    cluster.settle(&mut core);
    assert_eq!(taints(&cluster, &key), [], "it was silent for 30 s only");

    cluster.now += SignedDuration::from_secs(11);
    cluster.settle(&mut core);
    let ready = cluster.value(&key)["status"]["conditions"][0].clone();
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("Unknown"), &json!("NodeStatusUnknown")));
    assert_eq!(ready["message"], "Kubelet stopped posting node status.");
    let unreachable = |effect: &str| ("node.kubernetes.io/unreachable".to_owned(), effect.to_owned());
    assert_eq!(taints(&cluster, &key), [unreachable("NoSchedule"), unreachable("NoExecute")]);
    cluster.settle(&mut core);
    assert_eq!(cluster.value(&pod)["status"]["conditions"][0]["status"], "False");
    assert!(cluster.notes.iter().any(|(reason, _)| reason == "NodeNotReady"));

    let back = json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-21T12:02:00Z"}]);
    cluster.merge(&key, &json!({"status": {"conditions": back}}));
    cluster.settle(&mut core);
    assert_eq!(taints(&cluster, &key), []);
}

#[test]
fn conditions_become_taints_and_those_of_others_stay() {
    let (mut cluster, mut core) = (Cluster::new(), Health::default());
    let mut object = node("a");
    object["spec"] = json!({"unschedulable": true, "taints": [{"key": "mine", "effect": "NoExecute"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]});
    object["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "DiskPressure", "status": "True"}));
    let key = cluster.create(object);
    cluster.settle(&mut core);
    let named = |key: &str, effect: &str| (key.to_owned(), effect.to_owned());
    assert_eq!(
        taints(&cluster, &key),
        [
            named("mine", "NoExecute"),
            named("node.kubernetes.io/disk-pressure", "NoSchedule"),
            named("node.kubernetes.io/unschedulable", "NoSchedule"),
        ]
    );
}

#[test]
fn pods_leave_when_they_no_longer_tolerate_the_taint() {
    let (mut cluster, mut core) = (Cluster::new(), TaintEviction::default());
    let key = cluster.create(node("a"));
    let now = cluster.create(pod("now", json!([])));
    let later = cluster.create(pod("later", json!([{"key": "evict", "operator": "Exists", "tolerationSeconds": 2}])));
    let stays = cluster.create(pod("stays", json!([{"key": "evict", "operator": "Exists"}])));
    cluster.settle(&mut core);
    cluster.merge(&key, &json!({"spec": {"taints": [{"key": "evict", "value": "x", "effect": "NoExecute"}]}}));
    assert_eq!(cluster.news(&mut core).len(), 3);
    cluster.settle(&mut core);
    let deleted = |cluster: &Cluster, key: &Key| !cluster.value(key)["metadata"]["deletionTimestamp"].is_null();
    assert!(deleted(&cluster, &now) && !deleted(&cluster, &later) && !deleted(&cluster, &stays));
    let condition = cluster.value(&now)["status"]["conditions"][1].clone();
    assert_eq!(
        (&condition["type"], &condition["reason"]),
        (&json!("DisruptionTarget"), &json!("DeletionByTaintManager"))
    );
    assert_eq!(condition["observedGeneration"], 1);
    cluster.now += SignedDuration::from_secs(2);
    cluster.settle(&mut core);
    assert!(deleted(&cluster, &later) && !deleted(&cluster, &stays));
    assert_eq!(cluster.notes[0], ("TaintManagerEviction".into(), "Marking for deletion Pod n/now".into()));
}

#[test]
fn the_shortest_time_counts_and_any_taint_that_is_not_tolerated() {
    let taint = |key: &str| -> Taint {
        serde_json::from_value(json!({"key": key, "value": "v", "effect": "NoExecute"})).unwrap()
    };
    let toleration = |value: Value| -> Toleration { serde_json::from_value(value).unwrap() };
    let (a, b) = (taint("a"), taint("b"));
    let a10 = toleration(json!({"key": "a", "operator": "Equal", "value": "v", "tolerationSeconds": 10}));
    let b5 = toleration(json!({"key": "b", "operator": "Exists", "tolerationSeconds": 5}));
    let all = toleration(json!({"operator": "Exists"}));
    assert_eq!(stay(std::slice::from_ref(&a), &[]), Stay::For(SignedDuration::ZERO));
    assert_eq!(stay(&[a.clone(), b.clone()], std::slice::from_ref(&a10)), Stay::For(SignedDuration::ZERO));
    assert_eq!(stay(&[a.clone(), b.clone()], &[a10, b5]), Stay::For(SignedDuration::from_secs(5)));
    assert_eq!(stay(&[a, b], &[all]), Stay::Forever);
}

#[test]
fn nodes_of_a_small_cluster_need_not_keep_anything() {
    let (mut cluster, mut core) = (Cluster::new(), Ttl::default());
    let key = cluster.create(node("a"));
    cluster.settle(&mut core);
    assert_eq!(cluster.value(&key)["metadata"]["annotations"], json!({"node.alpha.kubernetes.io/ttl": "0"}));
    for n in 0..100 {
        cluster.create(node(&format!("n{n}")));
    }
    cluster.settle(&mut core);
    assert_eq!(cluster.value(&key)["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"], "15");
    assert_eq!(cluster.list_values(&Resource::NODES).len(), 101);
}
