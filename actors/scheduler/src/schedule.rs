//! The decision where a pod goes: filters, then scores, over one snapshot. Pure.

use std::sync::Arc;

use cox_objects::Key;
use serde::Serialize;

use crate::filter::{Context, Plugins, Refusal, Rejection};
use crate::pod::Pod;
use crate::preempt::{self, Preemption};
use crate::score::{self, Scores};
use crate::snapshot::{Place, Snapshot};

/// What was found out about one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It does not take the pod.
    Rejected(Rejection),
    /// It takes the pod. Where it is the only one it is not scored.
    Fits(Option<Scores>),
}

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// To this node.
    Node(Arc<str>),
    /// Nowhere, whatever the nodes.
    Refused(Refusal),
    /// Nowhere now, as each node's verdict says; and what pushing out other pods would give.
    Nowhere(Preemption),
}

/// A decision, with all that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The pod.
    #[serde(skip)]
    pub pod: Key,
    /// How many nodes were looked at.
    pub considered: usize,
    /// What was found out about each of them; of many that take the pod only about the one that was chosen.
    pub nodes: Vec<(Arc<str>, Verdict)>,
    /// Where it goes.
    pub outcome: Outcome,
}

impl Decision {
    /// The node, if there is one.
    pub fn node(&self) -> Option<&Arc<str>> {
        match &self.outcome {
            Outcome::Node(node) => Some(node),
            _ => None,
        }
    }

    /// Who rejected the pod anywhere: changes of what they look at are worth another try.
    pub fn rejected_by(&self) -> Plugins {
        let mut plugins = Plugins::default();
        for (_, verdict) in &self.nodes {
            if let Verdict::Rejected(rejection) = verdict {
                plugins.insert(rejection.plugin);
            }
        }
        if let Outcome::Refused(refusal) = &self.outcome {
            plugins.insert(refusal.plugin);
        }
        plugins
    }
}

/// Decides where a pod goes. Of equally good nodes `tie_break` chooses one.
pub fn schedule(snapshot: &Snapshot, pod: &Pod, tie_break: u64) -> Decision {
    let decided = |nodes: Vec<(Arc<str>, Verdict)>, outcome| Decision {
        pod: pod.key.clone(),
        considered: nodes.len(),
        nodes,
        outcome,
    };
    let context = match Context::new(snapshot, pod) {
        Ok(context) => context,
        Err(refusal) => return decided(Vec::new(), Outcome::Refused(refusal)),
    };
    // Room was made for it there: it goes there if it can, however others score.
    if let Some(place) = pod.nominated.as_ref().and_then(|node| snapshot.place(node))
        && context.check_with_nominated(snapshot, place).is_ok()
    {
        let name = place.node.name.clone();
        return decided(vec![(name.clone(), Verdict::Fits(None))], Outcome::Node(name));
    }
    let mut fitting: Vec<&Place> = Vec::new();
    let mut nodes = Vec::with_capacity(snapshot.len());
    for place in snapshot.places() {
        let verdict = match context.check_with_nominated(snapshot, place) {
            Ok(()) => {
                fitting.push(place);
                Verdict::Fits(None)
            }
            Err(rejection) => Verdict::Rejected(rejection),
        };
        nodes.push((place.node.name.clone(), verdict));
    }
    let chosen = match fitting.as_slice() {
        [] => None,
        [only] => Some(*only),
        several => {
            let scores = score::scores(snapshot, pod, several);
            let chosen = best(several, &scores, tie_break);
            let verdicts = nodes.iter_mut().filter(|(_, verdict)| matches!(verdict, Verdict::Fits(_)));
            for ((_, verdict), scores) in verdicts.zip(scores) {
                *verdict = Verdict::Fits(Some(scores));
            }
            chosen
        }
    };
    let outcome = match chosen {
        Some(place) => Outcome::Node(place.node.name.clone()),
        None => Outcome::Nowhere(preempt::preempt(snapshot, pod, &context, &nodes)),
    };
    decided(nodes, outcome)
}

fn best<'a>(places: &[&'a Place], scores: &[Scores], tie_break: u64) -> Option<&'a Place> {
    let highest = scores.iter().map(Scores::total).max()?;
    let equals: Vec<&Place> =
        places.iter().zip(scores).filter(|(_, scores)| scores.total() == highest).map(|(place, _)| *place).collect();
    let chosen = tie_break % u64::try_from(equals.len()).ok()?.max(1);
    equals.get(usize::try_from(chosen).ok()?).copied()
}

#[cfg(test)]
mod tests;
