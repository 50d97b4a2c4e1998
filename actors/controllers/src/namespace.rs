//! Namespaces that are being deleted: their pods go, then everything else in them, then the namespace.
//!
//! Assumptions: the apiserver takes no new object into a namespace that is being deleted. So a view that holds the deletion and no content
//! shows that there will never be any again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cox_kit::feed::Change;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Kinds, Meta as Stored, Object, Resource, time};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::collector::stored;

const FINALIZER: &str = "kubernetes";
/// How many objects one reconciliation deletes at most.
const BURST: usize = 500;

/// The controller.
pub(crate) struct Namespaces {
    contents: Vec<Resource>,
    terminating: HashSet<String>,
}

/// What is left in a namespace, and by which finalizers it is held.
#[derive(Default)]
struct Remains {
    instances: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Namespaces {
    pub(crate) fn new(kinds: &Kinds) -> Self {
        let contents: BTreeSet<Resource> =
            stored(kinds).filter(|kind| kind.namespaced).map(|kind| kind.resource.clone()).collect();
        Namespaces { contents: contents.into_iter().collect(), terminating: HashSet::new() }
    }

    /// Deletes what nobody has deleted yet: pods before what they may need until they end.
    fn delete(&self, view: View<'_>, namespace: &str) -> (Vec<Command>, Remains) {
        let (mut commands, mut remains) = (Vec::new(), Remains::default());
        let pods = view.raw_list(&Resource::PODS, namespace);
        let pods_remain = !pods.is_empty();
        for resource in &self.contents {
            for (key, object) in view.raw_list(resource, namespace) {
                let Ok(meta) = Stored::of(&object) else { continue };
                *remains.instances.entry(format!("{}.{}", resource.plural(), resource.group())).or_default() += 1;
                for finalizer in &meta.finalizers {
                    *remains.finalizers.entry(finalizer.to_string()).or_default() += 1;
                }
                let its_turn = !pods_remain || *resource == Resource::PODS;
                if its_turn && !meta.is_deleted() && commands.len() < BURST {
                    commands.push(Command::delete(key, &meta.uid));
                }
            }
        }
        (commands, remains)
    }
}

impl Reconciler for Namespaces {
    const NAME: &'static str = "namespace-controller";

    fn watches(&self) -> Vec<Resource> {
        let mut all = vec![Resource::NAMESPACES];
        all.extend(self.contents.iter().cloned());
        all
    }

    fn keys(&mut self, _: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == Resource::NAMESPACES {
            let deleted = |object: &Object| Stored::of(object).is_ok_and(|meta| meta.is_deleted());
            return if change.new.as_ref().is_some_and(deleted) {
                self.terminating.insert(change.key.name().to_owned());
                vec![change.key.clone()]
            } else {
                self.terminating.remove(change.key.name());
                Vec::new()
            };
        }
        let goes = self.terminating.contains(change.key.namespace());
        goes.then(|| Key::new(Resource::NAMESPACES, "", change.key.namespace())).into_iter().collect()
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, now: Timestamp) -> Decision {
        let Some(mut namespace) = view.raw(key).map(|object| object.value()) else { return Decision::none() };
        let deleted = !cox_objects::meta::get(&namespace, "metadata.deletionTimestamp").is_null();
        let finalizers = namespace.pointer("/spec/finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
        if !deleted || !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Decision::none();
        }
        let (commands, remains) = self.delete(view, key.name());
        if !commands.is_empty() {
            return Decision::of(commands);
        }
        if remains.instances.is_empty() {
            let left: Vec<Value> = finalizers.into_iter().filter(|finalizer| finalizer != FINALIZER).collect();
            cox_objects::meta::set(&mut namespace, "spec.finalizers", left);
            return Decision::of(vec![Command::Update {
                key: key.clone(),
                subresource: "finalize",
                object: namespace,
            }]);
        }
        let before = namespace.pointer("/status/conditions").cloned().unwrap_or(Value::Null);
        let conditions = conditions(&before, &remains, now);
        if conditions == before {
            return Decision::none();
        }
        cox_objects::meta::set(&mut namespace, "status.conditions", conditions);
        Decision::of(vec![Command::Update { key: key.clone(), subresource: "status", object: namespace }])
    }
}

/// What keeps the namespace from going, in Kubernetes' words.
fn conditions(before: &Value, remains: &Remains, now: Timestamp) -> Value {
    let told = |all: &BTreeMap<String, usize>, what: &str| {
        all.iter()
            .map(|(name, count)| format!("{name} {what} {count} resource instances"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let instances = format!("Some resources are remaining: {}", told(&remains.instances, "has"));
    let held = format!("Some content in the namespace has finalizers remaining: {}", told(&remains.finalizers, "in"));
    let finalizers = match remains.finalizers.is_empty() {
        true => ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        false => ("True", "SomeFinalizersRemain", held.as_str()),
    };
    let deleted = "All content successfully deleted, may be waiting on finalization";
    let all = [
        (
            "NamespaceDeletionDiscoveryFailure",
            ("False", "ResourcesDiscovered", "All resources successfully discovered"),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        ("NamespaceDeletionContentFailure", ("False", "ContentDeleted", deleted)),
        ("NamespaceContentRemaining", ("True", "SomeResourcesRemain", instances.as_str())),
        ("NamespaceFinalizersRemaining", finalizers),
    ];
    let before = before.as_array().map(Vec::as_slice).unwrap_or_default();
    let condition = |(kind, (status, reason, message)): (&str, (&str, &str, &str))| {
        let old = before.iter().find(|old| old.get("type").is_some_and(|t| t == kind));
        let since = old.filter(|old| old.get("status").is_some_and(|s| s == status));
        let since = since.and_then(|old| old.get("lastTransitionTime")).cloned();
        json!({"type": kind, "status": status, "reason": reason, "message": message,
               "lastTransitionTime": since.unwrap_or_else(|| time::format(now).into())})
    };
    all.into_iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use cox_objects::kinds;

    use super::*;
    use crate::testing::Cluster;

    fn world() -> (Cluster, Namespaces, Key) {
        let mut cluster = Cluster::new();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let key = cluster.create(namespace);
        (cluster, Namespaces::new(&kinds::builtin()), key)
    }

    fn config(finalizers: &[&str]) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": finalizers}})
    }

    #[test]
    fn a_namespace_goes_with_all_that_is_in_it() {
        let (mut cluster, mut core, key) = world();
        let content = cluster.create(config(&[]));
        cluster.settle(&mut core);
        assert!(cluster.has(&content), "only a deleted one is emptied");
        cluster.delete(&key);
        cluster.settle(&mut core);
        assert!(!cluster.has(&content) && !cluster.has(&key));
    }

    #[test]
    fn what_holds_it_is_told() {
        let (mut cluster, mut core, key) = world();
        let content = cluster.create(config(&["x.io/hold"]));
        cluster.delete(&key);
        cluster.settle(&mut core);
        let conditions = cluster.value(&key)["status"]["conditions"].clone();
        assert_eq!(conditions.as_array().unwrap().len(), 5);
        assert_eq!(conditions[3]["message"], "Some resources are remaining: configmaps. has 1 resource instances");
        assert_eq!(
            conditions[4]["message"],
            "Some content in the namespace has finalizers remaining: x.io/hold in 1 resource instances"
        );
        cluster.merge(&content, &json!({"metadata": {"finalizers": null}}));
        assert_eq!(cluster.news(&mut core), std::slice::from_ref(&key));
        cluster.settle(&mut core);
        assert!(!cluster.has(&key));
    }

    #[test]
    fn pods_end_before_what_they_may_need_is_taken() {
        let (mut cluster, mut core, key) = world();
        let content = cluster.create(config(&[]));
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "a"}});
        let pod = cluster.create(pod);
        cluster.delete(&key);
        cluster.settle(&mut core);
        assert!(!cluster.value(&pod)["metadata"]["deletionTimestamp"].is_null());
        assert!(cluster.value(&content)["metadata"].get("deletionTimestamp").is_none());
        cluster.remove(&pod);
        cluster.settle(&mut core);
        assert!(!cluster.has(&content) && !cluster.has(&key));
    }
}
