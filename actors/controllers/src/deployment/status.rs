//! The status of a Deployment: counts of its sets, whether enough is available, and whether its rollout makes progress.

use std::time::Duration;

use cox_kit::Command;
use cox_objects::{Key, time};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::sets::{REVISION, Sets};
use super::spec::{Counts, Deployment};
use crate::model::{Condition, condition};

const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// The conditions while a Deployment is reconciled.
pub(super) struct Progress<'a> {
    deployment: &'a Deployment,
    conditions: Vec<Condition>,
    collisions: Option<i32>,
    revision: Option<i64>,
    current: Option<String>,
    now: Timestamp,
}

/// What it came to.
pub(super) struct Outcome {
    status: Value,
    revision: Option<i64>,
    /// Whether all pods are of the current template and available.
    pub is_complete: bool,
    /// When progress will have taken too long, if it goes on like this.
    pub deadline_in: Option<Duration>,
}

impl<'a> Progress<'a> {
    pub(super) fn of(deployment: &'a Deployment, now: Timestamp) -> Self {
        let conditions = deployment.status.conditions.clone();
        let collisions = deployment.status.collision_count;
        Progress { deployment, conditions, collisions, revision: None, current: None, now }
    }

    /// Notes that the rollout pauses or goes on: a pause must not count as lack of progress.
    pub(super) fn pause(&mut self) {
        let reason = self.reason().map(str::to_owned);
        if self.deployment.deadline().is_none() || reason.as_deref() == Some(TIMED_OUT) {
            return;
        }
        let was_paused = reason.as_deref() == Some("DeploymentPaused");
        if self.deployment.spec.paused && !was_paused {
            self.put(PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused".to_owned());
        } else if !self.deployment.spec.paused && was_paused {
            self.put(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed".to_owned());
        }
    }

    /// Notes the set of the current template.
    pub(super) fn found(&mut self, name: &str, revision: i64) {
        self.current = Some(name.to_owned());
        self.revision = Some(revision);
        if self.deployment.deadline().is_some() && self.reason().is_none() {
            self.put(PROGRESSING, "True", "FoundNewReplicaSet", format!("Found new replica set {name:?}"));
        }
    }

    /// Notes that the set of the current template is being made.
    pub(super) fn created(&mut self, name: &str, revision: i64) {
        self.current = Some(name.to_owned());
        self.revision = Some(revision);
        if self.deployment.deadline().is_some() {
            self.put(PROGRESSING, "True", "NewReplicaSetCreated", format!("Created new replica set {name:?}"));
        }
    }

    /// Notes that another set has the name that the current template's set should have: the next one is another.
    pub(super) fn collided(&mut self) {
        self.collisions = Some(self.collisions.unwrap_or(0).saturating_add(1));
    }

    fn reason(&self) -> Option<&str> {
        condition(&self.conditions, PROGRESSING).map(|condition| condition.reason.as_str())
    }

    fn put(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        let old = condition(&self.conditions, kind);
        if old.is_some_and(|old| old.status == status && old.reason == reason) {
            return;
        }
        let since = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
        let condition = Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: since.or(Some(Time(self.now))),
            last_update_time: Some(Time(self.now)),
        };
        self.conditions.retain(|condition| condition.kind != kind);
        self.conditions.push(condition);
    }

    /// Counts, judges and says so.
    pub(super) fn finish(mut self, sets: &Sets<'_>, rolling_out: bool) -> Outcome {
        let deployment = self.deployment;
        let sum = |of: &dyn Fn(&super::sets::Member) -> i32| sets.all().map(of).sum::<i32>();
        let counts = Counts {
            replicas: sum(&|member| member.set.status.replicas),
            updated_replicas: sets.current.as_ref().map_or(0, |current| current.set.status.replicas),
            ready_replicas: sum(&|member| member.set.status.ready_replicas),
            available_replicas: sum(&|member| member.set.status.available_replicas),
        };
        let unavailable = (sum(&|member| member.set.wanted()) - counts.available_replicas).max(0);
        let terminating: Option<i32> = sets.all().map(|member| member.set.status.terminating_replicas).sum();
        if counts.available_replicas >= deployment.least_available() {
            self.put(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned());
        } else {
            let message = "Deployment does not have minimum availability.".to_owned();
            self.put(AVAILABLE, "False", "MinimumReplicasUnavailable", message);
        }
        let wanted = deployment.wanted();
        let is_complete = sets.current.is_some()
            && [counts.updated_replicas, counts.replicas, counts.available_replicas] == [wanted, wanted, wanted];
        if rolling_out {
            self.judge(&counts, is_complete);
        }
        self.failure(sets);
        let deadline_in = if rolling_out && !is_complete { self.deadline_in() } else { None };
        let mut status = json!({
            "observedGeneration": deployment.metadata.generation,
            "replicas": counts.replicas, "updatedReplicas": counts.updated_replicas,
            "readyReplicas": counts.ready_replicas, "availableReplicas": counts.available_replicas,
            "unavailableReplicas": unavailable,
            "conditions": self.conditions.iter().map(written).collect::<Vec<_>>(),
        });
        if let Some(fields) = status.as_object_mut() {
            fields.retain(|_, value| *value != json!(0) && *value != json!([]));
            if let Some(terminating) = terminating {
                fields.insert("terminatingReplicas".into(), terminating.into());
            }
            if let Some(collisions) = self.collisions {
                fields.insert("collisionCount".into(), collisions.into());
            }
        }
        Outcome { status, revision: self.revision, is_complete, deadline_in }
    }

    /// Whether the rollout is complete, goes on, or has not gone on for too long.
    fn judge(&mut self, counts: &Counts, is_complete: bool) {
        if self.deployment.deadline().is_none() {
            self.conditions.retain(|condition| condition.kind != PROGRESSING);
            return;
        }
        if counts.replicas == counts.updated_replicas && self.reason() == Some(COMPLETE) {
            return;
        }
        let old = &self.deployment.status.counts;
        let went_on = counts.updated_replicas > old.updated_replicas
            || counts.replicas - counts.updated_replicas < old.replicas - old.updated_replicas
            || counts.ready_replicas > old.ready_replicas
            || counts.available_replicas > old.available_replicas;
        let what = match &self.current {
            Some(name) => format!("ReplicaSet {name:?}"),
            None => format!("Deployment {:?}", self.deployment.metadata.name),
        };
        if is_complete {
            self.put(PROGRESSING, "True", COMPLETE, format!("{what} has successfully progressed."));
        } else if went_on {
            self.go_on(format!("{what} is progressing."));
        } else if self.is_late() {
            self.put(PROGRESSING, "False", TIMED_OUT, format!("{what} has timed out progressing."));
        }
    }

    /// Progress is noted each time anew: its time is what the deadline counts from.
    fn go_on(&mut self, message: String) {
        let old = condition(&self.conditions, PROGRESSING).filter(|old| old.status == "True");
        let since = old.and_then(|old| old.last_transition_time.clone());
        self.conditions.retain(|condition| condition.kind != PROGRESSING);
        self.put(PROGRESSING, "True", "ReplicaSetUpdated", message);
        if let (Some(since), Some(new)) = (since, self.conditions.last_mut()) {
            new.last_transition_time = Some(since);
        }
    }

    fn is_late(&self) -> bool {
        self.reason() == Some(TIMED_OUT) || self.left().is_some_and(|left| left.is_negative())
    }

    fn left(&self) -> Option<SignedDuration> {
        let progressing = condition(&self.conditions, PROGRESSING)?;
        if progressing.reason == COMPLETE {
            return None;
        }
        let since = progressing.last_update_time.as_ref()?.0;
        Some(SignedDuration::from_secs(self.deployment.deadline()?.into()) - self.now.duration_since(since))
    }

    fn deadline_in(&self) -> Option<Duration> {
        if self.reason() == Some(TIMED_OUT) {
            return None;
        }
        // A second later, since times are written in whole seconds.
        self.left().map(|left| Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1))
    }

    /// Passes on why a set cannot make pods: of the current one, or else of any.
    fn failure(&mut self, sets: &Sets<'_>) {
        let first = sets.current.iter().chain(&sets.old);
        let failed = first.filter_map(|member| condition(&member.set.status.conditions, FAILURE)).next();
        match failed {
            Some(failed) => {
                let (status, reason, message) = (failed.status.clone(), failed.reason.clone(), failed.message.clone());
                self.put(FAILURE, &status, &reason, message);
            }
            None => self.conditions.retain(|condition| condition.kind != FAILURE),
        }
    }
}

impl Outcome {
    /// The write of the status, which carries the revision, too; none if it says nothing new.
    pub(super) fn update(&self, key: &Key, object: &Value) -> Option<Command> {
        let mut new = object.clone();
        new.as_object_mut()?.insert("status".into(), self.status.clone());
        if let Some(revision) = self.revision {
            let metadata = new.get_mut("metadata")?.as_object_mut()?;
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations.as_object_mut()?.insert(REVISION.to_owned(), revision.to_string().into());
        }
        (new != *object).then(|| Command::Update { key: key.clone(), subresource: "status", object: new })
    }
}

fn written(condition: &Condition) -> Value {
    let stamp = |at: &Option<Time>| at.as_ref().map(|at| time::format(at.0));
    let mut value = json!({
        "type": condition.kind, "status": condition.status, "lastUpdateTime": stamp(&condition.last_update_time),
        "lastTransitionTime": stamp(&condition.last_transition_time), "reason": condition.reason,
        "message": condition.message,
    });
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && *value != json!(""));
    }
    value
}
