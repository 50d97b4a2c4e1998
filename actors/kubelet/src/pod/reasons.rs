//! What a worker reacts to: it becomes the cause of what it writes, and the parent of its spans.
//!
//! Reasons are kept until all that they led to is done: a status that is written because a container has started still names the change of the
//! Pod for which it was started. The worker's own writes come back as changes of the Pod, too; they are no reasons.

use cox_kit::{Feed, Reason, Why};
use cox_objects::Cause;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use tracing::info_span;

use super::State;

/// Reasons, and the why of the decision that is being made.
#[derive(Default)]
pub(super) struct Reasons {
    /// The newest first.
    kept: Vec<Reason>,
    /// Everything that they led to is done.
    settled: bool,
    /// Made for the first thing that the decision leads to.
    why: Option<Why>,
}

impl Reasons {
    fn add(&mut self, reason: Reason) {
        if std::mem::take(&mut self.settled) {
            self.kept.clear();
        }
        // Of what is no event the newest is enough.
        self.kept.retain(|kept| kept.is_event() && *kept != reason);
        self.kept.insert(0, reason);
        self.kept.truncate(Cause::MAX_FOLDED + 1);
    }
}

impl<F: Feed> State<F> {
    /// Takes in that the Pod may have changed, that something happened to it, or that a time has come.
    pub(super) fn look(&mut self, reason: Reason) {
        self.reread();
        let news = self.reasons.kept.is_empty() || concerns(&self.considered, &self.pod) || self.gone;
        // Without news both are the same as far as it matters, and one is enough to keep.
        self.considered = self.pod.clone();
        if news || !reason.is_event() {
            self.reasons.add(reason);
        }
    }

    /// Takes in something that is no change of the Pod.
    pub(super) fn because(&mut self, name: &str) {
        self.reasons.add(Reason::timer(name));
    }

    /// Takes in a change of something else.
    pub(super) fn because_of(&mut self, reason: Reason) {
        self.reasons.add(reason);
    }

    /// Why this decision is made: asked for by the first thing that it leads to.
    pub(super) fn why(&mut self) -> Why {
        let (kept, observed, key) = (&self.reasons.kept, self.context.feed.revision(), self.key());
        let make = || Why::of(kept.iter().cloned(), observed).within(|| info_span!("kubelet.pod.sync", pod = %key));
        self.reasons.why.get_or_insert_with(make).clone()
    }

    /// The decision is made: its span ends with what it has led to. `waits` says that more is to come of it.
    pub(super) fn decided(&mut self, waits: bool) {
        self.reasons.why = None;
        self.reasons.settled = !waits && self.under_way.is_empty();
    }
}

/// Whether a change of the Pod is one that the worker has to answer to.
fn concerns(before: &Pod, after: &Pod) -> bool {
    let (old, new) = (&before.metadata, &after.metadata);
    let same = old.labels == new.labels
        && old.annotations == new.annotations
        && old.deletion_timestamp == new.deletion_timestamp
        && old.deletion_grace_period_seconds == new.deletion_grace_period_seconds
        && before.spec == after.spec
        && gates(before) == gates(after);
    !same
}

/// The conditions that others set and the readiness of the Pod waits for.
fn gates(pod: &Pod) -> Vec<&PodCondition> {
    let wanted: Vec<&str> =
        pod.spec.iter().flat_map(|s| s.readiness_gates.iter().flatten()).map(|g| g.condition_type.as_str()).collect();
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.filter(|c| wanted.contains(&c.type_.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use cox_objects::{Epoch, Position, Trigger};
    use serde_json::json;

    use super::*;

    fn event(revision: u64) -> Reason {
        Reason { trigger: Trigger::Event(Position { epoch: Epoch(1), revision }), cause: None }
    }

    #[test]
    fn reasons_are_kept_until_all_that_they_led_to_is_done() {
        let mut reasons = Reasons::default();
        for reason in [event(1), Reason::timer("exit"), event(2), Reason::timer("probe")] {
            reasons.add(reason);
        }
        assert_eq!(reasons.kept, [Reason::timer("probe"), event(2), event(1)]);
        reasons.add(event(1));
        assert_eq!(reasons.kept, [event(1), event(2)]);
        (3..50).for_each(|revision| reasons.add(event(revision)));
        assert_eq!(reasons.kept.len(), Cause::MAX_FOLDED + 1);
        reasons.settled = true;
        reasons.add(Reason::timer("relist"));
        assert_eq!(reasons.kept, [Reason::timer("relist")]);
    }

    #[test]
    fn a_status_that_the_worker_wrote_is_no_news() {
        let pod = |label: &str, phase: &str, gate: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": "p", "resourceVersion": phase, "labels": {"a": label}},
                "spec": {"containers": [], "readinessGates": [{"conditionType": "x/y"}]},
                "status": {"phase": phase, "conditions": [
                    {"type": "Ready", "status": phase}, {"type": "x/y", "status": gate},
                ]},
            }))
            .unwrap()
        };
        let before = pod("1", "Pending", "False");
        assert!(!concerns(&before, &pod("1", "Running", "False")));
        assert!(concerns(&before, &pod("2", "Pending", "False")) && concerns(&before, &pod("1", "Pending", "True")));
    }
}
