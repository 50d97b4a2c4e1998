//! The latest decisions with their filters and scores, kept for those who ask why.

use std::collections::VecDeque;

use cox_objects::{Key, Revision, Trigger};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::planner::{Attempt, Step};
use crate::schedule::Decision;

/// How many decisions are kept at most.
const DECISIONS: usize = 1000;
/// How many verdicts about nodes are kept at most, over all decisions.
const VERDICTS: usize = 20_000;
/// How many decisions an answer holds at most.
const ANSWERED: usize = 100;

/// A decision that is kept.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Uid of the pod.
    pub uid: String,
    /// When it was decided.
    pub time: Timestamp,
    /// The revision up to which the scheduler had seen.
    pub observed: Revision,
    /// What brought the pod into the queue.
    pub trigger: Option<Trigger>,
    /// The how-manieth attempt it was.
    pub attempt: u32,
    /// What the pod's condition says; none if it found a node.
    pub message: Option<String>,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

/// Whose decisions are asked for: those of a namespace, of a pod, or all; the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Question {
    /// Only pods of this namespace.
    pub namespace: Option<String>,
    /// Only pods of this name.
    pub name: Option<String>,
    /// Only the pod with this uid.
    pub uid: Option<String>,
    /// How many at most; 100 at most.
    pub limit: Option<usize>,
}

/// The latest decisions.
#[derive(Debug, Default)]
pub struct Journal {
    records: VecDeque<Record>,
    verdicts: usize,
}

impl Journal {
    /// Keeps a decision; the oldest make room for it.
    pub fn keep(&mut self, attempt: &Attempt, observed: Revision, time: Timestamp) {
        let (pod, message) = match &attempt.step {
            Step::Bind { pod, .. } => (pod, None),
            Step::Tell { pod, message, .. } => (pod, Some(message.clone())),
        };
        self.verdicts += attempt.decision.nodes.len();
        self.records.push_back(Record {
            namespace: pod.namespace().to_owned(),
            name: pod.key.name().to_owned(),
            uid: pod.uid.clone(),
            time,
            observed,
            trigger: attempt.reasons.first().map(|reason| reason.trigger.clone()),
            attempt: attempt.number,
            message,
            decision: attempt.decision.clone(),
        });
        // The newest stays, however many nodes it is about.
        while self.records.len() > 1 && (self.records.len() > DECISIONS || self.verdicts > VERDICTS) {
            if let Some(oldest) = self.records.pop_front() {
                self.verdicts -= oldest.decision.nodes.len();
            }
        }
    }

    /// The decisions that are asked for, the newest first.
    pub fn answer(&self, question: &Question) -> Vec<Record> {
        let wanted = |asked: &Option<String>, is: &str| asked.as_ref().is_none_or(|asked| asked == is);
        let matches = |record: &&Record| {
            wanted(&question.namespace, &record.namespace)
                && wanted(&question.name, &record.name)
                && wanted(&question.uid, &record.uid)
        };
        let limit = question.limit.unwrap_or(ANSWERED).min(ANSWERED);
        self.records.iter().rev().filter(matches).take(limit).cloned().collect()
    }

    /// The newest decision about a pod.
    pub fn latest(&self, pod: &Key) -> Option<&Record> {
        self.records.iter().rev().find(|record| record.decision.pod == *pod)
    }
}

#[cfg(test)]
mod tests;
