//! Which pods go first when there are too many: the order of Kubernetes' `ActivePodsWithRanks`.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use cox_kit::View;
use jiff::Timestamp;

use crate::model::Set;
use crate::pods::Pod;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// How many active pods of the same work run on each node: the set's own, and those of the other sets of its owner.
pub(super) fn neighbours(view: View<'_>, set: &Set) -> HashMap<String, usize> {
    let mut sets = vec![set.metadata.uid.clone()];
    if let Some(owner) = set.metadata.controller() {
        let related = view.owned::<Set>(&owner.uid);
        sets.extend(related.iter().map(|s| s.metadata.uid.clone()).filter(|uid| *uid != set.metadata.uid));
    }
    let mut nodes = HashMap::new();
    for pod in sets.iter().flat_map(|uid| view.owned::<Pod>(uid)).filter(|pod| pod.is_active()) {
        *nodes.entry(pod.spec.node_name.clone()).or_insert(0) += 1;
    }
    nodes
}

/// The first `count` pods to delete.
pub(super) fn victims<'a>(
    pods: &'a [Arc<Pod>],
    on_node: &HashMap<String, usize>,
    count: usize,
    now: Timestamp,
) -> Vec<&'a Pod> {
    let mut pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    if count < pods.len() {
        pods.sort_by(|a, b| order(a, b, on_node, now));
    }
    pods.truncate(count);
    pods
}

fn order(a: &Pod, b: &Pod, on_node: &HashMap<String, usize>, now: Timestamp) -> Ordering {
    let crowd = |pod: &Pod| on_node.get(&pod.spec.node_name).copied().unwrap_or_default();
    let phase = |pod: &Pod| match pod.status.phase.as_str() {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let bound = |pod: &Pod| !pod.spec.node_name.is_empty();
    bound(a)
        .cmp(&bound(b))
        .then(phase(a).cmp(&phase(b)))
        .then(a.is_ready().cmp(&b.is_ready()))
        .then(cost(a).cmp(&cost(b)))
        .then(Reverse(crowd(a)).cmp(&Reverse(crowd(b))))
        .then(youngest(a.ready_since(), b.ready_since(), now))
        .then(Reverse(a.restarts()).cmp(&Reverse(b.restarts())))
        .then(youngest(Some(a.metadata.created()), Some(b.metadata.created()), now))
        // Of about the same age, the uid decides: by chance, but always the same.
        .then(a.metadata.uid.cmp(&b.metadata.uid))
}

fn cost(pod: &Pod) -> i32 {
    pod.metadata.annotation(DELETION_COST).parse().unwrap_or(0)
}

/// The younger first; ages of the same power of two count as the same, so that not always the newest pods go (KEP-2185).
fn youngest(a: Option<Timestamp>, b: Option<Timestamp>, now: Timestamp) -> Ordering {
    let magnitude = |time: Timestamp| {
        let age = u128::try_from(now.duration_since(time).as_nanos()).unwrap_or(0);
        age.checked_ilog2().map_or(-1, i64::from)
    };
    match (a, b) {
        (Some(a), Some(b)) => magnitude(a).cmp(&magnitude(b)),
        _ => Ordering::Equal,
    }
}
