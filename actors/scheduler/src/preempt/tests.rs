//! Who has to go, from where, and what follows.

use serde_json::{Value, json};

use crate::testing::*;

fn spec(cpu: &str, priority: i32) -> Value {
    let mut spec = asks(cpu, "0");
    merge(&mut spec, json!({"priority": priority}));
    spec
}

fn on(node: &str, mut spec: Value) -> Value {
    merge(&mut spec, json!({"nodeSelector": {"kubernetes.io/hostname": node}}));
    spec
}

fn small(name: &str) -> crate::node::Node {
    node(name, json!({"status": {"allocatable": {"cpu": "1"}}}))
}

#[test]
fn a_lower_pod_goes_and_the_other_is_nominated_then_bound() {
    let mut world = World::new([small("n1")]);
    world.pod(manifest("low", spec("800m", 1)));
    world.pod(manifest("high", spec("800m", 100)));
    assert!(world.is_going("low"));
    assert_eq!((world.at("high"), world.nominated("high")), (None, Some("n1")));
    // A third one of lower priority must not take the room, nor does the second push out more while it waits.
    world.pod(manifest("middle", spec("800m", 50)));
    world.delete("low");
    assert_eq!(world.at("middle"), None);
    world.pass(1);
    assert_eq!(world.at("high"), Some("n1"));
    assert_eq!(world.at("middle"), None);
}

#[test]
fn while_victims_are_going_nobody_else_has_to() {
    let mut world = World::new([small("n1"), small("n2")]);
    world.pod(manifest("a", on("n1", spec("800m", 0))));
    world.pod(manifest("b", on("n2", spec("800m", 1))));
    world.pod(manifest("high", spec("800m", 100)));
    assert!(world.is_going("a"));
    world.patch("high", json!({"metadata": {"labels": {"again": "1"}}}));
    world.pass(1);
    assert!(!world.is_going("b"));
    assert_eq!(
        world.told["high"],
        "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to a \
         terminating pod on the nominated node.",
    );
}

#[test]
fn the_node_whose_victims_matter_least_is_chosen() {
    let mut world = World::new([small("n1"), small("n2")]);
    world.pod(manifest("v1", on("n1", spec("800m", 1))));
    world.pod(manifest("v2", on("n2", spec("800m", 0))));
    world.pod(manifest("high", spec("800m", 100)));
    assert_eq!(world.nominated("high"), Some("n2"));
    assert!(world.is_going("v2") && !world.is_going("v1"));
}

#[test]
fn only_as_many_go_as_have_to_and_the_more_important_stay() {
    let mut world = World::new([small("n1")]);
    world.pod(manifest("a", spec("300m", 3)));
    world.pod(manifest("b", spec("300m", 2)));
    world.pod(manifest("c", spec("300m", 1)));
    world.pod(manifest("high", spec("400m", 100)));
    assert_eq!((world.is_going("a"), world.is_going("b"), world.is_going("c")), (false, false, true));
}

#[test]
fn those_that_must_not_be_together_make_way_too() {
    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {}, "topologyKey": "kubernetes.io/hostname"}]}}});
    let mut world = World::new([small("n1")]);
    world.pod(manifest("low", spec("100m", 0)));
    let mut high = spec("100m", 100);
    merge(&mut high, apart);
    world.pod(manifest("high", high));
    assert!(world.is_going("low"));
    world.delete("low");
    world.pass(1);
    assert_eq!(world.at("high"), Some("n1"));
}
