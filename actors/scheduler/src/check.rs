//! An independent judge of bindings: from the plain facts, without the filters' code, may this pod go to this node?
//!
//! It runs in tests and in debug builds. It does not prefer; it only knows what must hold, and is slow.

use crate::node::Effect;
use crate::pod::{Pod, Spread};
use crate::snapshot::{Place, Snapshot};
use crate::term::PodTerm;

/// What a binding would break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such node.
    #[error("there is no node {0}")]
    NoNode(String),
    /// The node is cordoned, or a taint is not tolerated.
    #[error("the node does not take pods that do not tolerate {0}")]
    Tainted(String),
    /// The node is not one that the pod selects.
    #[error("the pod selects other nodes")]
    Selected,
    /// A node port would be taken twice.
    #[error("port {0} is taken twice")]
    Port(i32),
    /// More would be used than there is.
    #[error("{0} would be overcommitted")]
    Overcommitted(String),
    /// Pods would be together that must not be, or apart.
    #[error("{0} is not with the pods that it must be with, or with some that it must not")]
    Company(String),
    /// Pods would be spread too unevenly.
    #[error("pods would be spread unevenly over {0}")]
    Uneven(String),
}

/// Judges a binding of a pod that is not on a node yet.
///
/// # Errors
/// With the first thing that it would break.
pub fn check(snapshot: &Snapshot, pod: &Pod, node: &str) -> Result<(), Fault> {
    let place = snapshot.place(node).ok_or_else(|| Fault::NoNode(node.to_owned()))?;
    taints(pod, place)?;
    selection(pod, place)?;
    ports(pod, place)?;
    resources(pod, place)?;
    company(snapshot, pod, place)?;
    pod.spread.iter().filter(|c| c.required).try_for_each(|constraint| even(snapshot, pod, place, constraint))
}

fn taints(pod: &Pod, place: &Place) -> Result<(), Fault> {
    let cordon = place.node.unschedulable.then(|| crate::node::Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        value: String::new(),
        effect: Effect::NoSchedule,
    });
    for taint in place.node.taints.iter().chain(&cordon) {
        let tolerated = pod.tolerations.iter().any(|toleration| toleration.covers(taint));
        if matches!(taint.effect, Effect::NoSchedule | Effect::NoExecute) && !tolerated {
            return Err(Fault::Tainted(taint.key.clone()));
        }
    }
    Ok(())
}

fn selection(pod: &Pod, place: &Place) -> Result<(), Fault> {
    let selected = pod.node_selector.iter().all(|wanted| place.node.labels.iter().any(|label| label == wanted));
    let admitted = match &pod.node_required {
        None => true,
        Some(terms) => terms.iter().filter(|term| term.matches(&place.node)).count() > 0,
    };
    if selected && admitted { Ok(()) } else { Err(Fault::Selected) }
}

fn ports(pod: &Pod, place: &Place) -> Result<(), Fault> {
    let taken = place.load.pods.values().flat_map(|other| &other.ports);
    let mut conflicts = taken.filter(|taken| pod.ports.iter().any(|port| port.conflicts(taken)));
    conflicts.next().map_or(Ok(()), |port| Err(Fault::Port(port.port)))
}

/// Sums over the pods themselves, not over the snapshot's running totals.
fn resources(pod: &Pod, place: &Place) -> Result<(), Fault> {
    let all = &place.node.allocatable;
    if place.load.pods.len() as i64 + 1 > place.node.pods {
        return Err(Fault::Overcommitted("the number of pods".to_owned()));
    }
    type Amount = fn(&crate::resources::Resources) -> i64;
    let kinds: [(&str, Amount); 3] =
        [("cpu", |r| r.milli_cpu), ("memory", |r| r.memory), ("ephemeral-storage", |r| r.ephemeral_storage)];
    for (name, amount) in kinds {
        let used: i64 = place.load.pods.values().map(|other| amount(&other.requests)).sum();
        // What the pod does not ask for may be overcommitted already: a node can shrink.
        if amount(&pod.requests) > 0 && used + amount(&pod.requests) > amount(all) {
            return Err(Fault::Overcommitted(name.to_owned()));
        }
    }
    for (name, asked) in pod.requests.others.iter().filter(|(_, asked)| **asked > 0) {
        let used: i64 = place.load.pods.values().filter_map(|other| other.requests.others.get(name)).sum();
        if used + asked > all.others.get(name).copied().unwrap_or(0) {
            return Err(Fault::Overcommitted(name.to_string()));
        }
    }
    Ok(())
}

fn company(snapshot: &Snapshot, pod: &Pod, place: &Place) -> Result<(), Fault> {
    let about =
        |term: &PodTerm, whom: &Pod| term.matches(whom.namespace(), &whom.labels, snapshot.namespace(whom.namespace()));
    let together = |term: &PodTerm, other: &Place| {
        let here = place.node.label(&term.topology_key);
        here.is_some() && here == other.node.label(&term.topology_key)
    };
    for other in snapshot.places() {
        for there in other.load.pods.values() {
            let mine = pod.anti_affinity.required.iter().any(|term| together(term, other) && about(term, there));
            let theirs = there.anti_affinity.required.iter().any(|term| together(term, other) && about(term, pod));
            if mine || theirs {
                return Err(Fault::Company(there.key.to_string()));
            }
        }
    }
    let terms = &pod.affinity.required;
    let all = |there: &Pod| terms.iter().all(|term| about(term, there));
    let mut group = snapshot.places().filter(|other| {
        other.load.pods.values().any(|there| all(there))
            && terms.iter().any(|term| other.node.label(&term.topology_key).is_some())
    });
    let alone = group.clone().next().is_none() && all(pod);
    let found = terms.iter().all(|term| group.clone().any(|other| together(term, other)));
    let placed = terms.iter().all(|term| place.node.label(&term.topology_key).is_some());
    let met = placed && (found || alone);
    if met { Ok(()) } else { Err(Fault::Company(group.next().map_or_else(String::new, |p| p.node.name.to_string()))) }
}

/// Counts after the pod has come: its place may then exceed the emptiest one by no more than the skew.
fn even(snapshot: &Snapshot, pod: &Pod, place: &Place, constraint: &Spread) -> Result<(), Fault> {
    let uneven = || Fault::Uneven(constraint.topology_key.to_string());
    let value = place.node.label(&constraint.topology_key).ok_or_else(uneven)?;
    let mut counts = std::collections::BTreeMap::new();
    let keys: Vec<&str> = pod.spread.iter().filter(|c| c.required).map(|c| &*c.topology_key).collect();
    for other in snapshot.places() {
        let in_all = keys.iter().all(|key| other.node.label(key).is_some());
        let admitted = !constraint.honors_affinity || selection(pod, other).is_ok();
        let tolerated = !constraint.honors_taints
            || other.node.taints.iter().all(|t| t.effect == Effect::PreferNoSchedule || pod.tolerates(t));
        let Some(there) = other.node.label(&constraint.topology_key).filter(|_| in_all && admitted && tolerated) else {
            continue;
        };
        let counted = |other: &&std::sync::Arc<Pod>| {
            !other.deleting && other.namespace() == pod.namespace() && constraint.selector.matches(&other.labels)
        };
        *counts.entry(there).or_insert(0) += other.load.pods.values().filter(counted).count() as i64;
    }
    let missing = (counts.len() as i64) < constraint.min_domains;
    let emptiest = if missing { 0 } else { counts.values().copied().min().unwrap_or(0) };
    let own = i64::from(constraint.selector.matches(&pod.labels));
    let here = counts.get(value).copied().unwrap_or(0) + own;
    if here - emptiest <= constraint.max_skew { Ok(()) } else { Err(uneven()) }
}

#[cfg(test)]
mod tests;
