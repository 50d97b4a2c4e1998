//! The more weight of the pod's preferences a node matches, the better.

use super::stretched;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

pub(super) fn scores(_: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    stretched(places.iter().map(|place| weight(pod, place)).collect())
}

/// The weight of what a node matches.
pub(super) fn weight(pod: &Pod, place: &Place) -> i64 {
    pod.node_preferred.iter().filter(|(_, term)| term.matches(&place.node)).map(|(weight, _)| weight).sum()
}
