//! The fewer matching pods the places of a node have, the better; a constraint with more places weighs more.

use std::collections::{BTreeSet, HashMap};

use super::MAX;
use crate::filter::spread::{counts_for, matches};
use crate::node::Node;
use crate::pod::{Pod, Spread};
use crate::snapshot::{Place, Snapshot};

const HOSTNAME: &str = "kubernetes.io/hostname";

struct Counted<'a> {
    constraint: &'a Spread,
    weight: f64,
    /// Matching pods of the places that candidates are in; not kept for hosts, where the node's own pods are counted.
    places: HashMap<&'a str, i64>,
}

pub(super) fn scores(snapshot: &Snapshot, pod: &Pod, places: &[&Place]) -> Vec<i64> {
    let constraints: Vec<&Spread> = pod.spread.iter().filter(|c| !c.required).collect();
    if constraints.is_empty() {
        return vec![0; places.len()];
    }
    // A node that is in no place of some constraint is worst.
    let in_all = |node: &Node| constraints.iter().all(|c| node.label(&c.topology_key).is_some());
    let candidates: Vec<&Node> = places.iter().map(|p| &*p.node).filter(|node| in_all(node)).collect();
    let mut all: Vec<Counted<'_>> = constraints.iter().map(|c| counted(c, &candidates)).collect();
    for place in snapshot.places().filter(|place| in_all(&place.node)) {
        for Counted { constraint, places, .. } in &mut all {
            if counts_for(constraint, pod, &place.node)
                && let Some(value) = place.node.label(&constraint.topology_key)
                && let Some(count) = places.get_mut(value)
            {
                *count += matching(constraint, pod, place);
            }
        }
    }
    let raw: Vec<Option<i64>> = places.iter().map(|place| in_all(&place.node).then(|| raw(&all, pod, place))).collect();
    let least = raw.iter().flatten().copied().min().unwrap_or(0);
    let most = raw.iter().flatten().copied().max().unwrap_or(0);
    let score = |raw: Option<i64>| match raw {
        None => 0,
        Some(_) if most == 0 => MAX,
        Some(raw) => MAX * (most + least - raw) / most,
    };
    raw.into_iter().map(score).collect()
}

fn counted<'a>(constraint: &'a Spread, candidates: &[&'a Node]) -> Counted<'a> {
    let hosts = &*constraint.topology_key == HOSTNAME;
    let values: BTreeSet<&str> = candidates.iter().filter_map(|node| node.label(&constraint.topology_key)).collect();
    let size = if hosts { candidates.len() } else { values.len() };
    let places = if hosts { HashMap::new() } else { values.into_iter().map(|value| (value, 0)).collect() };
    Counted { constraint, weight: (size as f64 + 2.0).ln(), places }
}

fn raw(all: &[Counted<'_>], pod: &Pod, place: &Place) -> i64 {
    let part = |counted: &Counted<'_>| {
        let Counted { constraint, weight, places } = counted;
        let value = place.node.label(&constraint.topology_key).unwrap_or_default();
        let count = match &*constraint.topology_key {
            HOSTNAME => matching(constraint, pod, place),
            _ => places.get(value).copied().unwrap_or(0),
        };
        count as f64 * weight + (constraint.max_skew - 1) as f64
    };
    all.iter().map(part).sum::<f64>().round() as i64
}

fn matching(constraint: &Spread, pod: &Pod, place: &Place) -> i64 {
    let pods = place.load.pods.values().filter(|other| matches(constraint, pod, other));
    i64::try_from(pods.count()).unwrap_or(i64::MAX)
}
