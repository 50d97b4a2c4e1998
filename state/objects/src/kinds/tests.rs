//! The table of kinds agrees with recorded discovery, and views with what they are views of.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::builtin;
use crate::{Kind, Resource};

#[test]
fn every_line_of_the_table_is_a_kind() {
    assert_eq!(builtin().all().len(), super::TABLE.lines().count());
}

#[test]
fn groups_and_versions_come_in_discovery_order() {
    let kinds = builtin();
    let mut versions: Vec<String> = kinds.all().iter().map(|k| k.api_version()).collect();
    versions.dedup();
    assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), versions.len(), "a group version's kinds are together");
    assert_eq!(&versions[..4], ["v1", "apiregistration.k8s.io/v1", "apps/v1", "events.k8s.io/v1"]);
    let v2 = versions.iter().position(|v| v == "autoscaling/v2").unwrap();
    assert_eq!(versions[v2 + 1], "autoscaling/v1", "the preferred version is first");
    assert_eq!(versions.last().unwrap(), "flowcontrol.apiserver.k8s.io/v1");
}

#[test]
fn kinds_that_share_storage_are_views_of_the_stored_one() {
    let kinds = builtin();
    let event = kinds.at("events.k8s.io", "v1", "events").unwrap();
    assert_eq!(event.resource, Resource::EVENTS);
    assert_eq!(kinds.stored(&event.resource).unwrap().api_version(), "v1");
    let v1 = kinds.at("autoscaling", "v1", "horizontalpodautoscalers").unwrap();
    let v2 = kinds.at("autoscaling", "v2", "horizontalpodautoscalers").unwrap();
    assert_eq!((&v1.resource, &v1.storage_hash), (&v2.resource, &v2.storage_hash));
    assert_eq!(kinds.stored(&v1.resource).unwrap().version, "v2");
    for kind in kinds.all().iter().filter(|k| k.stored) {
        assert!(kinds.stored(&kind.resource).is_some(), "{} has a stored form", kind.plural);
    }
}

#[test]
fn reviews_are_answered_and_not_stored() {
    let kinds = builtin();
    for (group, plural) in
        [("", "bindings"), ("authorization.k8s.io", "subjectaccessreviews"), ("authentication.k8s.io", "tokenreviews")]
    {
        let kind = kinds.at(group, "v1", plural).unwrap();
        assert!(!kind.stored && kind.allows("create") && !kind.allows("get"), "{plural}");
    }
    assert!(!kinds.named("apiextensions.k8s.io/v1", "CustomResourceDefinition").unwrap().served);
    assert!(kinds.named("v1", "Pod").unwrap().served);
}

/// The recorded `APIResourceList`s say the same as the table.
#[test]
fn the_table_agrees_with_recorded_discovery() {
    let kinds = builtin();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/cases/discovery");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let case: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for step in case["steps"].as_array().unwrap() {
            let list = &step["response"]["body"];
            let Some(version) = list["groupVersion"].as_str().filter(|v| !v.contains('{')) else { continue };
            for resource in list["resources"].as_array().unwrap() {
                seen += usize::from(agrees(&kinds, version, resource));
            }
        }
    }
    assert!(seen > 100, "only {seen} resources were recorded");
}

fn agrees(kinds: &crate::Kinds, version: &str, recorded: &Value) -> bool {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let name = recorded["name"].as_str().unwrap();
    let texts = |v: &Value| -> Vec<String> { serde_json::from_value(v.clone()).unwrap_or_default() };
    if let Some((plural, subresource)) = name.split_once('/') {
        let sub = kinds.at(group, version, plural).unwrap().subresource(subresource).unwrap();
        assert_eq!(sub.kind, recorded["kind"], "{name}");
        assert_eq!(sub.verbs, texts(&recorded["verbs"]), "{name}");
        assert_eq!(sub.group, recorded["group"].as_str().unwrap_or(""), "{name}");
        return true;
    }
    let kind: &Kind = kinds.at(group, version, name).unwrap();
    assert_eq!(kind.kind, recorded["kind"]);
    assert_eq!(kind.singular, recorded["singularName"]);
    assert_eq!(kind.namespaced, recorded["namespaced"]);
    assert_eq!(kind.verbs, texts(&recorded["verbs"]), "{name}");
    assert_eq!(kind.short_names, texts(&recorded["shortNames"]), "{name}");
    assert_eq!(kind.categories, texts(&recorded["categories"]), "{name}");
    assert_eq!(kind.storage_hash, recorded["storageVersionHash"].as_str().unwrap_or(""), "{name}");
    true
}
