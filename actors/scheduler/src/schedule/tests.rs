//! Decisions over any cluster: the judge agrees with each, and more nodes never leave a pod without one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::check;
use crate::node::Node;
use crate::testing::*;

fn any_node(index: usize) -> impl Strategy<Value = Node> {
    let zone = prop_oneof![Just(Value::Null), Just(json!("a")), Just(json!("b"))];
    (zone, 0..4i64, any::<bool>(), prop::bool::weighted(0.2), 0..4i64).prop_map(
        move |(zone, cpu, taint, cordon, pods)| {
            let taints = if taint { json!([{"key": "k", "effect": "NoSchedule"}]) } else { json!([]) };
            let more = json!({
                "metadata": {"labels": {"zone": zone}}, "spec": {"taints": taints, "unschedulable": cordon},
                "status": {"allocatable": {"cpu": cpu.to_string(), "pods": pods.to_string()}},
            });
            node(&format!("n{index}"), more)
        },
    )
}

fn any_pod(index: usize) -> impl Strategy<Value = Pod> {
    let kind = prop_oneof![Just("none"), Just("podAffinity"), Just("podAntiAffinity"), Just("spread"), Just("port")];
    (0..1500i64, any::<bool>(), kind, prop::bool::ANY, 0..3i32).prop_map(
        move |(cpu, tolerates, kind, app, priority)| {
            let selector = json!({"matchLabels": {"app": "x"}});
            let mut spec = asks(&format!("{cpu}m"), "0");
            merge(&mut spec, json!({"priority": priority}));
            if tolerates {
                merge(&mut spec, json!({"tolerations": [{"operator": "Exists"}]}));
            }
            let more = match kind {
                "none" => json!({}),
                "port" => json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]}),
                "spread" => json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]}),
                kind => json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": selector, "topologyKey": "zone"}]}}}),
            };
            merge(&mut spec, more);
            labelled(&format!("p{index}"), json!({"app": if app { "x" } else { "y" }}), spec)
        },
    )
}

fn cluster() -> impl Strategy<Value = (Vec<Node>, Vec<Pod>)> {
    let nodes = (0..5usize).prop_flat_map(|n| (0..n).map(any_node).collect::<Vec<_>>());
    let pods = (1..12usize).prop_flat_map(|n| (0..n).map(any_pod).collect::<Vec<_>>());
    (nodes, pods)
}

proptest! {
    #[test]
    fn the_judge_agrees_about_every_node((list, pods) in cluster(), tie_break in any::<u64>()) {
        let mut snapshot = nodes(list);
        for pod in pods {
            let decision = schedule(&snapshot, &pod, tie_break);
            for (name, verdict) in &decision.nodes {
                let judged = check::check(&snapshot, &pod, name);
                prop_assert_eq!(matches!(verdict, Verdict::Fits(_)), judged.is_ok(), "{} on {}: {:?} {:?}", pod.key, name, verdict, judged);
            }
            if let Some(node) = decision.node() {
                put(&mut snapshot, node, pod);
            }
        }
    }

    #[test]
    fn another_node_never_leaves_a_pod_without_one((list, pods) in cluster(), more in any_node(9)) {
        let mut snapshot = nodes(list);
        for pod in pods {
            let decision = schedule(&snapshot, &pod, 0);
            let mut larger = snapshot.clone();
            larger.set_node(more.clone());
            // An empty new place may make the others uneven: that is what spreading asks for.
            if decision.node().is_some() && pod.spread.is_empty() {
                prop_assert!(schedule(&larger, &pod, 0).node().is_some());
            }
            if let Some(node) = decision.node() {
                put(&mut snapshot, node, pod);
            }
        }
    }

    #[test]
    fn who_goes_makes_enough_room((list, pods) in cluster()) {
        let mut snapshot = nodes(list);
        for pod in pods {
            let decision = schedule(&snapshot, &pod, 0);
            match &decision.outcome {
                Outcome::Nowhere(Preemption::Victims { node, pods: victims }) => {
                    let mut then = snapshot.clone();
                    for victim in victims {
                        prop_assert!(victim.priority < pod.priority);
                        then.take(&victim.key);
                    }
                    prop_assert_eq!(check::check(&then, &pod, node), Ok(()));
                }
                _ => if let Some(node) = decision.node() {
                    put(&mut snapshot, node, pod);
                },
            }
        }
    }
}

#[test]
fn ties_are_broken_by_the_number_that_is_passed_in() {
    let snapshot = nodes(["n1", "n2", "n3"].map(|name| node(name, json!({}))));
    let chosen = |tie_break| schedule(&snapshot, &pod("p", json!({})), tie_break).node().unwrap().to_string();
    assert_eq!([chosen(0), chosen(1), chosen(2), chosen(3)], ["n1", "n2", "n3", "n1"]);
}
