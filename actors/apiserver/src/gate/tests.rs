//! Which requests are vital, and that they wait for no others.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cox_bus::{Verb, WriteOptions};
use cox_objects::RequestId;

use super::*;

fn request(group: &str, resource: &str, namespace: &str) -> ApiRequest {
    let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    ApiRequest {
        id: RequestId::default(),
        deadline: u64::MAX,
        user: None,
        verb: Verb::Patch,
        group: group.to_owned(),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: "x".to_owned(),
        options: WriteOptions::default(),
        patch_type: None,
        body: Default::default(),
        observed: None,
        trigger: None,
        folded: Vec::new(),
        correlation: None,
        traceparent: None,
        guard: None,
    }
}

fn bulk() -> ApiRequest {
    request("", "pods/binding", "default")
}

fn lease(namespace: &str) -> ApiRequest {
    request("coordination.k8s.io", "leases", namespace)
}

/// What a future that nobody wakes comes to.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn leases_of_leaders_and_signs_of_life_of_nodes_are_vital() {
    let node = Identity::Node("n1".to_owned());
    let nodes = [lease("kube-node-lease"), request("", "nodes/status", ""), request("", "nodes", "")];
    assert!(nodes.iter().all(|request| is_vital(&node, request)));
    for leader in [Identity::Scheduler, Identity::Controllers] {
        assert!(is_vital(&leader, &lease("kube-system")), "{leader}");
        assert!(!is_vital(&leader, &bulk()), "{leader}");
    }
    assert!(!is_vital(&node, &request("", "pods/status", "default")));
    assert!(!is_vital(&Identity::Controllers, &lease("default")));
}

#[test]
fn who_comes_through_a_gateway_counts_as_who_it_is() {
    let by = |name: &str, group: &str| {
        let user = User { name: name.to_owned(), groups: vec![group.to_owned()], ..User::default() };
        move |request: ApiRequest| is_vital(&Identity::Gateway, &ApiRequest { user: Some(user.clone()), ..request })
    };
    assert!(by("system:node:n1", "system:nodes")(lease("kube-node-lease")));
    assert!(by("system:kube-scheduler", "system:authenticated")(lease("kube-system")));
    assert!(!by("jane", "system:authenticated")(lease("kube-system")));
    assert!(!by("admin", "system:masters")(request("", "nodes/status", "")));
}

#[test]
fn a_lease_waits_for_no_bulk_of_writes() {
    let gate = Gate::new(8);
    let enter = |request: ApiRequest| gate.enter(&Identity::Scheduler, &request);
    let places: Vec<Place> = (0..8).map_while(|_| enter(bulk())).collect();
    assert_eq!(places.len(), 8);
    assert!(enter(bulk()).is_none(), "a ninth is sent away");
    let mut turns = Vec::new();
    let mut waiting: Vec<_> = places.into_iter().map(|place| Box::pin(place.turn())).collect();
    waiting.retain_mut(|place| match place.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(turn) => {
            turns.push(turn);
            false
        }
        Poll::Pending => true,
    });
    assert_eq!((turns.len(), waiting.len()), (3, 5), "so many are worked on, and the others wait");

    let renewal = enter(lease("kube-system")).expect("there is a place for it");
    assert!(now(renewal.turn()).is_some(), "it waits for nobody");
    drop(turns.pop());
    let next = waiting.remove(0);
    assert!(now(next).is_some(), "whoever came first is next");
}

#[test]
fn vital_requests_are_bounded_too() {
    let gate = Gate::new(1);
    let places: Vec<_> = (0..=VITAL).map_while(|_| gate.enter(&Identity::Scheduler, &lease("kube-system"))).collect();
    assert_eq!(places.len(), VITAL + 1, "one more has an ordinary place");
    assert!(matches!(places.last(), Some(Place::Ordinary { .. })));
    assert!(gate.enter(&Identity::Scheduler, &lease("kube-system")).is_none());
}
