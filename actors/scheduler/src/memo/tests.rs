//! What is kept never leads to another node than looking at all of them would.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::node::Node;
use crate::testing::*;

#[derive(Clone, Debug)]
enum Move {
    /// A pod of a kind arrives and goes where it is sent to.
    Arrive(usize),
    /// The how-manieth pod leaves.
    Leave(usize),
    /// A node comes or changes.
    Node(usize, usize),
    /// A node goes.
    Gone(usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (0..KINDS_OF_PODS).prop_map(Move::Arrive),
        2 => (0..8usize).prop_map(Move::Leave),
        2 => (0..5usize, 0..5usize).prop_map(|(index, form)| Move::Node(index, form)),
        1 => (0..5usize).prop_map(Move::Gone),
    ]
}

fn a_node(index: usize, form: usize) -> Node {
    let taint = |effect: &str| json!({"spec": {"taints": [{"key": "k", "effect": effect}]}});
    let more = match form {
        0 => json!({}),
        1 => taint("NoSchedule"),
        2 => taint("PreferNoSchedule"),
        3 => json!({"metadata": {"labels": {"z": "a"}}, "status": {"allocatable": {"cpu": "2", "pods": "3"}}}),
        _ => {
            json!({"spec": {"unschedulable": true}, "status": {"images": [{"names": ["nginx:latest"], "sizeBytes": 900_000_000}]}})
        }
    };
    node(&format!("n{index}"), more)
}

const KINDS_OF_PODS: usize = 7;

fn a_pod(name: &str, kind: usize) -> Pod {
    let selector = json!({"matchLabels": {"app": "x"}});
    let term = json!({"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"});
    let mut spec = asks(&format!("{}m", 300 * (kind % 3)), "1Gi");
    let more = match kind {
        2 => json!({"tolerations": [{"operator": "Exists"}]}),
        3 => json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 7, "preference": {"matchExpressions": [{"key": "z", "operator": "Exists"}]}}]}}}),
        4 => json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]}),
        5 => json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
        6 => json!({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 9, "podAffinityTerm": term}]}}}),
        _ => json!({}),
    };
    merge(&mut spec, more);
    let labels: Value = if kind.is_multiple_of(2) { json!({"app": "x"}) } else { json!({}) };
    labelled(name, labels, spec)
}

proptest! {
    #[test]
    fn the_node_is_the_one_that_looking_at_all_would_choose(
        moves in prop::collection::vec((any_move(), any::<u64>()), 1..60)
    ) {
        let mut memo = Memo { few: 0, ..Memo::default() };
        let mut snapshot = nodes((0..3).map(|index| a_node(index, 0)));
        let mut placed = Vec::new();
        for (number, (then, tie_break)) in moves.into_iter().enumerate() {
            match then {
                Move::Arrive(kind) => {
                    let pod = Arc::new(a_pod(&format!("p{number}"), kind));
                    let found = memo.schedule(&snapshot, &pod, tie_break);
                    let (looked, scored) = (schedule(&snapshot, &pod, tie_break), found.node());
                    prop_assert_eq!(scored, looked.node());
                    prop_assert_eq!(found.considered, looked.considered);
                    for verdict in &found.nodes {
                        prop_assert!(looked.nodes.contains(verdict), "{:?} in {:?}", verdict, looked.nodes);
                    }
                    if let Some(node) = found.node() {
                        snapshot.put(pod.clone(), node);
                        placed.push(pod.key.clone());
                    }
                }
                Move::Leave(at) if at < placed.len() => drop(snapshot.take(&placed.swap_remove(at))),
                Move::Leave(_) => {}
                Move::Node(index, form) => snapshot.set_node(a_node(index, form)),
                Move::Gone(index) => snapshot.remove_node(&format!("n{index}")),
            }
        }
    }
}

#[test]
fn a_burst_of_changes_that_is_not_remembered_is_seen_all_the_same() {
    let mut memo = Memo { few: 0, ..Memo::default() };
    let mut snapshot = nodes([node("n1", json!({})), node("n2", json!({}))]);
    let asking = Arc::new(pod("p", asks("3", "1Gi")));
    let before = memo.schedule(&snapshot, &asking, 0);
    assert_eq!(before.node().map(|node| &**node), Some("n1"));
    put(&mut snapshot, "n1", pod("large", asks("2", "1Gi")));
    for turn in 0..10_000 {
        put(&mut snapshot, "n2", pod("small", asks(&format!("{}m", turn % 7), "0")));
    }
    assert_eq!(memo.schedule(&snapshot, &asking, 0).node().map(|node| &**node), Some("n2"));
}
