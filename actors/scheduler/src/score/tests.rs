//! Which of two nodes is better, by each scorer.

use serde_json::{Value, json};

use super::*;
use crate::node::Node;
use crate::testing::*;

fn totals(snapshot: &Snapshot, pod: &Pod, scorer: Scorer) -> Vec<i64> {
    let places: Vec<&Place> = snapshot.places().collect();
    let part = |scores: Scores| scores.parts().find(|(s, _)| *s == scorer).unwrap().1;
    scores(snapshot, pod, &places).into_iter().map(part).collect()
}

fn with_labels(name: &str, labels: Value) -> Node {
    node(name, json!({"metadata": {"labels": labels}}))
}

#[test]
fn the_emptier_and_the_more_balanced_node() {
    let mut snapshot = nodes([node("n1", json!({})), node("n2", json!({}))]);
    put(&mut snapshot, "n1", pod("fill", asks("3", "4Gi")));
    let asking = pod("p", asks("1", "2Gi"));
    assert_eq!(totals(&snapshot, &asking, Scorer::NodeResourcesFit), [12, 75]);
    assert_eq!(totals(&snapshot, &asking, Scorer::NodeResourcesBalancedAllocation), [87, 100]);
    assert_eq!(totals(&snapshot, &pod("idle", json!({})), Scorer::NodeResourcesBalancedAllocation), [0, 0]);
}

#[test]
fn preferred_labels_and_taints_that_should_keep_away() {
    let taint = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
    let snapshot =
        nodes([with_labels("n1", json!({"z": "a"})), with_labels("n2", json!({"z": "b"})), node("n3", taint)]);
    let prefer = |value: &str, weight: i32| json!({"weight": weight, "preference": {"matchExpressions": [{"key": "z", "operator": "In", "values": [value]}]}});
    let terms = json!([prefer("a", 10), prefer("b", 90)]);
    let spec = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}});
    assert_eq!(totals(&snapshot, &pod("p", spec.clone()), Scorer::NodeAffinity), [22, 200, 0]);
    assert_eq!(totals(&snapshot, &pod("p", spec), Scorer::TaintToleration), [300, 300, 0]);
}

#[test]
fn company_that_is_wanted_or_not() {
    let terms = |kind: &str| {
        json!({"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm":
            {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}}]}}})
    };
    let mut snapshot = nodes([node("n1", json!({})), node("n2", json!({}))]);
    put(&mut snapshot, "n1", labelled("x", json!({"app": "x"}), json!({})));
    assert_eq!(totals(&snapshot, &pod("p", terms("podAffinity")), Scorer::InterPodAffinity), [200, 0]);
    assert_eq!(totals(&snapshot, &pod("p", terms("podAntiAffinity")), Scorer::InterPodAffinity), [0, 200]);
    // What those there prefer counts as well.
    put(&mut snapshot, "n2", pod("shy", terms("podAntiAffinity")));
    let new = labelled("new", json!({"app": "x"}), json!({}));
    assert_eq!(totals(&snapshot, &new, Scorer::InterPodAffinity), [200, 0]);
}

#[test]
fn the_place_with_fewer_matching_pods() {
    let spec = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "x"}}}]});
    let member = |name| labelled(name, json!({"app": "x"}), spec.clone());
    let zone = |name: &str, zone: &str| with_labels(name, json!({"zone": zone}));
    let mut snapshot = nodes([zone("n1", "a"), zone("n2", "b"), node("n3", json!({}))]);
    put(&mut snapshot, "n1", member("p0"));
    put(&mut snapshot, "n1", member("p1"));
    assert_eq!(totals(&snapshot, &member("p2"), Scorer::PodTopologySpread), [0, 200, 0]);
}

#[test]
fn the_node_that_has_the_image() {
    let images = json!({"status": {"images": [{"names": ["nginx:latest"], "sizeBytes": 1000 << 20}]}});
    let snapshot = nodes([node("n1", images), node("n2", json!({}))]);
    // Half of the nodes have it, so it counts with half its size.
    assert_eq!(totals(&snapshot, &pod("p", json!({})), Scorer::ImageLocality), [48, 0]);
}
