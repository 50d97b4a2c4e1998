//! Pods through the whole core: who is tried when, what is assumed, and what happens if it does not come true.

use serde_json::json;

use super::*;
use crate::testing::*;

fn timer() -> Reason {
    Reason::timer("test")
}

#[test]
fn a_placement_counts_before_the_mirror_shows_it_and_no_longer_when_it_failed() {
    let mut world = World::new([node("n1", json!({"status": {"allocatable": {"cpu": "1"}}}))]);
    let planner = &mut world.planner;
    let fact = |name| Fact::Pod(Box::new(pod(name, asks("800m", "0"))));
    planner.take_in(fact("a"), &timer(), Duration::ZERO);
    planner.take_in(fact("b"), &timer(), Duration::ZERO);
    let Some(Attempt { step: Step::Bind { pod: first, .. }, .. }) = planner.next(Duration::ZERO, 0) else { panic!() };
    let Some(Attempt { step: Step::Tell { message, .. }, .. }) = planner.next(Duration::ZERO, 0) else { panic!() };
    assert!(message.contains("1 Insufficient cpu"), "{message}");
    assert!(planner.next(Duration::ZERO, 0).is_none());

    planner.settle_binding(&first, false, &timer(), Duration::ZERO);
    assert_eq!(planner.snapshot().place("n1").unwrap().load.pods.len(), 0);
    let next = planner.next(Duration::from_secs(1), 0).unwrap();
    assert!(matches!(next.step, Step::Bind { .. }));
}

#[test]
fn a_pod_that_led_to_panics_is_left_alone_until_anything_of_it_changes() {
    let mut world = World::new([node("n1", json!({}))]);
    let planner = &mut world.planner;
    let mut bad = manifest("bad", json!({}));
    planner.take_in(Fact::Pod(Box::new(read(&bad))), &timer(), Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut panics = |planner: &mut Planner| {
        now = planner.queue().next_due().unwrap_or(now);
        let turn = planner.take(now).unwrap();
        planner.panicked(&turn, now)
    };
    assert_eq!([(); 3].map(|()| panics(planner)), [false, false, true]);
    assert!(planner.queue().left_alone().contains(&key("bad")));

    // Neither time nor what changes for others brings it back.
    let hour = now + Duration::from_secs(3600);
    planner.take_in(Fact::Node(Box::new(node("n2", json!({})))), &timer(), hour);
    planner.take_in(Fact::Pod(Box::new(pod("good", json!({})))), &timer(), hour);
    let next = planner.next(hour, 0).unwrap();
    assert_eq!(next.decision.pod, key("good"));
    assert!(planner.next(hour, 0).is_none());

    merge(&mut bad, json!({"metadata": {"annotations": {"changed": "yes"}}}));
    planner.take_in(Fact::Pod(Box::new(read(&bad))), &timer(), hour);
    assert!(planner.queue().left_alone().is_empty());
    assert!(matches!(planner.next(hour, 0).unwrap().step, Step::Bind { .. }));
}

#[test]
fn a_pod_that_is_left_alone_is_forgotten_with_its_object() {
    let mut world = World::new([node("n1", json!({}))]);
    let planner = &mut world.planner;
    planner.take_in(Fact::Pod(Box::new(pod("bad", json!({})))), &timer(), Duration::ZERO);
    for seconds in [0, 10, 20] {
        let turn = planner.take(Duration::from_secs(seconds)).unwrap();
        planner.panicked(&turn, Duration::from_secs(seconds));
    }
    assert_eq!(planner.queue().waiting().unschedulable, 1);
    planner.take_in(Fact::PodGone(key("bad")), &timer(), Duration::from_secs(30));
    assert!(planner.queue().left_alone().is_empty() && planner.queue().is_empty());
}

#[test]
fn pods_of_others_gated_ones_and_those_being_deleted_are_left_alone() {
    let mut world = World::new([node("n1", json!({}))]);
    world.pod(manifest("a", json!({"schedulerName": "nobody"})));
    world.pod(manifest("b", json!({"schedulingGates": [{"name": "g"}]})));
    let mut going = manifest("c", json!({}));
    merge(&mut going, json!({"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}}));
    world.pod(going);
    assert_eq!([world.at("a"), world.at("b"), world.at("c")], [None, None, None]);
    assert!(world.told.is_empty());
    world.patch("b", json!({"spec": {"schedulingGates": null}}));
    assert_eq!(world.at("b"), Some("n1"));
}

#[test]
fn pods_of_other_schedulers_use_their_nodes_too() {
    let mut world = World::new([node("n1", json!({}))]);
    let mut spec = asks("3", "0");
    merge(&mut spec, json!({"schedulerName": "nobody", "nodeName": "n1"}));
    world.pod(manifest("a", spec));
    world.pod(manifest("b", asks("2", "0")));
    assert_eq!(world.at("b"), None);
    world.patch("a", json!({"status": {"phase": "Succeeded"}}));
    world.pass(1);
    assert_eq!(world.at("b"), Some("n1"));
}

#[test]
fn what_changes_on_a_node_brings_rejected_pods_back() {
    let mut world = World::new([node("n1", json!({"spec": {"unschedulable": true}}))]);
    world.pod(manifest("a", json!({})));
    assert_eq!(world.at("a"), None);
    world.node(node("n1", json!({})));
    world.pass(1);
    assert_eq!(world.at("a"), Some("n1"));
}

#[test]
fn a_pod_waits_for_the_first_node() {
    let mut world = World::new([]);
    world.pod(manifest("a", json!({})));
    world.node(node("n1", json!({})));
    world.pass(1);
    assert_eq!(world.at("a"), Some("n1"));
}

#[test]
fn a_namesake_is_another_pod() {
    let mut world = World::new([node("n1", json!({}))]);
    let planner = &mut world.planner;
    planner.take_in(Fact::Pod(Box::new(pod("a", json!({})))), &timer(), Duration::ZERO);
    let Some(Attempt { step: Step::Bind { pod: first, .. }, .. }) = planner.next(Duration::ZERO, 0) else { panic!() };
    let mut namesake = manifest("a", json!({}));
    merge(&mut namesake, json!({"metadata": {"uid": "another"}}));
    planner.take_in(Fact::PodGone(first.key.clone()), &timer(), Duration::ZERO);
    planner.take_in(Fact::Pod(Box::new(read(&namesake))), &timer(), Duration::ZERO);
    planner.settle_binding(&first, false, &timer(), Duration::ZERO);
    let Some(Attempt { step: Step::Bind { pod: second, .. }, .. }) = planner.next(Duration::ZERO, 0) else { panic!() };
    assert_eq!(second.uid, "another");
}

#[test]
fn a_node_that_comes_back_still_has_its_pods() {
    let mut world = World::new([node("n1", json!({}))]);
    world.pod(manifest("a", asks("3", "0")));
    world.fact(Fact::NodeGone("n1".to_owned()));
    world.node(node("n1", json!({})));
    world.pod(manifest("b", asks("3", "0")));
    assert_eq!(world.at("b"), None);
}
