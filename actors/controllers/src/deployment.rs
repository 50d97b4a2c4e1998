//! Deployments: ReplicaSets of succeeding templates, and how many pods each has while one takes over from the other.
//!
//! Flow: the sets of the Deployment are gathered (and adopted), the set of the current template is found or made, sizes are changed as the
//! strategy allows, and the status says how far it is. A reconciliation changes all it may at once; the changes of sets come back as events.

mod history;
mod rollout;
mod sets;
mod spec;
mod status;

use cox_kit::feed::Change;
use cox_kit::recorder::Note;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::selector::LabelSelector;
use cox_objects::{Key, Meta as Stored, Object, Resource, Status};
use jiff::Timestamp;

use crate::pods::Pod;
use sets::Sets;
use spec::Deployment;

pub(crate) const API_VERSION: &str = "apps/v1";
pub(crate) const KIND: &str = "Deployment";

/// The controller.
#[derive(Default)]
pub(crate) struct Deployments;

impl Deployments {
    /// The Deployments that a version of a ReplicaSet concerns: its owner, or all that might adopt it.
    fn concerned(view: View<'_>, namespace: &str, set: &Object) -> Vec<Key> {
        let Ok(meta) = Stored::of(set) else { return Vec::new() };
        if let Some(owner) = meta.controller() {
            let ours = *owner.kind == *KIND && *owner.api_version == *API_VERSION;
            return if ours { vec![Key::new(Resource::DEPLOYMENTS, namespace, &owner.name)] } else { Vec::new() };
        }
        let all = view.raw_list(&Resource::DEPLOYMENTS, namespace).into_iter();
        let selects = |(key, object): (Key, Object)| {
            let deployment: Deployment = object.parse().ok()?;
            deployment.selector().matches(&meta.labels).then_some(key)
        };
        all.filter_map(selects).collect()
    }
}

impl Reconciler for Deployments {
    const NAME: &'static str = "deployment-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::DEPLOYMENTS, Resource::REPLICASETS, Resource::PODS]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        let namespace = change.key.namespace();
        if change.key.resource == Resource::DEPLOYMENTS {
            return vec![change.key.clone()];
        }
        if change.key.resource == Resource::PODS {
            // Only Recreate looks at pods: it waits for the last old one to end.
            let ended = view.at::<Pod>(&change.key).is_none_or(|pod| pod.is_terminal());
            let Some(pod) = change.old.as_ref().or(change.new.as_ref()).filter(|_| ended) else { return Vec::new() };
            let Ok(meta) = Stored::of(pod) else { return Vec::new() };
            let Some(owner) = meta.controller().filter(|owner| *owner.kind == *"ReplicaSet") else { return Vec::new() };
            let set = view.raw(&Key::new(Resource::REPLICASETS, namespace, &owner.name));
            return set.map(|set| Self::concerned(view, namespace, &set)).unwrap_or_default();
        }
        let versions = [&change.old, &change.new].into_iter().flatten();
        let mut keys: Vec<Key> = versions.flat_map(|set| Self::concerned(view, namespace, set)).collect();
        keys.dedup();
        keys
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, now: Timestamp) -> Decision {
        let Some(object) = view.raw(key) else { return Decision::none() };
        let Ok(deployment) = object.parse::<Deployment>() else { return Decision::none() };
        if matches!(deployment.selector(), LabelSelector::Nothing) {
            return Decision::none();
        }
        let mut sets = Sets::gather(view, &deployment);
        let mut progress = status::Progress::of(&deployment, now);
        let mut removed = Vec::new();
        if !deployment.metadata.is_deleted() {
            progress.pause();
            if deployment.spec.paused || sets.is_scaled() {
                sets.find_current(&mut progress);
                rollout::scale(&mut sets);
                if deployment.spec.paused {
                    removed = history::surplus(&sets);
                }
            } else if deployment.is_recreate() {
                rollout::recreate(view, &mut sets, &mut progress);
            } else {
                sets.ensure_current(view, &mut progress);
                rollout::rolling(&mut sets);
            }
        }
        let settled = sets.is_settled();
        let rolling_out = !deployment.metadata.is_deleted() && !deployment.spec.paused;
        let status = progress.finish(&sets, rolling_out);
        if settled && status.is_complete {
            removed = history::surplus(&sets);
        }
        let mut commands = sets.into_commands();
        commands.extend(removed);
        commands.extend(status.update(key, &object.value()));
        let decision = Decision::of(commands);
        match status.deadline_in {
            Some(after) => decision.again_in(after.min(crate::LONGEST_TIMER), "progress-deadline"),
            None => decision,
        }
    }

    fn refused(&mut self, view: View<'_>, key: &Key, command: &Command, status: &Status) -> Vec<Note> {
        let Command::Create(set) = command else { return Vec::new() };
        if status.reason == "AlreadyExists" {
            return Vec::new();
        }
        let Some(deployment) = view.raw(key).and_then(|object| object.parse::<Deployment>().ok()) else {
            return Vec::new();
        };
        let message = format!(
            "Failed to create new replica set {:?}: {}",
            cox_objects::meta::text(set, "metadata.name"),
            status.message
        );
        vec![Note::warning(deployment.metadata.about(API_VERSION, KIND), "ReplicaSetCreateError", message)]
    }
}

#[cfg(test)]
mod tests;
