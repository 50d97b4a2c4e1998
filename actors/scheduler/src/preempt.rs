//! Room for a pod by pushing out pods of lower priority: on which node, and whom. Pure.
//!
//! Absences: disruption budgets are not looked at, as nothing keeps their status.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::filter::Context;
use crate::pod::Pod;
use crate::schedule::Verdict;
use crate::snapshot::{Place, Snapshot};

/// Why a pod pushes nobody out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Ineligible {
    /// Its class never does.
    Never,
    /// Those that it pushed out before are still going.
    Waits,
}

/// What pushing out other pods would give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Preemption {
    /// There are no nodes at all.
    NoNodes,
    /// The pod pushes nobody out.
    Ineligible(Ineligible),
    /// It would not help: how often which reason.
    Helpless(BTreeMap<Cow<'static, str>, usize>),
    /// These have to go from this node.
    Victims {
        /// The node.
        node: Arc<str>,
        /// The pods, the least important last.
        #[serde(serialize_with = "names")]
        pods: Vec<Arc<Pod>>,
    },
}

fn names<S: Serializer>(pods: &[Arc<Pod>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pods.iter().map(|pod| pod.key.path()))
}

const NOT_HELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// Looks for the node where pushing out costs least, for a pod that `context` knows and that no node takes.
pub(crate) fn preempt(
    snapshot: &Snapshot,
    pod: &Pod,
    context: &Context<'_>,
    nodes: &[(Arc<str>, Verdict)],
) -> Preemption {
    if snapshot.is_empty() {
        return Preemption::NoNodes;
    }
    if let Some(why) = ineligible(snapshot, pod, nodes) {
        return Preemption::Ineligible(why);
    }
    let mut reasons: BTreeMap<Cow<'static, str>, usize> = BTreeMap::new();
    let mut found: Vec<(&Place, Vec<Arc<Pod>>)> = Vec::new();
    for (name, verdict) in nodes {
        let Verdict::Rejected(rejection) = verdict else { continue };
        let Some(place) = snapshot.place(name).filter(|_| rejection.resolvable) else {
            *reasons.entry(NOT_HELPFUL.into()).or_default() += 1;
            continue;
        };
        match victims(snapshot, pod, context, place) {
            Ok(victims) => found.push((place, victims)),
            Err(why) => why.into_iter().for_each(|reason| *reasons.entry(reason).or_default() += 1),
        }
    }
    let cheapest = found.into_iter().min_by_key(|(_, victims)| cost(victims));
    match cheapest {
        Some((place, pods)) => Preemption::Victims { node: place.node.name.clone(), pods },
        None => Preemption::Helpless(reasons),
    }
}

fn ineligible(snapshot: &Snapshot, pod: &Pod, nodes: &[(Arc<str>, Verdict)]) -> Option<Ineligible> {
    if !pod.preempts {
        return Some(Ineligible::Never);
    }
    let place = snapshot.place(pod.nominated.as_ref()?)?;
    let hopeless = |(name, verdict): &(Arc<str>, Verdict)| {
        *name == place.node.name && matches!(verdict, Verdict::Rejected(rejection) if !rejection.resolvable)
    };
    let goes = |other: &Arc<Pod>| other.deleting && other.priority < pod.priority;
    (!nodes.iter().any(hopeless) && place.load.pods.values().any(goes)).then_some(Ineligible::Waits)
}

/// Who has to go from a node: all of lower priority are taken away, and the more important ones put back as long as the pod fits.
fn victims(
    snapshot: &Snapshot,
    pod: &Pod,
    context: &Context<'_>,
    place: &Place,
) -> Result<Vec<Arc<Pod>>, Vec<Cow<'static, str>>> {
    let lower = place.load.pods.values().filter(|other| other.priority < pod.priority);
    let mut candidates: Vec<Arc<Pod>> = lower.cloned().collect();
    if candidates.is_empty() {
        return Err(vec![NO_VICTIMS.into()]);
    }
    candidates.sort_by_key(|other| (Reverse(other.priority), started(other), other.key.clone()));
    let (mut context, mut place) = (context.clone(), place.clone());
    for other in &candidates {
        context.suppose(snapshot, other, &place.node, false);
        place.load.remove(&other.key);
    }
    context.check_with_nominated(snapshot, &place).map_err(|rejection| rejection.reasons)?;
    let mut victims = Vec::new();
    for other in candidates {
        context.suppose(snapshot, &other, &place.node, true);
        place.load.add(other.clone());
        if context.check_with_nominated(snapshot, &place).is_err() {
            context.suppose(snapshot, &other, &place.node, false);
            place.load.remove(&other.key);
            victims.push(other);
        }
    }
    Ok(victims)
}

/// The less the better: the highest priority that goes, their sum, their number, and how long the most important have run.
fn cost(victims: &[Arc<Pod>]) -> (Option<i32>, i64, usize, Reverse<Option<Timestamp>>) {
    let highest = victims.iter().map(|pod| pod.priority).max();
    // Priorities may be below nothing; moved up, more victims are never cheaper than fewer.
    let sum = victims.iter().map(|pod| i64::from(pod.priority) - i64::from(i32::MIN)).sum();
    let longest = victims.iter().filter(|pod| Some(pod.priority) == highest).map(|pod| started(pod)).min();
    (highest, sum, victims.len(), Reverse(longest))
}

/// One that has not started yet is the newest.
fn started(pod: &Pod) -> Timestamp {
    pod.started.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
