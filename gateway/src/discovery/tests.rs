//! Discovery as a Kubernetes 1.36 server gives it, compared with the recorded documents.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// The recorded answer of a step that GETs `path`, plain or aggregated.
fn recorded(case: &str, path: &str, is_aggregated: bool) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle/cases/discovery").join(case);
    let case: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let steps = case["steps"].as_array().unwrap();
    let wants = |step: &Value| step["headers"]["Accept"].as_str().is_some_and(|a| a == MEDIA_TYPE);
    let step = steps.iter().find(|s| s["method"] == "GET" && s["path"] == path && wants(s) == is_aggregated);
    step.unwrap()["response"]["body"].clone()
}

fn sorted(mut document: Value, list: &str, by: &str) -> Value {
    let items = document[list].as_array_mut().unwrap();
    items.sort_by_key(|item| item[by].as_str().unwrap_or_default().to_owned());
    document
}

#[test]
fn versions_are_described_as_recorded() {
    let kinds = cox_objects::kinds::builtin();
    for (case, group, version) in [
        ("group-apps.json", "apps", "v1"),
        ("group-autoscaling.json", "autoscaling", "v1"),
        ("group-batch.json", "batch", "v1"),
        ("group-storage-k8s-io.json", "storage.k8s.io", "v1"),
        ("group-rbac-authorization-k8s-io.json", "rbac.authorization.k8s.io", "v1"),
    ] {
        let theirs = recorded(case, &format!("/apis/{group}/{version}"), false);
        assert_eq!(
            sorted(group_version(&kinds, group, version), "resources", "name"),
            sorted(theirs, "resources", "name"),
            "{group}/{version}"
        );
        assert_eq!(super::group(&kinds, group), Some(recorded(case, &format!("/apis/{group}"), false)));
    }
    let core = recorded("core.json", "/api/v1", false);
    assert_eq!(sorted(group_version(&kinds, "", "v1"), "resources", "name"), sorted(core, "resources", "name"));
}

#[test]
fn aggregated_core_is_as_recorded() {
    let kinds = cox_objects::kinds::builtin();
    let theirs = recorded("core-aggregated.json", "/api", true);
    let ours: Value = serde_json::from_str(&aggregated(&kinds, true).0).unwrap();
    let resources = |v: &Value| sorted(v["items"][0]["versions"][0].clone(), "resources", "resource");
    assert_eq!(resources(&ours), resources(&theirs));
}

#[test]
fn all_groups_are_there() {
    let kinds = cox_objects::kinds::builtin();
    let unserved = ["apiextensions.k8s.io", "apiregistration.k8s.io"];
    let mut theirs = recorded("groups-in-order.json", "/apis", false);
    theirs["groups"].as_array_mut().unwrap().retain(|group| {
        let name = group["name"].as_str().unwrap();
        !unserved.contains(&name) && !name.ends_with(".example.com")
    });
    assert_eq!(sorted(group_list(&kinds), "groups", "name"), sorted(theirs, "groups", "name"));
}

#[test]
fn the_etag_follows_the_content() {
    let kinds = cox_objects::kinds::builtin();
    assert_eq!(aggregated(&kinds, true).1, aggregated(&kinds, true).1);
    assert_ne!(aggregated(&kinds, true).1, aggregated(&kinds, false).1);
    assert_eq!(versions("h:1")["serverAddressByClientCIDRs"][0]["serverAddress"], json!("h:1"));
}
