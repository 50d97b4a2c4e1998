//! Pods that must be with others, or apart from them; pods that are there already may keep a new one away, too.

use super::{Plugin, Rejection};
use crate::node::Node;
use crate::pod::Pod;
use crate::snapshot::Snapshot;
use crate::tally::Tally;

/// Where the pods are that this pod's terms, or whose terms, are about.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    /// Pods there that must not be with this one.
    repelling: Tally,
    /// Pods there that match all terms of this one's affinity.
    wanted: Tally,
    /// Pods there that match one of its anti-affinity's.
    unwanted: Tally,
    /// Whether it matches its own affinity: the first of a group that wants to be together has nobody to be with.
    first_of_group: bool,
}

impl Counts {
    pub(super) fn new(snapshot: &Snapshot, pod: &Pod) -> Self {
        let mut counts = Counts { first_of_group: wants(snapshot, pod, pod), ..Counts::default() };
        let has_terms = !pod.affinity.required.is_empty() || !pod.anti_affinity.required.is_empty();
        if !has_terms && !snapshot.has_repelling() {
            return counts;
        }
        for place in snapshot.places() {
            if has_terms || place.load.repelling > 0 {
                for other in place.load.pods.values() {
                    counts.count(snapshot, pod, other, &place.node, 1);
                }
            }
        }
        counts
    }

    /// Counts as if a pod came to a node, or went.
    pub(super) fn count(&mut self, snapshot: &Snapshot, pod: &Pod, other: &Pod, node: &Node, by: i64) {
        let own_namespace = snapshot.namespace(pod.namespace());
        for term in &other.anti_affinity.required {
            if term.matches(pod.namespace(), &pod.labels, own_namespace) {
                self.repelling.add(&term.topology_key, node, by);
            }
        }
        if wants(snapshot, pod, other) {
            for term in &pod.affinity.required {
                self.wanted.add(&term.topology_key, node, by);
            }
        }
        let namespace = snapshot.namespace(other.namespace());
        for term in &pod.anti_affinity.required {
            if term.matches(other.namespace(), &other.labels, namespace) {
                self.unwanted.add(&term.topology_key, node, by);
            }
        }
    }

    pub(super) fn check(&self, pod: &Pod, node: &Node) -> Result<(), Rejection> {
        if !self.satisfies_affinity(pod, node) {
            return Err(Rejection::of_node(Plugin::InterPodAffinity, "node(s) didn't match pod affinity rules"));
        }
        let unwanted = |term: &crate::term::PodTerm| {
            node.label(&term.topology_key).is_some_and(|value| self.unwanted.get(&term.topology_key, value) > 0)
        };
        if pod.anti_affinity.required.iter().any(unwanted) {
            let reason = "node(s) didn't match pod anti-affinity rules";
            return Err(Rejection::of_load(Plugin::InterPodAffinity, reason));
        }
        if self.repelling.of(node).any(|count| count > 0) {
            let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
            return Err(Rejection::of_load(Plugin::InterPodAffinity, reason));
        }
        Ok(())
    }

    fn satisfies_affinity(&self, pod: &Pod, node: &Node) -> bool {
        let terms = &pod.affinity.required;
        let in_places = terms.iter().all(|term| node.label(&term.topology_key).is_some());
        let found = |term: &crate::term::PodTerm| {
            node.label(&term.topology_key).is_some_and(|value| self.wanted.get(&term.topology_key, value) > 0)
        };
        in_places && (terms.iter().all(found) || (self.first_of_group && self.wanted.is_nothing()))
    }
}

/// Whether another pod matches all terms of a pod's affinity.
fn wants(snapshot: &Snapshot, pod: &Pod, other: &Pod) -> bool {
    let namespace = snapshot.namespace(other.namespace());
    let matches = |term: &crate::term::PodTerm| term.matches(other.namespace(), &other.labels, namespace);
    !pod.affinity.required.is_empty() && pod.affinity.required.iter().all(matches)
}
