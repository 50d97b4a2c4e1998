//! Reading metadata from bytes, and reaching into values.

use serde_json::json;

use super::*;
use crate::Draft;

#[test]
fn metadata_are_read_from_the_stored_bytes() {
    let object = Draft::encode(&json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "web", "namespace": "default", "uid": "u", "generation": 3, "labels": {"app": "a\"b"}, "finalizers": ["x/y"],
            "annotations": {"k": "v"}, "deletionTimestamp": "2026-11-21T10:04:55Z", "deletionGracePeriodSeconds": 30,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "o", "controller": true}],
        },
        "spec": {"containers": []},
    }))
    .unwrap()
    .seal(7);
    let meta = Meta::of(&object).unwrap();
    assert_eq!(
        (meta.name.as_str(), meta.namespace.as_str(), meta.resource_version.as_str(), meta.generation),
        ("web", "default", "7", 3)
    );
    assert_eq!(meta.labels.get("app").unwrap(), "a\"b");
    assert!(meta.is_deleted() && meta.is_owned_by("o") && meta.has_finalizer("x/y"));
    assert_eq!(meta.controller().unwrap().name, "rs");
    assert_eq!(meta.annotation("k").as_deref(), Some("v"));
}

#[test]
fn only_the_metadata_of_stored_bytes_are_read() {
    let whole =
        Draft::encode(&json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}, "spec": {"a": [1]}}));
    let whole = whole.unwrap().seal(12);
    let cut = whole.bytes().slice(..whole.bytes().len() - 5);
    let object = Object::from_stored(cut).unwrap();
    let meta = Meta::of(&object).unwrap();
    assert_eq!((meta.name.as_str(), meta.resource_version.as_str()), ("web", "12"));
}

#[test]
fn null_counts_as_absent() {
    let meta = Meta::from_slice(
        br#"{"metadata":{"labels":null,"finalizers":null,"generation":null,"deletionTimestamp":null}}"#,
    )
    .unwrap();
    assert!(meta.labels.is_empty() && meta.finalizers.is_empty() && !meta.is_deleted());
    assert!(Meta::from_slice(b"{}").unwrap().name.is_empty());
}

#[test]
fn values_are_reached_by_path() {
    let mut value = json!({"spec": {"nodeName": "n", "replicas": 2}});
    set(&mut value, "status.phase", "Running");
    set(&mut value, "spec.nodeName.deep", 1);
    assert_eq!(value, json!({"spec": {"nodeName": {"deep": 1}, "replicas": 2}, "status": {"phase": "Running"}}));
    assert_eq!(
        (text(&value, "status.phase"), int(&value, "spec.replicas"), text(&value, "spec.none.x")),
        ("Running", 2, "")
    );
    assert_eq!(remove(&mut value, "spec.nodeName.deep"), Some(json!(1)));
    assert_eq!(remove(&mut value, "nothing.here"), None);
}
