//! The fewer taints that should keep the pod away, the better.

use super::{MAX, stretched};
use crate::node::Effect;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

pub(super) fn scores(_: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    stretched(places.iter().map(|place| count(pod, place)).collect()).into_iter().map(|score| MAX - score).collect()
}

/// How many taints should keep the pod away.
pub(super) fn count(pod: &Pod, place: &Place) -> i64 {
    let taints = place.node.taints.iter();
    let against = taints.filter(|t| t.effect == Effect::PreferNoSchedule && !pod.tolerates(t)).count();
    i64::try_from(against).unwrap_or(i64::MAX)
}
