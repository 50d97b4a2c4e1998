//! The garbage collector: what becomes of objects whose owners go, by their owner references.
//!
//! Assumptions: the view is a prefix of the log, and a uid is given once. So an owner that is not in a view that holds its dependent is
//! gone for good, and nothing has to be asked again before a deletion.

use std::collections::BTreeSet;
use std::sync::Arc;

use cox_kit::feed::Change;
use cox_kit::recorder::Note;
use cox_kit::{Command, Decision, Propagation, Reconciler, View};
use cox_objects::{Key, Kind, Kinds, Object, Resource};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Meta;

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// The collector.
pub(crate) struct Collector {
    kinds: Arc<Kinds>,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Envelope {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Meta,
}

/// What an owner reference leads to.
enum Owner {
    /// It is there.
    Solid,
    /// It is there, and waits for its dependents to go.
    Waiting,
    /// It is not there, or another object has its name.
    Dangling,
    /// Nobody knows such a kind, or it cannot own the object.
    Unknown,
}

impl Collector {
    pub(crate) fn new(kinds: Arc<Kinds>) -> Self {
        let all: BTreeSet<Resource> = stored(&kinds).map(|kind| kind.resource.clone()).collect();
        Collector { resources: all.into_iter().filter(|resource| *resource != Resource::EVENTS).collect(), kinds }
    }

    fn dependents(&self, view: View<'_>, uid: &str) -> Vec<(Key, Meta)> {
        let all = self.resources.iter().flat_map(|resource| view.raw_owned(resource, uid));
        all.filter_map(|(key, object)| Some((key, meta(&object)?))).collect()
    }

    fn key_of(&self, owner: &OwnerReference, namespace: &str) -> Option<Key> {
        let kind = self.kinds.named(&owner.api_version, &owner.kind)?;
        match (kind.namespaced, namespace) {
            (true, "") => None,
            (true, namespace) => Some(Key::new(kind.resource.clone(), namespace, &owner.name)),
            (false, _) => Some(Key::new(kind.resource.clone(), "", &owner.name)),
        }
    }

    fn look(&self, view: View<'_>, owner: &OwnerReference, namespace: &str) -> Owner {
        let Some(key) = self.key_of(owner, namespace) else { return Owner::Unknown };
        match view.raw(&key).and_then(|object| meta(&object)) {
            Some(meta) if meta.uid != owner.uid => Owner::Dangling,
            Some(meta) if meta.is_deleted() && has(&meta, FOREGROUND) => Owner::Waiting,
            Some(_) => Owner::Solid,
            None => Owner::Dangling,
        }
    }

    /// What to do about an object that nobody deleted: nothing, drop references that lead nowhere, or delete it.
    fn judge(&self, view: View<'_>, key: &Key, object: &Envelope) -> Vec<Command> {
        let meta = &object.metadata;
        let (mut solid, mut waiting, mut dangling) = (Vec::new(), Vec::new(), Vec::new());
        for owner in &meta.owner_references {
            match self.look(view, owner, key.namespace()) {
                Owner::Solid => solid.push(owner.clone()),
                Owner::Waiting => waiting.push(owner),
                Owner::Dangling => dangling.push(owner),
                Owner::Unknown => return Vec::new(),
            }
        }
        if meta.owner_references.is_empty() || (waiting.is_empty() && dangling.is_empty()) {
            return Vec::new();
        }
        if !solid.is_empty() {
            return vec![Command::Patch { key: key.clone(), subresource: "", patch: meta.own(&solid) }];
        }
        let mut commands: Vec<Command> =
            dangling.iter().filter_map(|owner| self.elsewhere(view, key, object, owner)).collect();
        let has_dependents = !waiting.is_empty() && !self.dependents(view, &meta.uid).is_empty();
        let propagation = match () {
            () if has(meta, ORPHAN) => Propagation::Orphan,
            () if has(meta, FOREGROUND) || has_dependents => Propagation::Foreground,
            () => Propagation::Background,
        };
        commands.push(Command::Delete {
            key: key.clone(),
            uid: Some(meta.uid.clone()),
            // Who gives it another owner at the same time wins.
            revision: meta.resource_version.parse().ok(),
            grace: None,
            propagation: Some(propagation),
        });
        commands
    }

    /// Tells of an owner that lives in another namespace, which is as good as none.
    fn elsewhere(&self, view: View<'_>, key: &Key, object: &Envelope, owner: &OwnerReference) -> Option<Command> {
        let kind = self.kinds.named(&owner.api_version, &owner.kind)?;
        let namespaced = kind.namespaced;
        let is_it = |(_, other): &(Key, Object)| meta(other).is_some_and(|meta| meta.uid == owner.uid);
        let others = view.raw_list(&kind.resource, "");
        others.iter().find(|other| namespaced && other.0.name() == owner.name && is_it(other))?;
        let message = format!(
            "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace {:?}",
            owner.api_version,
            owner.kind,
            key.namespace(),
            owner.name,
            owner.uid,
            key.namespace()
        );
        let about = object.metadata.about(&object.api_version, &object.kind);
        Some(Command::Record(Note::warning(about, "OwnerRefInvalidNamespace", message)))
    }

    /// Goes on with a deletion that waits for dependents.
    fn go_on(&self, view: View<'_>, key: &Key, meta: &Meta) -> Vec<Command> {
        let mut commands = Vec::new();
        if has(meta, ORPHAN) {
            for (dependent, of) in self.dependents(view, &meta.uid) {
                let owners: Vec<OwnerReference> =
                    of.owner_references.iter().filter(|owner| owner.uid != meta.uid).cloned().collect();
                commands.push(Command::Patch { key: dependent, subresource: "", patch: of.own(&owners) });
            }
            commands.push(without(key, meta, ORPHAN));
        } else if has(meta, FOREGROUND) {
            let blocks = |of: &Meta| {
                of.owner_references
                    .iter()
                    .any(|owner| owner.uid == meta.uid && owner.block_owner_deletion == Some(true))
            };
            if !self.dependents(view, &meta.uid).iter().any(|(_, of)| blocks(of)) {
                commands.push(without(key, meta, FOREGROUND));
            }
        }
        commands
    }
}

impl Reconciler for Collector {
    const NAME: &'static str = "garbage-collector-controller";

    fn watches(&self) -> Vec<Resource> {
        self.resources.clone()
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        let Some(last) = change.new.as_ref().or(change.old.as_ref()) else { return Vec::new() };
        let Some(meta) = meta(last) else { return Vec::new() };
        let mut keys = Vec::new();
        let gone = change.new.is_none();
        let waits = meta.is_deleted() && (has(&meta, FOREGROUND) || has(&meta, ORPHAN));
        if !gone && (waits || !meta.owner_references.is_empty()) {
            keys.push(change.key.clone());
        }
        if gone || waits {
            keys.extend(self.dependents(view, &meta.uid).into_iter().map(|(key, _)| key));
        }
        // An owner may wait for this one to go, or to be no longer its own.
        let before = change.old.as_ref().and_then(self::meta);
        let owners = before.iter().flat_map(|meta| &meta.owner_references).chain(&meta.owner_references);
        for owner in owners.filter(|owner| owner.block_owner_deletion == Some(true)) {
            let key = self.key_of(owner, change.key.namespace());
            let waits = |key: &Key| {
                view.raw(key)
                    .and_then(|object| self::meta(&object))
                    .is_some_and(|m| m.is_deleted() && has(&m, FOREGROUND))
            };
            keys.extend(key.filter(|key| !keys.contains(key) && waits(key)));
        }
        keys
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let Some(object) = view.raw(key).and_then(|object| object.parse::<Envelope>().ok()) else {
            return Decision::none();
        };
        Decision::of(match object.metadata.is_deleted() {
            true => self.go_on(view, key, &object.metadata),
            false => self.judge(view, key, &object),
        })
    }
}

/// The kinds whose objects are kept.
pub(crate) fn stored(kinds: &Kinds) -> impl Iterator<Item = &Arc<Kind>> {
    kinds.all().iter().filter(|kind| kind.stored)
}

fn meta(object: &Object) -> Option<Meta> {
    #[derive(Deserialize)]
    struct Only {
        metadata: Meta,
    }
    object.parse::<Only>().ok().map(|only| only.metadata)
}

fn has(meta: &Meta, finalizer: &str) -> bool {
    meta.finalizers.iter().any(|f| f == finalizer)
}

fn without(key: &Key, meta: &Meta, finalizer: &str) -> Command {
    let left: Vec<&String> = meta.finalizers.iter().filter(|f| *f != finalizer).collect();
    let left = if left.is_empty() { Value::Null } else { json!(left) };
    let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": left}});
    Command::Patch { key: key.clone(), subresource: "", patch }
}

#[cfg(test)]
mod tests;
