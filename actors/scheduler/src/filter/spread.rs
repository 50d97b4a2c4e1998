//! Pods that must be spread: no place may exceed the emptiest one by more than the constraint allows.

use std::collections::HashMap;

use super::{Plugin, Rejection, node_affinity, untolerated};
use crate::node::Node;
use crate::pod::{Pod, Spread};
use crate::snapshot::Snapshot;

/// How many matching pods each place has, for each required constraint.
#[derive(Clone, Default)]
pub(crate) struct Counts<'a> {
    constraints: Vec<Counted<'a>>,
}

#[derive(Clone)]
struct Counted<'a> {
    constraint: &'a Spread,
    places: HashMap<String, i64>,
}

impl<'a> Counts<'a> {
    pub(super) fn new(snapshot: &Snapshot, pod: &'a Pod) -> Self {
        let required = pod.spread.iter().filter(|c| c.required);
        let constraints = required.map(|constraint| Counted { constraint, places: HashMap::new() }).collect();
        let mut counts = Counts { constraints };
        if counts.constraints.is_empty() {
            return counts;
        }
        for place in snapshot.places() {
            counts.visit(pod, &place.node, |counted, value| {
                let pods = place.load.pods.values();
                let count = pods.filter(|other| matches(counted.constraint, pod, other)).count();
                *counted.places.entry(value.to_owned()).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
            });
        }
        counts
    }

    /// Counts as if a pod came to a node, or went.
    pub(super) fn count(&mut self, pod: &Pod, other: &Pod, node: &Node, by: i64) {
        self.visit(pod, node, |counted, value| {
            if matches(counted.constraint, pod, other) {
                *counted.places.entry(value.to_owned()).or_default() += by;
            }
        });
    }

    /// Calls for each constraint that a node counts for; only nodes in a place of every constraint count for any.
    fn visit(&mut self, pod: &Pod, node: &Node, mut with: impl FnMut(&mut Counted<'a>, &str)) {
        if self.constraints.iter().any(|c| node.label(&c.constraint.topology_key).is_none()) {
            return;
        }
        for counted in &mut self.constraints {
            if let Some(value) = node.label(&counted.constraint.topology_key)
                && counts_for(counted.constraint, pod, node)
            {
                with(counted, value);
            }
        }
    }

    pub(super) fn check(&self, pod: &Pod, node: &Node) -> Result<(), Rejection> {
        for Counted { constraint, places } in &self.constraints {
            let Some(value) = node.label(&constraint.topology_key) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Err(Rejection::of_node(Plugin::PodTopologySpread, reason));
            };
            let few = i64::try_from(places.len()).unwrap_or(i64::MAX) < constraint.min_domains;
            let emptiest = if few { 0 } else { places.values().min().copied().unwrap_or(i64::MAX) };
            let own = i64::from(constraint.selector.matches(&pod.labels));
            let there = places.get(value).copied().unwrap_or(0);
            if (there + own).saturating_sub(emptiest) > constraint.max_skew {
                let reason = "node(s) didn't match pod topology spread constraints";
                return Err(Rejection::of_load(Plugin::PodTopologySpread, reason));
            }
        }
        Ok(())
    }
}

/// Whether a node counts for a constraint, by what the constraint honors.
pub(crate) fn counts_for(constraint: &Spread, pod: &Pod, node: &Node) -> bool {
    (!constraint.honors_affinity || node_affinity::matches(pod, node))
        && (!constraint.honors_taints || untolerated(pod, node).is_none())
}

/// Whether another pod counts: those that are going do not.
pub(crate) fn matches(constraint: &Spread, pod: &Pod, other: &Pod) -> bool {
    !other.deleting && other.namespace() == pod.namespace() && constraint.selector.matches(&other.labels)
}
