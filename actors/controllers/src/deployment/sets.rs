//! The ReplicaSets of a Deployment while it is reconciled: as they are, as they shall be, and what to write for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_kit::recorder::Note;
use cox_kit::{Command, View};
use cox_objects::{Key, Resource};
use serde_json::{Map, Value, json};

use super::spec::Deployment;
use super::status::Progress;
use super::{API_VERSION, KIND};
use crate::hash;
use crate::model::Set;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
/// Annotations that are about the Deployment itself and are not copied to its sets.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];
/// How long the history of revisions may become, in bytes.
const MAX_HISTORY: usize = 2000;

/// A set, with what shall become of it.
pub(super) struct Member {
    pub set: Arc<Set>,
    /// The size it shall have.
    pub size: i32,
    annotations: BTreeMap<&'static str, String>,
    copied: BTreeMap<String, String>,
    min_ready: Option<i32>,
}

impl Member {
    fn new(set: Arc<Set>) -> Self {
        let size = set.wanted();
        Member { set, size, annotations: BTreeMap::new(), copied: BTreeMap::new(), min_ready: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.set.metadata.name
    }

    /// How many of its pods are available and are to stay: pods that are being taken away do not count, though its status may still count them.
    pub(super) fn available(&self) -> i32 {
        self.set.status.available_replicas.min(self.size)
    }

    pub(super) fn revision(&self) -> i64 {
        let said = self.annotations.get(REVISION).map_or(self.set.metadata.annotation(REVISION), String::as_str);
        said.parse().unwrap_or(0)
    }

    /// The size that all sets together might have when this one was sized last; none if it was never said.
    pub(super) fn max_before(&self) -> Option<i32> {
        self.set.metadata.annotation(MAX).parse().ok().filter(|max| *max > 0)
    }

    /// The number of replicas that its Deployment wanted when this one was sized last.
    pub(super) fn desired_before(&self) -> Option<i32> {
        self.set.metadata.annotation(DESIRED).parse().ok()
    }

    fn annotate(&mut self, name: &'static str, value: String) {
        if self.set.metadata.annotation(name) != value {
            self.annotations.insert(name, value);
        }
    }

    fn patch(&self) -> Option<Command> {
        let mut metadata = Map::new();
        let mut spec = Map::new();
        if !self.annotations.is_empty() || !self.copied.is_empty() {
            let copied = self.copied.iter().map(|(key, value)| (key.as_str(), value));
            let own = self.annotations.iter().map(|(key, value)| (*key, value));
            let all: BTreeMap<&str, &String> = copied.chain(own).collect();
            metadata.insert("annotations".into(), json!(all));
        }
        if self.size != self.set.wanted() {
            spec.insert("replicas".into(), self.size.into());
        }
        if let Some(seconds) = self.min_ready {
            spec.insert("minReadySeconds".into(), seconds.into());
        }
        if metadata.is_empty() && spec.is_empty() {
            return None;
        }
        metadata.insert("uid".into(), self.set.metadata.uid.as_str().into());
        metadata.insert("resourceVersion".into(), self.set.metadata.resource_version.as_str().into());
        let patch = json!({"metadata": metadata, "spec": spec});
        Some(Command::Patch { key: self.set.metadata.key(Resource::REPLICASETS), subresource: "", patch })
    }
}

/// The sets of one Deployment.
pub(super) struct Sets<'a> {
    pub deployment: &'a Deployment,
    /// The set of the current template.
    pub current: Option<Member>,
    /// All others, the oldest first.
    pub old: Vec<Member>,
    commands: Vec<Command>,
    made: Vec<Command>,
}

impl<'a> Sets<'a> {
    /// Its own sets, and those without an owner that it selects, which it adopts; sets that it no longer selects are released.
    pub(super) fn gather(view: View<'_>, deployment: &'a Deployment) -> Self {
        let uid = &deployment.metadata.uid;
        let selector = deployment.selector();
        let mut commands = Vec::new();
        let mut old = Vec::new();
        for set in view.list::<Set>(&deployment.metadata.namespace) {
            let meta = &set.metadata;
            let selected = selector.matches(&meta.labels);
            let mut owners = meta.owner_references.clone();
            if meta.is_controlled_by(uid) {
                if !selected && !deployment.metadata.is_deleted() {
                    owners.retain(|owner| owner.uid != *uid);
                } else {
                    old.push(Member::new(set));
                    continue;
                }
            } else if meta.controller().is_none() && selected && !meta.is_deleted() && !deployment.metadata.is_deleted()
            {
                owners.push(deployment.metadata.as_controller(API_VERSION, KIND));
            } else {
                continue;
            }
            let key = meta.key(Resource::REPLICASETS);
            commands.push(Command::Patch { key, subresource: "", patch: meta.own(&owners) });
        }
        old.sort_by_key(|member| (member.set.metadata.created(), member.set.metadata.name.clone()));
        let mut sets = Sets { deployment, current: None, old, commands, made: Vec::new() };
        // The oldest of several with the same template, so that it is always the same one.
        let template = bare(&deployment.spec.template);
        let same = |member: &Member| bare(&member.set.spec.template) == template;
        if let Some(at) = sets.old.iter().position(same) {
            sets.current = Some(sets.old.remove(at));
        }
        sets
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Member> {
        self.old.iter().chain(&self.current)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.old.iter_mut().chain(&mut self.current)
    }

    /// How many pods are wanted of all sets.
    pub(super) fn total(&self) -> i32 {
        self.all().map(|member| member.size).sum()
    }

    /// Whether the Deployment's size is another than when its sets were sized.
    pub(super) fn is_scaled(&self) -> bool {
        let resized =
            |member: &Member| member.desired_before().is_some_and(|before| before != self.deployment.wanted());
        self.all().any(|member| member.size > 0 && resized(member))
    }

    /// Whether nothing is to be adopted or changed in size.
    pub(super) fn is_settled(&self) -> bool {
        self.commands.is_empty() && self.made.is_empty() && self.all().all(|member| member.size == member.set.wanted())
    }

    /// Brings the set of the current template up to date, if there is one.
    pub(super) fn find_current(&mut self, progress: &mut Progress<'_>) {
        let revision = self.next_revision();
        let deployment = self.deployment;
        let Some(current) = &mut self.current else { return };
        for (key, value) in &deployment.metadata.annotations {
            if !NOT_COPIED.contains(&key.as_str()) && current.set.metadata.annotations.get(key) != Some(value) {
                current.copied.insert(key.clone(), value.clone());
            }
        }
        let before = current.set.metadata.annotation(REVISION).to_owned();
        if current.revision() < revision {
            current.annotate(REVISION, revision.to_string());
            if !before.is_empty() {
                let history = current.set.metadata.annotation(HISTORY);
                current.annotate(HISTORY, extended(history, &before));
            }
        }
        if current.set.spec.min_ready_seconds != deployment.spec.min_ready_seconds {
            current.min_ready = Some(deployment.spec.min_ready_seconds);
        }
        progress.found(current.name(), current.revision());
    }

    /// The same, or makes it.
    pub(super) fn ensure_current(&mut self, view: View<'_>, progress: &mut Progress<'_>) {
        if self.current.is_some() {
            return self.find_current(progress);
        }
        let deployment = self.deployment;
        // A set that is being adopted may be the one: it is looked at again as soon as it is ours.
        if !self.commands.is_empty() {
            return;
        }
        let mut seed = serde_json::to_vec(&deployment.spec.template).unwrap_or_default();
        if let Some(count) = deployment.status.collision_count {
            seed.extend(count.to_le_bytes());
        }
        let hash = hash::encode(hash::fnv32(&seed));
        let name = format!("{}-{hash}", deployment.metadata.name);
        if view.raw(&Key::new(Resource::REPLICASETS, &deployment.metadata.namespace, &name)).is_some() {
            progress.collided();
            return;
        }
        let size = deployment.most().saturating_sub(self.total()).clamp(0, deployment.wanted());
        let size = if deployment.is_recreate() { deployment.wanted() } else { size };
        let revision = self.next_revision();
        let mut annotations: BTreeMap<&str, String> = BTreeMap::new();
        for (key, value) in &deployment.metadata.annotations {
            if !NOT_COPIED.contains(&key.as_str()) {
                annotations.insert(key, value.clone());
            }
        }
        annotations.insert(REVISION, revision.to_string());
        annotations.insert(DESIRED, deployment.wanted().to_string());
        annotations.insert(MAX, deployment.most().to_string());
        self.made.push(Command::Create(from_template(deployment, &name, &hash, size, &annotations)));
        if size > 0 {
            self.made.push(told(deployment, format!("Scaled up replica set {name} from 0 to {size}")));
        }
        progress.created(&name, revision);
    }

    /// Notes on each set that changes in size what it was sized for, and gives all the writes.
    pub(super) fn into_commands(mut self) -> Vec<Command> {
        let deployment = self.deployment;
        let mut notes = Vec::new();
        let mut patches = Vec::new();
        for member in self.all_mut() {
            let before = member.set.wanted();
            if member.size != before {
                let direction = if member.size > before { "up" } else { "down" };
                let (name, size) = (member.name(), member.size);
                notes.push(told(deployment, format!("Scaled {direction} replica set {name} from {before} to {size}")));
                member.sized_for(deployment);
            }
            patches.extend(member.patch());
        }
        self.commands.into_iter().chain(self.made).chain(patches).chain(notes).collect()
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(Member::revision).max().unwrap_or(0) + 1
    }
}

impl Member {
    /// Notes for which size of the Deployment this one has its size.
    pub(super) fn sized_for(&mut self, deployment: &Deployment) {
        self.annotate(DESIRED, deployment.wanted().to_string());
        self.annotate(MAX, deployment.most().to_string());
    }
}

fn told(deployment: &Deployment, message: String) -> Command {
    Command::Record(Note::normal(deployment.metadata.about(API_VERSION, KIND), "ScalingReplicaSet", message))
}

/// A template without the label that its set added.
fn bare(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    template
}

/// A history with one more revision, the oldest dropped where it would be too long.
fn extended(history: &str, revision: &str) -> String {
    let mut revisions: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
    revisions.push(revision);
    while revisions.len() > 1 && revisions.iter().map(|r| r.len() + 1).sum::<usize>() > MAX_HISTORY {
        revisions.remove(0);
    }
    revisions.join(",")
}

fn from_template(
    deployment: &Deployment,
    name: &str,
    hash: &str,
    size: i32,
    annotations: &BTreeMap<&str, String>,
) -> Value {
    let mut template = deployment.spec.template.clone();
    cox_objects::meta::set(&mut template, "metadata.labels.pod-template-hash", hash);
    let mut selector = deployment.spec.selector.clone();
    cox_objects::meta::set(&mut selector, "matchLabels.pod-template-hash", hash);
    let mut spec = json!({"replicas": size, "selector": selector, "template": template});
    if deployment.spec.min_ready_seconds > 0 {
        cox_objects::meta::set(&mut spec, "minReadySeconds", deployment.spec.min_ready_seconds);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": deployment.metadata.namespace, "annotations": annotations,
            "labels": template.pointer("/metadata/labels"),
            "ownerReferences": [deployment.metadata.as_controller(API_VERSION, KIND)],
        },
        "spec": spec,
    })
}
