//! Each filter by what a user would see: which nodes take a pod.

use serde_json::{Value, json};

use super::*;
use crate::testing::*;

fn takes(snapshot: &Snapshot, pod: &Pod) -> Vec<String> {
    let context = Context::new(snapshot, pod).unwrap();
    let taken = snapshot.places().filter(|place| context.check(place).is_ok());
    taken.map(|place| place.node.name.to_string()).collect()
}

fn with_labels(name: &str, labels: Value) -> Node {
    node(name, json!({"metadata": {"labels": labels}}))
}

fn affinity(terms: Value) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

#[test]
fn every_operator_of_node_affinity() {
    let snapshot =
        nodes([with_labels("n1", json!({"z": "a", "num": "5"})), with_labels("n2", json!({"num": "9", "only": "y"}))]);
    let matches = |key: &str, operator: &str, values: Value| {
        let term = json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]);
        takes(&snapshot, &pod("p", affinity(term)))
    };
    assert_eq!(matches("z", "In", json!(["a", "b"])), ["n1"]);
    assert_eq!(matches("z", "NotIn", json!(["a"])), ["n2"]);
    assert_eq!(matches("only", "Exists", json!([])), ["n2"]);
    assert_eq!(matches("only", "DoesNotExist", json!([])), ["n1"]);
    assert_eq!(matches("num", "Gt", json!(["6"])), ["n2"]);
    assert_eq!(matches("num", "Lt", json!(["6"])), ["n1"]);
    assert!(takes(&snapshot, &pod("p", affinity(json!([{}])))).is_empty());
}

#[test]
fn terms_are_alternatives_and_expressions_are_all_needed() {
    let snapshot = nodes([with_labels("n1", json!({"z": "a"})), with_labels("n2", json!({"z": "b", "y": "1"}))]);
    let terms = json!([
        {"matchExpressions": [{"key": "z", "operator": "In", "values": ["a"]}, {"key": "y", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "z", "operator": "In", "values": ["b"]}]},
    ]);
    assert_eq!(takes(&snapshot, &pod("p", affinity(terms))), ["n2"]);
}

#[test]
fn the_first_of_a_group_may_go_anywhere_and_the_others_follow_it() {
    let together = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "zone"}]}}});
    let zone = |name: &str, zone: &str| with_labels(name, json!({"zone": zone}));
    let mut snapshot = nodes([zone("n1", "a"), zone("n2", "b"), zone("n3", "b"), node("n4", json!({}))]);
    let member = |name| labelled(name, json!({"app": "x"}), together.clone());
    assert_eq!(takes(&snapshot, &member("first")), ["n1", "n2", "n3"]);
    assert!(takes(&snapshot, &pod("stranger", together.clone())).is_empty());
    put(&mut snapshot, "n2", member("first"));
    assert_eq!(takes(&snapshot, &member("second")), ["n2", "n3"]);
    assert_eq!(takes(&snapshot, &pod("stranger", together.clone())), ["n2", "n3"]);
}

#[test]
fn terms_reach_other_namespaces_by_name_and_by_label() {
    let apart = |more: Value| {
        let mut term = json!({"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"});
        merge(&mut term, more);
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
    };
    let mut snapshot = nodes([node("n1", json!({}))]);
    let mut other = manifest("other", json!({}));
    merge(&mut other, json!({"metadata": {"namespace": "elsewhere"}}));
    put(&mut snapshot, "n1", read(&other));
    assert_eq!(takes(&snapshot, &pod("p", apart(json!({})))).len(), 1);
    assert!(takes(&snapshot, &pod("p", apart(json!({"namespaces": ["elsewhere"]})))).is_empty());
    let by_label = apart(json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}));
    assert_eq!(takes(&snapshot, &pod("p", by_label.clone())).len(), 1);
    snapshot.set_namespace("elsewhere", [("team".to_owned(), "a".to_owned())].into());
    assert!(takes(&snapshot, &pod("p", by_label)).is_empty());
}

#[test]
fn spreading_counts_places_and_missing_ones_as_empty() {
    let spread = |more: Value| {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                                    "labelSelector": {"matchLabels": {"app": "x"}}});
        merge(&mut constraint, more);
        json!({"topologySpreadConstraints": [constraint]})
    };
    let member = |name, more| labelled(name, json!({"app": "x", "rev": name}), spread(more));
    let mut snapshot = nodes([with_labels("n1", json!({"zone": "a"})), node("bare", json!({}))]);
    assert_eq!(takes(&snapshot, &member("p0", json!({}))), ["n1"]);
    put(&mut snapshot, "n1", member("p0", json!({})));
    assert_eq!(takes(&snapshot, &member("p1", json!({}))), ["n1"]);
    assert!(takes(&snapshot, &member("p1", json!({"minDomains": 2}))).is_empty());
    snapshot.set_node(with_labels("n2", json!({"zone": "b"})));
    assert_eq!(takes(&snapshot, &member("p1", json!({}))), ["n2"]);
    // Other revisions do not count, so nothing is uneven yet.
    assert_eq!(takes(&snapshot, &member("p1", json!({"matchLabelKeys": ["rev"]}))), ["n1", "n2"]);
}

#[test]
fn extended_resources_are_counted_by_name() {
    let gpus = |n: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"x.io/gpu": n}}}]});
    let mut snapshot =
        nodes([node("n1", json!({"status": {"allocatable": {"x.io/gpu": "2"}}})), node("n2", json!({}))]);
    assert_eq!(takes(&snapshot, &pod("p", gpus("2"))), ["n1"]);
    put(&mut snapshot, "n1", pod("other", gpus("1")));
    let asking = pod("p", gpus("2"));
    let context = Context::new(&snapshot, &asking).unwrap();
    let rejected = snapshot.places().map(|place| context.check(place).unwrap_err());
    let told: Vec<(String, bool)> = rejected.map(|r| (r.reasons[0].to_string(), r.resolvable)).collect();
    let reason = || "Insufficient x.io/gpu".to_owned();
    assert_eq!(told, [(reason(), true), (reason(), false)]);
}
