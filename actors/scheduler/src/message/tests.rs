//! The messages that a real cluster gave for the same situations.

use serde_json::json;

use crate::testing::*;

fn cpu(amount: &str) -> serde_json::Value {
    json!({"containers": [{"name": "c", "image": "nginx", "resources": {"requests": {"cpu": amount}}}]})
}

fn with(mut spec: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    merge(&mut spec, more);
    spec
}

#[test]
fn without_nodes_none_is_available() {
    let mut world = World::new([]);
    world.pod(manifest("a", json!({})));
    assert_eq!(world.told["a"], "no nodes available to schedule pods");
}

#[test]
fn reasons_of_several_nodes_are_counted_and_sorted() {
    let mine = json!({"metadata": {"labels": {"oracle": "x"}}});
    let mut small = mine.clone();
    merge(&mut small, json!({"status": {"allocatable": {"cpu": "1"}}}));
    let mut tainted = mine;
    merge(&mut tainted, json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}));
    let mut world = World::new([node("n1", small), node("n2", tainted), node("n3", json!({}))]);
    world.pod(manifest("a", with(cpu("2"), json!({"nodeSelector": {"oracle": "x"}}))));
    assert_eq!(
        world.told["a"],
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/3 nodes are available: \
         3 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn what_pods_hold_is_told_apart_from_what_the_node_lacks() {
    let mut world = World::new([node("n1", json!({"status": {"allocatable": {"pods": "1"}}}))]);
    world.pod(manifest("a", json!({})));
    world.pod(manifest("b", json!({})));
    assert_eq!(
        world.told["b"],
        "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: 0/1 nodes are available: \
         1 No preemption victims found for incoming pod.",
    );
    world.pod(manifest("c", cpu("5")));
    assert_eq!(
        world.told["c"],
        "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods. no new claims to deallocate, preemption: \
         0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn taken_ports_cordons_and_anti_affinity() {
    let ports = |more| {
        let mut port = json!({"containerPort": 80, "hostPort": 8080});
        merge(&mut port, more);
        json!({"containers": [{"name": "c", "image": "nginx", "ports": [port]}]})
    };
    let mut world = World::new([node("n1", json!({}))]);
    world.pod(manifest("a", ports(json!({}))));
    world.pod(manifest("b", ports(json!({"hostIP": "10.0.0.1"}))));
    world.pod(manifest("c", ports(json!({"protocol": "UDP"}))));
    assert_eq!((world.at("a"), world.at("c")), (Some("n1"), Some("n1")));
    assert_eq!(
        world.told["b"],
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. no new claims to \
         deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    );

    let mut world = World::new([node("n1", json!({"spec": {"unschedulable": true}}))]);
    world.pod(manifest("a", json!({})));
    assert_eq!(
        world.told["a"],
        "0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption: \
         0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );

    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}]}}});
    let of_app = |name, spec| {
        let mut pod = manifest(name, spec);
        merge(&mut pod, json!({"metadata": {"labels": {"app": "x"}}}));
        pod
    };
    let mut world = World::new([node("n1", json!({})), node("n2", json!({}))]);
    world.pod(of_app("a", apart.clone()));
    world.pod(of_app("b", apart.clone()));
    world.pod(of_app("c", apart));
    world.pod(of_app("d", json!({})));
    assert_ne!(world.at("a"), world.at("b"));
    let end = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.";
    let told = |reason: &str| format!("0/2 nodes are available: 2 node(s) didn't {reason} rules. {end}");
    assert_eq!(world.told["c"], told("match pod anti-affinity"));
    assert_eq!(world.told["d"], told("satisfy existing pods anti-affinity"));
}

#[test]
fn refused_preemption_says_why() {
    let mut world = World::new([node("n1", json!({"status": {"allocatable": {"cpu": "1"}}}))]);
    world.pod(manifest("a", with(cpu("800m"), json!({"priority": 1}))));
    world.pod(manifest("b", with(cpu("800m"), json!({"priority": 1}))));
    world.pod(manifest("c", with(cpu("800m"), json!({"priority": 100, "preemptionPolicy": "Never"}))));
    assert_eq!(
        world.told["b"],
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
         available: 1 No preemption victims found for incoming pod.",
    );
    assert_eq!(
        world.told["c"],
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to \
         preemptionPolicy=Never.",
    );
    world.pod(manifest("d", with(cpu("800m"), json!({"priority": 100}))));
    assert_eq!(world.told["d"], "0/1 nodes are available: 1 Insufficient cpu.");
}

#[test]
fn unknown_names_and_impossible_terms() {
    let only = |names: serde_json::Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": names}]}}}})
    };
    let named = |name: &str| json!({"key": "metadata.name", "operator": "In", "values": [name]});
    let mut world = World::new([node("n1", json!({})), node("n2", json!({}))]);
    world.pod(manifest("a", only(json!([named("nope")]))));
    assert!(
        world.told["a"].starts_with("0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. ")
    );
    world.pod(manifest("b", only(json!([named("n1"), named("n2")]))));
    assert_eq!(world.told["b"], "0/2 nodes are available: pod affinity terms conflict. not found");
    world.pod(manifest("c", only(json!([named("n2")]))));
    assert_eq!(world.at("c"), Some("n2"));
}
