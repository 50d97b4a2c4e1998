//! What was found out about the nodes for a kind of pod, kept for the next of its kind: only nodes that have changed are looked at again.
//!
//! Pods of one template ask for the same. For those that have nothing to do with others (no terms about pods, no spreading, no terms of others
//! about them) each node's verdict depends on that node alone, so that a placement makes one verdict stale. All other pods are decided the
//! long way, by [`schedule`]. Guarantees: the node is the one that [`schedule`] chooses, whatever happened before. Absences: no sampling of
//! nodes; each node counts in each decision.

use std::collections::HashMap;
use std::sync::Arc;

use crate::filter::Context;
use crate::pod::Pod;
use crate::schedule::{Decision, Outcome, Verdict, schedule};
use crate::score::{Highest, Raw};
use crate::snapshot::{Seen, Snapshot};
use crate::term::PodTerm;

/// How many kinds of pods are kept, those that were asked for last.
const KINDS: usize = 16;
/// Up to so many nodes all are looked at each time: a decision then holds what was found out about each.
const FEW: usize = 64;
/// The total of a node that does not take the pod.
const REJECTED: i64 = i64::MIN;

/// The kept verdicts.
#[derive(Debug)]
pub(crate) struct Memo {
    few: usize,
    nodes: Nodes,
    /// The kind that was asked for last is the last.
    kinds: Vec<Kind>,
}

/// The nodes in the order of their names, as they were at `seen`.
#[derive(Debug, Default)]
struct Nodes {
    names: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
    seen: Seen,
}

/// The verdicts for a kind of pod, in the order of the nodes.
#[derive(Debug)]
struct Kind {
    /// One of them.
    pod: Arc<Pod>,
    seen: Seen,
    /// What is said of nodes that take it.
    rows: Vec<Option<Raw>>,
    highest: Highest,
    totals: Vec<i64>,
}

impl Default for Memo {
    fn default() -> Self {
        Memo { few: FEW, nodes: Nodes::default(), kinds: Vec::new() }
    }
}

impl Memo {
    /// Decides as [`schedule`] does.
    pub(crate) fn schedule(&mut self, snapshot: &Snapshot, pod: &Arc<Pod>, tie_break: u64) -> Decision {
        let short = snapshot.len() > self.few && is_alone(snapshot, pod);
        let decided = if short { self.decide(snapshot, pod, tie_break) } else { None };
        decided.unwrap_or_else(|| schedule(snapshot, pod, tie_break))
    }

    /// None if no node takes the pod: why, and what would help, is found out the long way.
    fn decide(&mut self, snapshot: &Snapshot, pod: &Arc<Pod>, tie_break: u64) -> Option<Decision> {
        if self.nodes.follow(snapshot) {
            self.kinds.clear();
        }
        let mut kind = match self.kinds.iter().position(|kind| asks_the_same(&kind.pod, pod)) {
            Some(at) => self.kinds.remove(at),
            None => Kind::of(pod),
        };
        kind.refresh(snapshot, &self.nodes)?;
        let (chosen, others) = best(&kind.totals, tie_break)?;
        let node = self.nodes.names.get(chosen)?.clone();
        let scores = kind.rows.get(chosen)?.as_ref().filter(|_| others).map(|raw| raw.scores(kind.highest));
        if self.kinds.len() >= KINDS {
            self.kinds.remove(0);
        }
        self.kinds.push(kind);
        Some(Decision {
            pod: pod.key.clone(),
            considered: self.nodes.names.len(),
            nodes: vec![(node.clone(), Verdict::Fits(scores))],
            outcome: Outcome::Node(node),
        })
    }
}

impl Nodes {
    /// Whether there are other nodes than before.
    fn follow(&mut self, snapshot: &Snapshot) -> bool {
        let now = snapshot.now();
        let others = now.roster != self.seen.roster;
        if others {
            self.names = snapshot.places().map(|place| place.node.name.clone()).collect();
            self.places = self.names.iter().cloned().zip(0..).collect();
        }
        self.seen = now;
        others
    }
}

impl Kind {
    fn of(pod: &Arc<Pod>) -> Self {
        let (rows, highest, totals) = (Vec::new(), Highest::default(), Vec::new());
        Kind { pod: pod.clone(), seen: Seen::default(), rows, highest, totals }
    }

    /// Looks at the nodes that have changed. None if no node can ever take the pod.
    fn refresh(&mut self, snapshot: &Snapshot, nodes: &Nodes) -> Option<()> {
        let Kind { pod, seen, rows, highest, totals } = self;
        let context = Context::alone(pod).ok()?;
        let look = |name: &Arc<str>| {
            let place = snapshot.place(name)?;
            context.check(place).is_ok().then(|| Raw::of(snapshot, pod, place))
        };
        let total = |row: &Option<Raw>, highest| row.map_or(REJECTED, |raw| raw.scores(highest).total());
        let mut holds = false;
        match snapshot.touched_since(*seen).filter(|_| !rows.is_empty()) {
            None => *rows = nodes.names.iter().map(look).collect(),
            Some(touched) => {
                holds = true;
                for name in touched {
                    let at = *nodes.places.get(name)?;
                    let (row, sum) = rows.get_mut(at).zip(totals.get_mut(at))?;
                    let before = std::mem::replace(row, look(name));
                    holds &= highest.holds(before.as_ref(), row.as_ref());
                    *sum = total(row, *highest);
                }
            }
        }
        if !holds {
            *highest = Highest::of(rows.iter().flatten());
            *totals = rows.iter().map(|row| total(row, *highest)).collect();
        }
        *seen = snapshot.now();
        Some(())
    }
}

/// The place of the best node (of equals `tie_break` chooses), and whether another node takes the pod, too.
fn best(totals: &[i64], tie_break: u64) -> Option<(usize, bool)> {
    let highest = totals.iter().copied().max().filter(|highest| *highest != REJECTED)?;
    let equals = totals.iter().filter(|total| **total == highest).count();
    let nth = tie_break % u64::try_from(equals).ok()?.max(1);
    let mut chosen = totals.iter().enumerate().filter(|(_, total)| **total == highest).map(|(at, _)| at);
    let chosen = chosen.nth(usize::try_from(nth).ok()?)?;
    Some((chosen, equals > 1 || totals.iter().filter(|total| **total != REJECTED).nth(1).is_some()))
}

/// Whether nothing but the nodes themselves decides where a pod goes.
fn is_alone(snapshot: &Snapshot, pod: &Pod) -> bool {
    let plain = pod.spread.is_empty() && !pod.relates() && pod.nominated.is_none() && !snapshot.has_nominated();
    plain
        && !snapshot.relating_places().any(|place| place.load.pods.values().any(|other| is_about(snapshot, other, pod)))
}

/// Whether a pod has a term that is about another one and counts for where that goes.
fn is_about(snapshot: &Snapshot, one: &Pod, other: &Pod) -> bool {
    let namespace = snapshot.namespace(other.namespace());
    let matches = |term: &PodTerm| term.matches(other.namespace(), &other.labels, namespace);
    let (with, apart) = (&one.affinity, &one.anti_affinity);
    with.required.iter().chain(&apart.required).any(matches)
        || with.preferred.iter().chain(&apart.preferred).any(|(_, term)| matches(term))
}

/// Whether all nodes look the same to both, as long as other pods do not matter.
fn asks_the_same(one: &Pod, other: &Pod) -> bool {
    one.requests == other.requests
        && one.assumed == other.assumed
        && one.ports == other.ports
        && one.node == other.node
        && one.node_selector == other.node_selector
        && one.node_required == other.node_required
        && one.node_preferred == other.node_preferred
        && one.tolerations == other.tolerations
        && one.images == other.images
}

#[cfg(test)]
mod tests;
