//! A cluster in memory for tests: it holds objects, shows changes to a core and carries out its commands as an apiserver would.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_kit::feed::Change;
use cox_kit::view::ParseCache;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::meta::{get, set, text};
use cox_objects::{Cause, Draft, Epoch, Key, Kinds, Object, Position, Resource, Revision, Source, kinds, patch, time};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Objects at a revision. Nothing is validated, defaulted or admitted.
pub(crate) struct Cluster {
    objects: BTreeMap<Key, Object>,
    revision: Revision,
    kinds: Kinds,
    cache: ParseCache,
    pub now: Timestamp,
    /// Changes that no core has been shown yet.
    changes: Vec<Change>,
    /// Reason and message of the Events recorded, oldest first.
    pub notes: Vec<(String, String)>,
}

impl Source for Cluster {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn get(&self, key: &Key) -> Option<Object> {
        self.objects.get(key).cloned()
    }

    fn list(&self, resource: &Resource, namespace: &str) -> Vec<(Key, Object)> {
        let meant = |key: &Key| key.resource == *resource && (namespace.is_empty() || key.namespace() == namespace);
        self.objects.iter().filter(|(key, _)| meant(key)).map(|(k, o)| (k.clone(), o.clone())).collect()
    }

    fn owned(&self, resource: &Resource, owner_uid: &str) -> Vec<(Key, Object)> {
        let owned = |object: &Object| cox_objects::Meta::of(object).unwrap().is_owned_by(owner_uid);
        self.list(resource, "").into_iter().filter(|(_, object)| owned(object)).collect()
    }
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Cluster {
            objects: BTreeMap::new(),
            revision: 0,
            kinds: kinds::builtin(),
            cache: ParseCache::default(),
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
            changes: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::new(self, &self.cache)
    }

    fn write(&mut self, key: Key, new: Option<Value>) {
        self.revision += 1;
        let old = self.objects.remove(&key);
        let new = new.map(|value| Draft::encode(&value).unwrap().seal(self.revision));
        if let Some(new) = &new {
            self.objects.insert(key.clone(), new.clone());
        }
        let position = Position { epoch: Epoch(1), revision: self.revision };
        self.changes.push(Change { key, old, new, position, cause: Arc::new(Cause::default()) });
    }

    /// Makes an object, with uid, time and generation as a server gives them.
    pub(crate) fn create(&mut self, mut object: Value) -> Key {
        let kind = self.kinds.named(text(&object, "apiVersion"), text(&object, "kind")).unwrap().clone();
        let revision = self.revision;
        if text(&object, "metadata.name").is_empty() {
            let name = format!("{}{revision:05}", text(&object, "metadata.generateName"));
            set(&mut object, "metadata.name", name);
        }
        if kind.namespaced && text(&object, "metadata.namespace").is_empty() {
            set(&mut object, "metadata.namespace", "n");
        }
        let key = Key::new(kind.resource.clone(), text(&object, "metadata.namespace"), text(&object, "metadata.name"));
        assert!(!self.objects.contains_key(&key), "{key} already exists");
        for (path, value) in [
            ("metadata.uid", json!(format!("uid-{revision}"))),
            ("metadata.creationTimestamp", json!(time::format(self.now))),
            ("metadata.generation", json!(1)),
        ] {
            if get(&object, path).is_null() {
                set(&mut object, path, value);
            }
        }
        self.write(key.clone(), Some(object));
        key
    }

    pub(crate) fn value(&self, key: &Key) -> Value {
        self.objects.get(key).map_or(Value::Null, Object::value)
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.objects.contains_key(key)
    }

    /// Changes an object; a change of its spec counts as a generation.
    pub(crate) fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        let old = self.value(key);
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return;
        }
        if new.get("spec") != old.get("spec") && !get(&old, "metadata.generation").is_null() {
            set(&mut new, "metadata.generation", cox_objects::meta::int(&old, "metadata.generation") + 1);
        }
        let finalizers = |path: &str| get(&new, path).as_array().is_some_and(|all| !all.is_empty());
        let gone = !get(&new, "metadata.deletionTimestamp").is_null()
            && !finalizers("metadata.finalizers")
            && !finalizers("spec.finalizers")
            && text(&new, "spec.nodeName").is_empty();
        self.write(key.clone(), (!gone).then_some(new));
    }

    /// Merges a patch into an object.
    pub(crate) fn merge(&mut self, key: &Key, with: &Value) {
        self.change(key, |object| merge(object, with));
    }

    /// Deletes as a server does: what has finalizers, or a pod on a node, is only marked.
    pub(crate) fn delete(&mut self, key: &Key) {
        let now = time::format(self.now);
        self.change(key, |object| set(object, "metadata.deletionTimestamp", now));
    }

    /// Takes an object away.
    pub(crate) fn remove(&mut self, key: &Key) {
        self.write(key.clone(), None);
    }

    pub(crate) fn list_values(&self, resource: &Resource) -> Vec<Value> {
        self.list(resource, "").iter().map(|(_, object)| object.value()).collect()
    }

    /// Shows a core all objects, as at its start.
    pub(crate) fn start<R: Reconciler>(&mut self, core: &mut R) -> Vec<Key> {
        self.changes.clear();
        let position = Position { epoch: Epoch(1), revision: self.revision };
        let changes: Vec<Change> = core
            .watches()
            .iter()
            .flat_map(|resource| self.list(resource, ""))
            .map(|(key, new)| Change { key, old: None, new: Some(new), position, cause: Arc::new(Cause::default()) })
            .collect();
        self.show(core, &changes)
    }

    fn show<R: Reconciler>(&self, core: &mut R, changes: &[Change]) -> Vec<Key> {
        let mut keys: Vec<Key> = changes.iter().flat_map(|change| core.keys(self.view(), change)).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// Shows a core the changes since the last time.
    pub(crate) fn news<R: Reconciler>(&mut self, core: &mut R) -> Vec<Key> {
        let watched = core.watches();
        let changes = std::mem::take(&mut self.changes);
        let changes: Vec<Change> = changes.into_iter().filter(|c| watched.contains(&c.key.resource)).collect();
        self.show(core, &changes)
    }

    pub(crate) fn decide<R: Reconciler>(&self, core: &mut R, key: &Key) -> Decision {
        core.reconcile(self.view(), key, self.now)
    }

    /// Carries out commands.
    pub(crate) fn run(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Create(object) => drop(self.create(object)),
                Command::Update { key, subresource: "", object } => self.change(&key, |old| {
                    let status = old.get("status").cloned();
                    *old = object;
                    if let Some(status) = status {
                        set(old, "status", status);
                    }
                }),
                Command::Update { key, subresource: "finalize", object } => {
                    self.change(&key, |old| set(old, "spec", object["spec"].clone()));
                }
                // Annotations get through with a status, as those of Deployments do.
                Command::Update { key, object, .. } => self.change(&key, |old| {
                    set(old, "status", object["status"].clone());
                    if let Some(annotations) = object.pointer("/metadata/annotations") {
                        set(old, "metadata.annotations", annotations.clone());
                    }
                }),
                Command::Patch { key, patch, .. } => self.merge(&key, &strip(patch)),
                Command::Delete { key, .. } => {
                    if self.has(&key) {
                        self.delete(&key);
                    }
                }
                Command::Record(note) => self.notes.push((note.reason, note.message)),
                Command::CreateAt { .. } => panic!("not known to this cluster"),
            }
        }
    }

    /// Lets a core work until it has nothing more to do; fails if it does not come to an end.
    pub(crate) fn settle<R: Reconciler>(&mut self, core: &mut R) {
        let mut keys = self.start(core);
        for _ in 0..200 {
            if keys.is_empty() {
                return;
            }
            for key in keys {
                let decision = self.decide(core, &key);
                self.run(decision.commands);
            }
            keys = self.news(core);
        }
        panic!("{} does not come to an end", R::NAME);
    }
}

fn strip(mut patch: Value) -> Value {
    if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    patch
}

fn merge(object: &mut Value, with: &Value) {
    *object = patch::merge::apply(object, with.to_string().as_bytes()).unwrap().object;
}
