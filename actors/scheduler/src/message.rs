//! What people are told of a pod that found no node, as Kubernetes words it.

use std::collections::BTreeMap;

use crate::preempt::{Ineligible, Preemption};
use crate::schedule::{Decision, Outcome, Verdict};

/// The message of the condition and the Event; none if the pod found a node.
pub fn unschedulable(decision: &Decision, nodes: usize) -> Option<String> {
    match &decision.outcome {
        Outcome::Node(_) => None,
        Outcome::Nowhere(Preemption::NoNodes) => Some("no nodes available to schedule pods".to_owned()),
        // What frees claims is not asked then, and Kubernetes says that it found nothing of it.
        Outcome::Refused(refusal) => Some(format!("0/{nodes} nodes are available: {}. not found", refusal.reason)),
        Outcome::Nowhere(preemption) => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for (_, verdict) in &decision.nodes {
                if let Verdict::Rejected(rejection) = verdict {
                    rejection.reasons.iter().for_each(|reason| *counts.entry(reason).or_default() += 1);
                }
            }
            let why = listed(nodes, counts);
            Some(match preempted(preemption, nodes) {
                Some(more) => format!("{why} no new claims to deallocate, preemption: {more}"),
                None => why,
            })
        }
    }
}

fn preempted(preemption: &Preemption, nodes: usize) -> Option<String> {
    match preemption {
        Preemption::NoNodes | Preemption::Victims { .. } => None,
        Preemption::Ineligible(Ineligible::Never) => Some("not eligible due to preemptionPolicy=Never.".to_owned()),
        Preemption::Ineligible(Ineligible::Waits) => {
            Some("not eligible due to a terminating pod on the nominated node.".to_owned())
        }
        Preemption::Helpless(reasons) => Some(listed(nodes, reasons.iter().map(|(reason, n)| (&**reason, *n)))),
    }
}

/// `0/3 nodes are available: 1 This, 2 That.`, in the order of the texts with their counts.
fn listed<'a>(nodes: usize, reasons: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    let mut texts: Vec<String> = reasons.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    texts.sort();
    match texts.is_empty() {
        true => format!("0/{nodes} nodes are available:"),
        false => format!("0/{nodes} nodes are available: {}.", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests;
