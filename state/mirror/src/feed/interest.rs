//! What concerns a node: the pure core of its feed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cox_objects::{Cause, Key, Object, Resource, Revision, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Change;
use crate::state::Put;

/// `node.k8s.io/v1` RuntimeClass.
pub(super) const RUNTIMECLASSES: Resource = Resource::from_static("runtimeclasses.node.k8s.io");

/// For whom a feed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The node's pods with what they name, its Node, and Services.
    Kubelet,
    /// Services with their endpoints, and the Node.
    Proxy,
}

/// What concerns one node, and which revision of it the node has.
#[derive(Debug)]
pub struct Interest {
    node: String,
    scope: Scope,
    /// The node's pods, with what each of them names.
    pods: HashMap<Key, BTreeSet<Key>>,
    /// How many pods name an object.
    named: HashMap<Key, usize>,
    /// What the node was sent.
    sent: HashMap<Key, Revision>,
    /// What pods have begun to name, or name no longer.
    news: Vec<(Key, bool)>,
}

impl Interest {
    /// Nothing was sent yet.
    pub fn new(node: &str, scope: Scope) -> Self {
        let (pods, named, sent) = (HashMap::new(), HashMap::new(), HashMap::new());
        Interest { node: node.to_owned(), scope, pods, named, sent, news: Vec::new() }
    }

    /// The node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Whether changes of a resource concern each node's feed of this scope.
    pub(super) fn wants_all(&self, resource: &Resource) -> bool {
        match self.scope {
            Scope::Kubelet => *resource == Resource::SERVICES,
            Scope::Proxy => *resource == Resource::SERVICES || *resource == Resource::ENDPOINTSLICES,
        }
    }

    /// Everything that concerns the node, in an order in which it can be used; these are the pods that are bound to it.
    pub fn whole<'a>(&mut self, state: &dyn Source, pods: impl IntoIterator<Item = &'a Key>) -> Vec<Put> {
        let mut puts = Puts::at(state.revision(), Arc::default());
        let own = Key::new(Resource::NODES, "", &self.node);
        self.send(&own, state.get(&own).as_ref(), &mut puts);
        for resource in [Resource::SERVICES, Resource::ENDPOINTSLICES] {
            for (key, object) in self.wants_all(&resource).then(|| state.list(&resource, "")).into_iter().flatten() {
                self.send(&key, Some(&object), &mut puts);
            }
        }
        for key in pods {
            self.take_one(key, state.get(key).as_ref(), state, &mut puts);
        }
        puts.all
    }

    /// What its pods name.
    pub(super) fn names(&self) -> impl Iterator<Item = &Key> {
        self.named.keys()
    }

    /// What pods have begun to name (or, with false, name no longer) since the last call.
    pub(super) fn take_news(&mut self) -> Vec<(Key, bool)> {
        std::mem::take(&mut self.news)
    }

    /// What a change means for the node: nothing, or puts in an order in which they can be used.
    pub fn take(&mut self, change: &Change, state: &dyn Source) -> Vec<Put> {
        let mut puts = Puts::at(change.position.revision, change.cause.clone());
        self.take_one(&change.key, change.new.as_ref(), state, &mut puts);
        puts.all
    }

    fn take_one(&mut self, key: &Key, object: Option<&Object>, state: &dyn Source, puts: &mut Puts) {
        if key.resource == Resource::PODS {
            if self.scope == Scope::Kubelet {
                self.take_pod(key, object, state, puts);
            }
            return;
        }
        if self.concerns(key) {
            self.send(key, object, puts);
        }
    }

    /// Whether an object that is no pod concerns the node.
    fn concerns(&self, key: &Key) -> bool {
        match &key.resource {
            resource if self.wants_all(resource) => true,
            resource if *resource == Resource::NODES => key.name() == self.node,
            _ => self.named.contains_key(key),
        }
    }

    fn take_pod(&mut self, key: &Key, pod: Option<&Object>, state: &dyn Source, puts: &mut Puts) {
        let value = pod.map(Object::value).filter(|pod| text(pod, "/spec/nodeName") == self.node);
        let before = self.pods.remove(key).unwrap_or_default();
        let now = value.as_ref().map(|pod| named_by(key, pod)).unwrap_or_default();
        for name in now.difference(&before) {
            let count = self.named.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.news.push((name.clone(), true));
                self.send(name, state.get(name).as_ref(), puts);
            }
        }
        self.send(key, pod.filter(|_| value.is_some()), puts);
        for name in before.difference(&now) {
            if let Some(count) = self.named.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.named.remove(name);
                    self.news.push((name.clone(), false));
                    self.send(name, None, puts);
                }
            }
        }
        if value.is_some() {
            self.pods.insert(key.clone(), now);
        }
    }

    /// Sends what the node does not have yet. What it names may have been sent newer than the change that comes now.
    fn send(&mut self, key: &Key, object: Option<&Object>, puts: &mut Puts) {
        let has = self.sent.get(key).copied();
        let news = match object {
            Some(object) => has.is_none_or(|has| has < object.revision()),
            None => has.is_some_and(|has| has <= puts.at),
        };
        if !news {
            return;
        }
        match object {
            Some(object) => self.sent.insert(key.clone(), object.revision()),
            None => self.sent.remove(key),
        };
        puts.add(key, object);
    }
}

/// What one event means for the node.
struct Puts {
    at: Revision,
    cause: Arc<Cause>,
    /// The cause of what is as an older event made it.
    older: Arc<Cause>,
    all: Vec<Put>,
}

impl Puts {
    fn at(at: Revision, cause: Arc<Cause>) -> Self {
        Puts { at, cause, older: Arc::default(), all: Vec::new() }
    }

    fn add(&mut self, key: &Key, object: Option<&Object>) {
        let its_own = object.is_none_or(|object| object.revision() == self.at);
        let cause = if its_own { &self.cause } else { &self.older };
        self.all.push(Put { key: key.clone(), object: object.cloned(), at: self.at, cause: cause.clone() });
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn each<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The objects that a pod names: what the kubelet reads to run it.
fn named_by(key: &Key, pod: &Value) -> BTreeSet<Key> {
    let mut names = Names { namespace: key.namespace(), keys: BTreeSet::new() };
    names.keys.insert(Key::new(Resource::NAMESPACES, "", key.namespace()));
    names.add(Resource::SERVICEACCOUNTS, text(pod, "/spec/serviceAccountName"));
    let class = text(pod, "/spec/runtimeClassName");
    if !class.is_empty() {
        names.keys.insert(Key::new(RUNTIMECLASSES, "", class));
    }
    for secret in each(pod, "/spec/imagePullSecrets") {
        names.add(Resource::SECRETS, text(secret, "/name"));
    }
    for volume in each(pod, "/spec/volumes") {
        names.add_either(volume, "/secret/secretName", "/configMap/name");
        for source in each(volume, "/projected/sources") {
            names.add_either(source, "/secret/name", "/configMap/name");
        }
    }
    for list in ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"] {
        for container in each(pod, list) {
            for env in each(container, "/env") {
                names.add_either(env, "/valueFrom/secretKeyRef/name", "/valueFrom/configMapKeyRef/name");
            }
            for from in each(container, "/envFrom") {
                names.add_either(from, "/secretRef/name", "/configMapRef/name");
            }
        }
    }
    names.keys
}

struct Names<'a> {
    namespace: &'a str,
    keys: BTreeSet<Key>,
}

impl Names<'_> {
    /// The Secret or the ConfigMap that something takes its data from.
    fn add_either(&mut self, from: &Value, secret: &str, config_map: &str) {
        self.add(Resource::SECRETS, text(from, secret));
        self.add(Resource::CONFIGMAPS, text(from, config_map));
    }

    fn add(&mut self, resource: Resource, name: &str) {
        if !name.is_empty() {
            self.keys.insert(Key::new(resource, self.namespace, name));
        }
    }
}

#[cfg(test)]
mod tests;
