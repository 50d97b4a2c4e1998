//! Sums stay what the pods on a node add up to.

use serde_json::json;

use crate::testing::*;

#[test]
fn another_version_of_a_pod_replaces_it_and_a_gone_one_leaves_nothing() {
    let mut snapshot = nodes([node("n1", json!({})), node("n2", json!({}))]);
    let before = snapshot.place("n1").unwrap().load.clone();
    put(&mut snapshot, "n1", pod("a", asks("1", "1Gi")));
    put(&mut snapshot, "n1", pod("a", asks("2", "1Gi")));
    assert_eq!(snapshot.place("n1").unwrap().load.used.milli_cpu, 2000);
    put(&mut snapshot, "n2", pod("a", asks("2", "1Gi")));
    assert_eq!(snapshot.place("n1").unwrap().load, before);
    assert!(snapshot.take(&key("a")).is_some());
    assert_eq!(snapshot.place("n2").unwrap().load, before);
    assert!(snapshot.take(&key("a")).is_none());
}

#[test]
fn pods_of_an_unknown_node_count_once_it_is_known() {
    let mut snapshot = nodes([]);
    put(&mut snapshot, "n1", pod("a", asks("1", "1Gi")));
    assert!(snapshot.is_empty());
    snapshot.set_node(node("n1", json!({})));
    assert_eq!(snapshot.place("n1").unwrap().load.used.milli_cpu, 1000);
}
