//! ReplicaSets and ReplicationControllers: as many pods of a template as are wanted.
//!
//! Flow: pods without an owner that the selector selects are adopted, owned ones that it no longer selects are released; then the
//! difference is made or deleted; once there is none, the status says so. A pod's name follows from its owner's uid and the state that
//! was seen, so that a creation of unknown outcome that is tried again makes no second pod.

mod pods;
mod rank;
mod status;

use std::collections::{BTreeSet, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use cox_kit::feed::Change;
use cox_kit::recorder::Note;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::selector::LabelSelector;
use cox_objects::{Key, Meta as Stored, Resource, Status};
use jiff::Timestamp;
use serde_json::Value;

use crate::model::Set;
use crate::pods::Pod;

/// How many pods one reconciliation makes or deletes at most.
const BURST: usize = 500;

/// What tells a ReplicaSet from a ReplicationController.
pub(crate) trait Flavor: Send + 'static {
    /// The controller's name.
    const NAME: &'static str;
    /// Where its objects are.
    const RESOURCE: Resource;
    /// `apiVersion` of them.
    const API_VERSION: &'static str;
    /// `kind` of them.
    const KIND: &'static str;

    /// Reads `spec.selector`.
    fn selector(selector: &Value) -> LabelSelector;
}

/// `apps/v1` ReplicaSet.
pub(crate) struct ReplicaSets;
/// `v1` ReplicationController.
pub(crate) struct ReplicationControllers;

impl Flavor for ReplicaSets {
    const NAME: &'static str = "replicaset-controller";
    const RESOURCE: Resource = Resource::REPLICASETS;
    const API_VERSION: &'static str = "apps/v1";
    const KIND: &'static str = "ReplicaSet";

    fn selector(selector: &Value) -> LabelSelector {
        // Validation lets no other selector in; one from elsewhere must not take all pods.
        let selector = LabelSelector::from_value(selector).unwrap_or(LabelSelector::Nothing);
        if selector.is_everything() { LabelSelector::Nothing } else { selector }
    }
}

impl Flavor for ReplicationControllers {
    const NAME: &'static str = "replication-controller";
    const RESOURCE: Resource = Resource::from_static("replicationcontrollers");
    const API_VERSION: &'static str = "v1";
    const KIND: &'static str = "ReplicationController";

    fn selector(selector: &Value) -> LabelSelector {
        match selector.as_object() {
            Some(labels) if !labels.is_empty() => LabelSelector::from_labels(
                labels.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or(""))),
            ),
            _ => LabelSelector::Nothing,
        }
    }
}

/// Why pods could not be made or deleted the last time: it becomes the condition ReplicaFailure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub reason: &'static str,
    pub message: String,
}

/// The controller of a flavor.
pub(crate) struct Replicas<F> {
    failures: HashMap<Key, Failure>,
    /// Pods that nobody manages, by namespace: who may adopt one need not look through all pods.
    orphans: HashMap<String, BTreeSet<Key>>,
    flavor: PhantomData<F>,
}

impl<F> Default for Replicas<F> {
    fn default() -> Self {
        Replicas { failures: HashMap::new(), orphans: HashMap::new(), flavor: PhantomData }
    }
}

impl<F: Flavor> Replicas<F> {
    fn note_orphan(&mut self, change: &Change) {
        let managed =
            change.new.as_ref().is_none_or(|pod| Stored::of(pod).is_ok_and(|meta| meta.controller().is_some()));
        let namespace = change.key.namespace();
        if !managed {
            self.orphans.entry(namespace.to_owned()).or_default().insert(change.key.clone());
        } else if let Some(orphans) = self.orphans.get_mut(namespace) {
            orphans.remove(&change.key);
            if orphans.is_empty() {
                self.orphans.remove(namespace);
            }
        }
    }

    /// The sets that a version of a pod concerns: its owner, or all that might adopt it.
    fn concerned(view: View<'_>, namespace: &str, pod: &cox_objects::Object) -> Vec<Key> {
        let Ok(meta) = Stored::of(pod) else { return Vec::new() };
        if let Some(owner) = meta.controller() {
            let ours = *owner.kind == *F::KIND && *owner.api_version == *F::API_VERSION;
            return if ours { vec![Key::new(F::RESOURCE, namespace, &owner.name)] } else { Vec::new() };
        }
        let sets = view.raw_list(&F::RESOURCE, namespace).into_iter();
        let selects = |(key, set): (Key, cox_objects::Object)| {
            let set: Set = set.parse().ok()?;
            F::selector(&set.spec.selector).matches(&meta.labels).then_some(key)
        };
        sets.filter_map(selects).collect()
    }

    /// The active pods of a set, with what makes them its own (and others no longer so).
    fn claim(&self, view: View<'_>, set: &Set, selector: &LabelSelector) -> (Vec<Arc<Pod>>, Vec<Command>) {
        let (mut own, mut commands) = (Vec::new(), Vec::new());
        for pod in view.owned::<Pod>(&set.metadata.uid) {
            let meta = &pod.metadata;
            if !meta.is_controlled_by(&set.metadata.uid) || !pod.is_active() {
                continue;
            }
            if selector.matches(&meta.labels) {
                own.push(pod);
            } else if !set.metadata.is_deleted() {
                let mut owners = meta.owner_references.clone();
                owners.retain(|owner| owner.uid != set.metadata.uid);
                commands.push(Command::Patch {
                    key: meta.key(Resource::PODS),
                    subresource: "",
                    patch: meta.own(&owners),
                });
            }
        }
        if set.metadata.is_deleted() {
            return (own, commands);
        }
        for key in self.orphans.get(&set.metadata.namespace).into_iter().flatten() {
            let Some(pod) = view.at::<Pod>(key) else { continue };
            let meta = &pod.metadata;
            if meta.controller().is_none() && pod.is_active() && selector.matches(&meta.labels) {
                let mut owners = meta.owner_references.clone();
                owners.retain(|owner| owner.uid != set.metadata.uid);
                owners.push(set.metadata.as_controller(F::API_VERSION, F::KIND));
                commands.push(Command::Patch { key: key.clone(), subresource: "", patch: meta.own(&owners) });
                own.push(pod);
            }
        }
        (own, commands)
    }
}

impl<F: Flavor> Reconciler for Replicas<F> {
    const NAME: &'static str = F::NAME;

    fn watches(&self) -> Vec<Resource> {
        vec![F::RESOURCE, Resource::PODS]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == F::RESOURCE {
            return vec![change.key.clone()];
        }
        self.note_orphan(change);
        let versions = [&change.old, &change.new].into_iter().flatten();
        let mut keys: Vec<Key> = versions.flat_map(|pod| Self::concerned(view, change.key.namespace(), pod)).collect();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, now: Timestamp) -> Decision {
        let failure = self.failures.remove(key);
        let Some(object) = view.raw(key) else { return Decision::none() };
        let Ok(set) = object.parse::<Set>() else { return Decision::none() };
        let selector = F::selector(&set.spec.selector);
        let (own, mut commands) = self.claim(view, &set, &selector);
        let wanted = usize::try_from(set.wanted()).unwrap_or_default();

        // While pods can be made, the status follows from their events; a failure has to be shown, though.
        let differs = own.len() != wanted && !set.metadata.is_deleted();
        if !differs || failure.is_some() {
            let terminating = view.owned::<Pod>(&set.metadata.uid).into_iter();
            let terminating = terminating
                .filter(|pod| pod.metadata.is_controlled_by(&set.metadata.uid) && pod.is_terminating())
                .count();
            let counts = status::count(&set, &own, terminating, now);
            commands.extend(status::update::<F>(key, &object.value(), &counts, failure.as_ref(), now));
        }
        if differs {
            let (missing, surplus) = (wanted.saturating_sub(own.len()), own.len().saturating_sub(wanted));
            commands.extend(pods::create::<F>(view, &set, missing.min(BURST)));
            if surplus > 0 {
                let victims = rank::victims(&own, &rank::neighbours(view, &set), surplus.min(BURST), now);
                commands.extend(pods::delete::<F>(&set, &victims));
            }
        }
        let min_ready = set.spec.min_ready_seconds;
        let next = own.iter().filter_map(|pod| pod.available_in(min_ready, now)).min();
        let decision = Decision::of(commands);
        match next {
            Some(after) if min_ready > 0 => decision.again_in(after.min(crate::LONGEST_TIMER), "min-ready"),
            _ => decision,
        }
    }

    fn refused(&mut self, view: View<'_>, key: &Key, command: &Command, status: &Status) -> Vec<Note> {
        let (reason, text) = match command {
            Command::Create(_) => ("FailedCreate", "Error creating: "),
            Command::Delete { .. } if status.code != 404 => ("FailedDelete", "Error deleting: "),
            _ => return Vec::new(),
        };
        // A namespace that goes takes the set along: nothing to tell about.
        let causes = status.details.as_ref().and_then(|details| details.get("causes")).and_then(Value::as_array);
        let goes = |cause: &Value| cause.get("reason").and_then(Value::as_str) == Some("NamespaceTerminating");
        // The name is taken by what the mirror did not show yet; another one is tried.
        if causes.is_some_and(|causes| causes.iter().any(goes)) || status.reason == "AlreadyExists" {
            return Vec::new();
        }
        self.failures.insert(key.clone(), Failure { reason, message: status.message.clone() });
        let set = view.raw(key).and_then(|set| set.parse::<Set>().ok());
        let note = |set: Set| {
            let about = set.metadata.about(F::API_VERSION, F::KIND);
            Note::warning(about, reason, format!("{text}{}", status.message))
        };
        set.map(note).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
