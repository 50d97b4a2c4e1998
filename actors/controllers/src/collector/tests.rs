//! What becomes of dependents, by what happens to their owners.

use std::sync::Arc;

use cox_kit::Command;
use cox_objects::{Key, Resource, kinds};
use serde_json::{Value, json};

use super::*;
use crate::testing::Cluster;

fn collector() -> Collector {
    Collector::new(Arc::new(kinds::builtin()))
}

fn config(name: &str, owners: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}})
}

fn owner(kind: &str, name: &str, uid: &str, blocks: bool) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": blocks})
}

fn uid(cluster: &Cluster, key: &Key) -> String {
    cluster.value(key)["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[test]
fn dependents_go_with_their_last_owner() {
    let (mut cluster, mut core) = (Cluster::new(), collector());
    let (a, b) = (cluster.create(config("a", &[])), cluster.create(config("b", &[])));
    let (of_a, of_b) = (uid(&cluster, &a), uid(&cluster, &b));
    let one = cluster.create(config("one", &[owner("ConfigMap", "a", &of_a, false)]));
    let two = owner("ConfigMap", "b", &of_b, false);
    let both = cluster.create(config("both", &[owner("ConfigMap", "a", &of_a, false), two.clone()]));
    cluster.settle(&mut core);
    assert!(cluster.has(&one) && cluster.has(&both));
    cluster.remove(&a);
    assert_eq!(cluster.news(&mut core), [both.clone(), one.clone()], "a deletion wakes the dependents");
    cluster.settle(&mut core);
    assert!(!cluster.has(&one));
    assert_eq!(cluster.value(&both)["metadata"]["ownerReferences"], json!([two]));
    cluster.remove(&b);
    cluster.settle(&mut core);
    assert!(!cluster.has(&both));
}

#[test]
fn an_owner_of_another_uid_or_kind_is_none_and_an_unknown_kind_keeps_the_object() {
    let (mut cluster, mut core) = (Cluster::new(), collector());
    let a = cluster.create(config("a", &[]));
    let of_a = uid(&cluster, &a);
    let wrong_uid = cluster.create(config("uid", &[owner("ConfigMap", "a", "1111", false)]));
    let wrong_kind = cluster.create(config("kind", &[owner("Secret", "a", &of_a, false)]));
    let unknown = cluster.create(config("unknown", &[owner("Nothing", "a", &of_a, false)]));
    cluster.settle(&mut core);
    assert!(!cluster.has(&wrong_uid) && !cluster.has(&wrong_kind));
    assert!(cluster.has(&unknown) && cluster.has(&a));
}

#[test]
fn a_foreground_deletion_waits_for_those_that_block_it() {
    let (mut cluster, mut core) = (Cluster::new(), collector());
    let a = cluster.create(config("a", &[]));
    let of_a = uid(&cluster, &a);
    let hold = json!({"metadata": {"finalizers": ["x.io/hold"]}});
    let blocks = cluster.create(config("blocks", &[owner("ConfigMap", "a", &of_a, true)]));
    let not = cluster.create(config("not", &[owner("ConfigMap", "a", &of_a, false)]));
    for key in [&blocks, &not] {
        cluster.merge(key, &hold);
    }
    cluster.merge(&a, &json!({"metadata": {"finalizers": ["foregroundDeletion"]}}));
    cluster.delete(&a);
    cluster.settle(&mut core);
    for key in [&blocks, &not] {
        assert!(!cluster.value(key)["metadata"]["deletionTimestamp"].is_null(), "{key}");
    }
    assert!(cluster.has(&a));
    cluster.merge(&blocks, &json!({"metadata": {"finalizers": null}}));
    assert_eq!(cluster.news(&mut core), std::slice::from_ref(&a));
    cluster.settle(&mut core);
    assert!(!cluster.has(&a) && cluster.has(&not));
}

#[test]
fn orphaned_dependents_stay_without_owner() {
    let (mut cluster, mut core) = (Cluster::new(), collector());
    let a = cluster.create(config("a", &[]));
    let of_a = uid(&cluster, &a);
    let dependent = cluster.create(config("d", &[owner("ConfigMap", "a", &of_a, true)]));
    cluster.merge(&a, &json!({"metadata": {"finalizers": ["orphan"]}}));
    cluster.delete(&a);
    cluster.settle(&mut core);
    assert!(!cluster.has(&a));
    assert_eq!(cluster.value(&dependent)["metadata"].get("ownerReferences"), None);
}

#[test]
fn an_owner_in_another_namespace_is_told_of() {
    let (mut cluster, mut core) = (Cluster::new(), collector());
    let mut elsewhere = config("a", &[]);
    elsewhere["metadata"]["namespace"] = json!("other");
    let a = cluster.create(elsewhere);
    let of_a = uid(&cluster, &a);
    let dependent = cluster.create(config("d", &[owner("ConfigMap", "a", &of_a, false)]));
    cluster.settle(&mut core);
    assert!(!cluster.has(&dependent));
    assert_eq!(cluster.notes[0].0, "OwnerRefInvalidNamespace");
}

#[test]
fn a_deletion_names_the_version_that_was_judged() {
    let (mut cluster, mut core) = (Cluster::new(), collector());
    let key = cluster.create(config("d", &[owner("ConfigMap", "a", "gone", false)]));
    let decision = cluster.decide(&mut core, &key);
    let Command::Delete { uid, revision, propagation, .. } = &decision.commands[0] else { panic!("{decision:?}") };
    assert!(uid.is_some() && *revision == Some(1));
    assert_eq!(*propagation, Some(Propagation::Background));
    assert_eq!(key.resource, Resource::CONFIGMAPS);
}
