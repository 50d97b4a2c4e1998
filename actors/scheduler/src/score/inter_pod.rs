//! Preferences of pods about each other: the new one's about those there, and theirs about it.

use super::MAX;
use crate::node::Node;
use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};
use crate::tally::Tally;
use crate::term::PodTerm;

/// What a pod's required affinity weighs for others that it is about.
const REQUIRED_WEIGHT: i64 = 1;

pub(super) fn scores(snapshot: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    let prefers = !pod.affinity.preferred.is_empty() || !pod.anti_affinity.preferred.is_empty();
    if !prefers && !snapshot.has_relating() {
        return vec![0; places.len()];
    }
    let mut tally = Tally::default();
    for place in snapshot.places() {
        if prefers || place.load.relating > 0 {
            for other in place.load.pods.values() {
                weigh(snapshot, pod, other, &place.node, &mut tally);
            }
        }
    }
    let sums: Vec<i64> = places.iter().map(|place| tally.of(&place.node).sum()).collect();
    let (least, most) = (sums.iter().copied().min().unwrap_or(0), sums.iter().copied().max().unwrap_or(0));
    let range = (most - least).max(1);
    sums.into_iter().map(|sum| (MAX as f64 * ((sum - least) as f64 / range as f64)) as i64).collect()
}

fn weigh(snapshot: &Snapshot, pod: &Pod, other: &Pod, node: &Node, tally: &mut Tally) {
    let about =
        |term: &PodTerm, whom: &Pod| term.matches(whom.namespace(), &whom.labels, snapshot.namespace(whom.namespace()));
    let sides = [(&pod.affinity, other, 1), (&pod.anti_affinity, other, -1)];
    let theirs = [(&other.affinity, pod, 1), (&other.anti_affinity, pod, -1)];
    for (terms, whom, sign) in sides.into_iter().chain(theirs) {
        for (weight, term) in &terms.preferred {
            if about(term, whom) {
                tally.add(&term.topology_key, node, weight * sign);
            }
        }
    }
    for term in &other.affinity.required {
        if about(term, pod) {
            tally.add(&term.topology_key, node, REQUIRED_WEIGHT);
        }
    }
}
