//! What a worker reacts to: it becomes the cause of what it writes, and the parent of its spans.
//!
//! Reasons are kept until all that they led to is done: a status that is written because a container has started still names the change of the
//! Pod for which it was started. The worker's own writes come back as changes of the Pod, too; they are no reasons.

use cox_kit::{Feed, Reason, Why};
use cox_objects::{Cause, Object};
use k8s_openapi::api::core::v1::{PodCondition, PodReadinessGate};
use serde::Deserialize;
use serde_json::value::RawValue;
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
        let news = self.reasons.kept.is_empty() || concerns(&self.considered, self.pod.stored()) || self.gone;
        // Without news both are the same as far as it matters, and one is enough to keep.
        self.considered = self.pod.stored().clone();
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
        let (kept, observed, key) = (&self.reasons.kept, self.context.feed.revision(), &self.key);
        let make = || Why::of(kept.iter().cloned(), observed).within(|| info_span!("kubelet.pod.sync", pod = %key));
        self.reasons.why.get_or_insert_with(make).clone()
    }

    /// The decision is made: its span ends with what it has led to. `waits` says that more is to come of it.
    pub(super) fn decided(&mut self, waits: bool) {
        self.reasons.why = None;
        self.reasons.settled = !waits && self.under_way.is_empty();
    }
}

/// What of a stored Pod a worker answers to. It borrows the bytes: for this a Pod at rest is not parsed as a whole.
#[derive(Default, Deserialize)]
struct Concern<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    deletion_grace_period_seconds: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    conditions: Option<&'a RawValue>,
}

impl Concern<'_> {
    /// What anybody but a kubelet changes of a Pod, as it is written.
    fn texts(&self) -> [Option<&str>; 5] {
        let Metadata { labels, annotations, deletion_timestamp, deletion_grace_period_seconds } = self.metadata;
        [labels, annotations, deletion_timestamp, deletion_grace_period_seconds, self.spec]
            .map(|raw| raw.map(RawValue::get))
    }

    /// The conditions that others set and the readiness of the Pod waits for.
    fn gates(&self) -> Vec<PodCondition> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            #[serde(default)]
            readiness_gates: Vec<PodReadinessGate>,
        }
        let spec = self.spec.and_then(|spec| serde_json::from_str::<Spec>(spec.get()).ok());
        let gates = spec.map(|spec| spec.readiness_gates).unwrap_or_default();
        let conditions = self.status.conditions.filter(|_| !gates.is_empty());
        let conditions = conditions.and_then(|list| serde_json::from_str::<Vec<PodCondition>>(list.get()).ok());
        let is_waited_for = |c: &PodCondition| gates.iter().any(|gate| gate.condition_type == c.type_);
        conditions.into_iter().flatten().filter(is_waited_for).collect()
    }
}

/// Whether a change of the Pod is one that the worker has to answer to.
fn concerns(before: &Object, after: &Object) -> bool {
    if before == after {
        return false;
    }
    let (Ok(old), Ok(new)) = (before.parse_ref::<Concern<'_>>(), after.parse_ref::<Concern<'_>>()) else { return true };
    old.texts() != new.texts() || old.gates() != new.gates()
}

#[cfg(test)]
mod tests {
    use cox_objects::{Draft, Epoch, Position, Trigger};
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
        let pod = |label: &str, phase: &str, gate: &str| {
            let pod = json!({
                "kind": "Pod", "apiVersion": "v1",
                "metadata": {"name": "p", "labels": {"a": label}},
                "spec": {"containers": [], "readinessGates": [{"conditionType": "x/y"}]},
                "status": {"phase": phase, "conditions": [
                    {"type": "Ready", "status": phase}, {"type": "x/y", "status": gate},
                ]},
            });
            Draft::encode(&pod).unwrap().seal(if phase == "Pending" { 1 } else { 2 })
        };
        let before = pod("1", "Pending", "False");
        assert!(!concerns(&before, &pod("1", "Running", "False")));
        assert!(concerns(&before, &pod("2", "Pending", "False")) && concerns(&before, &pod("1", "Pending", "True")));
    }
}
