//! Which of the nodes that take a pod is the best: each scorer gives 0 to 100, and counts with its weight.
//!
//! One file a scorer. Weights and formulas are those of Kubernetes' default profile.

mod balanced;
mod images;
mod inter_pod;
mod least_allocated;
mod node_affinity;
mod spread;
mod taints;

use serde::Serialize;

use crate::pod::Pod;
use crate::snapshot::{Place, Snapshot};

/// The best that a scorer gives.
pub(crate) const MAX: i64 = 100;

/// Who scores; the names are those of Kubernetes' plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Scorer {
    /// Fewer taints that should keep the pod away.
    TaintToleration,
    /// More of what the pod prefers about nodes.
    NodeAffinity,
    /// More CPU and memory left.
    NodeResourcesFit,
    /// More even spread.
    PodTopologySpread,
    /// More of what the pod, and those there, prefer about each other.
    InterPodAffinity,
    /// CPU and memory used alike.
    NodeResourcesBalancedAllocation,
    /// More of the images there.
    ImageLocality,
}

type Score = fn(&Snapshot, &Pod, &[&Place]) -> Vec<i64>;

/// All scorers with their weights.
const SCORERS: [(Scorer, i64, Score); 7] = [
    (Scorer::TaintToleration, 3, taints::scores),
    (Scorer::NodeAffinity, 2, node_affinity::scores),
    (Scorer::NodeResourcesFit, 1, least_allocated::scores),
    (Scorer::PodTopologySpread, 2, spread::scores),
    (Scorer::InterPodAffinity, 2, inter_pod::scores),
    (Scorer::NodeResourcesBalancedAllocation, 1, balanced::scores),
    (Scorer::ImageLocality, 1, images::scores),
];

/// What the scorers say of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    weighted: [i64; SCORERS.len()],
}

impl Scores {
    /// The sum.
    pub fn total(&self) -> i64 {
        self.weighted.iter().sum()
    }

    /// Each scorer's part, with its weight in it.
    pub fn parts(&self) -> impl Iterator<Item = (Scorer, i64)> {
        SCORERS.iter().zip(self.weighted).map(|((scorer, ..), part)| (*scorer, part))
    }
}

impl Serialize for Scores {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.parts().map(|(scorer, part)| (format!("{scorer:?}"), part)))
    }
}

/// Scores the nodes that take a pod, in their order.
pub fn scores(snapshot: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<Scores> {
    let mut all = vec![Scores::default(); places.len()];
    for (at, (_, weight, score)) in SCORERS.iter().enumerate() {
        for (scores, given) in all.iter_mut().zip(score(snapshot, pod, places)) {
            if let Some(part) = scores.weighted.get_mut(at) {
                *part = given * weight;
            }
        }
    }
    all
}

/// What can be said of one node by itself, for a pod that has nothing to do with others: those two scorers give nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    taints: i64,
    affinity: i64,
    resources: i64,
    balanced: i64,
    images: i64,
}

impl Raw {
    /// Looks at a node.
    pub(crate) fn of(snapshot: &Snapshot, pod: &Pod, place: &Place) -> Self {
        Raw {
            taints: taints::count(pod, place),
            affinity: node_affinity::weight(pod, place),
            resources: least_allocated::score(pod, place),
            balanced: balanced::score(pod, place),
            images: images::score(snapshot, pod, place),
        }
    }

    /// The scores, once the highest among the nodes that take the pod are known.
    pub(crate) fn scores(&self, highest: Highest) -> Scores {
        let stretched = |value: i64, highest: i64| if highest > 0 { value * MAX / highest } else { value };
        let given = |scorer| match scorer {
            Scorer::TaintToleration => MAX - stretched(self.taints, highest.taints),
            Scorer::NodeAffinity => stretched(self.affinity, highest.affinity),
            Scorer::NodeResourcesFit => self.resources,
            Scorer::NodeResourcesBalancedAllocation => self.balanced,
            Scorer::ImageLocality => self.images,
            Scorer::PodTopologySpread | Scorer::InterPodAffinity => 0,
        };
        Scores { weighted: SCORERS.map(|(scorer, weight, _)| given(scorer) * weight) }
    }
}

/// The highest of what is stretched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Highest {
    taints: i64,
    affinity: i64,
}

impl Highest {
    /// Those of all.
    pub(crate) fn of<'a>(all: impl Iterator<Item = &'a Raw>) -> Self {
        all.fold(Highest::default(), |highest, raw| Highest {
            taints: highest.taints.max(raw.taints),
            affinity: highest.affinity.max(raw.affinity),
        })
    }

    /// Whether these are still the highest when one node's `before` has become `after`.
    pub(crate) fn holds(self, before: Option<&Raw>, after: Option<&Raw>) -> bool {
        let below = |raw: &Raw| raw.taints <= self.taints && raw.affinity <= self.affinity;
        let makes = |raw: &Raw| {
            (self.taints > 0 && raw.taints == self.taints) || (self.affinity > 0 && raw.affinity == self.affinity)
        };
        after.is_none_or(below) && !before.is_some_and(makes)
    }
}

/// Stretches scores so that the highest is the best; all stay as they are if it is nothing.
fn stretched(mut scores: Vec<i64>) -> Vec<i64> {
    let highest = scores.iter().copied().max().unwrap_or(0);
    if highest > 0 {
        scores.iter_mut().for_each(|score| *score = *score * MAX / highest);
    }
    scores
}

#[cfg(test)]
mod tests;
