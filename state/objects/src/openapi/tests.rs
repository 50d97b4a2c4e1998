//! The documents: complete, consistent, and with what kubectl looks for.

use serde_json::Value;

use super::{document, index};
use crate::kinds::builtin;

fn read(path: &str) -> Value {
    serde_json::from_slice(&document(&builtin(), path).unwrap()).unwrap()
}

#[test]
fn the_index_has_every_served_group_version_and_leads_to_a_document() {
    let kinds = builtin();
    let index = index(&kinds);
    let paths = index["paths"].as_object().unwrap();
    for kind in kinds.all() {
        let path = if kind.group.is_empty() { "api/v1".to_owned() } else { format!("apis/{}", kind.api_version()) };
        assert_eq!(paths.contains_key(&path), kind.served, "{path}");
    }
    for (path, entry) in paths {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        assert!(url.starts_with(&format!("/openapi/v3/{path}?hash=")), "{url}");
        read(path);
    }
    assert_eq!(document(&kinds, "apis/nothing.example.com/v1"), None);
}

#[test]
fn every_reference_has_its_schema() {
    for path in ["api/v1", "apis/apps/v1", "apis/resource.k8s.io/v1", "version", "apis", "api", "apis/apps"] {
        let document = read(path);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in document.to_string().split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{path}: {name}");
        }
    }
}

#[test]
fn every_patch_operation_says_its_kind_and_takes_field_validation() {
    let kinds = builtin();
    for kind in kinds.all().iter().filter(|k| k.served && k.allows("patch")) {
        let api = if kind.group.is_empty() { "api" } else { "apis" };
        let base = format!("{api}/{}", kind.api_version());
        let document = read(&base);
        let middle = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
        let patch = &document["paths"][format!("/{base}/{middle}{}/{{name}}", kind.plural)]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], kind.kind, "{}", kind.plural);
        let has = patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation");
        assert!(has, "{}", kind.plural);
    }
}

#[test]
fn schemas_of_kinds_say_which_kind_and_describe_their_fields() {
    let document = read("apis/apps/v1");
    let schema = &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Deployment");
    let spec = &document["components"]["schemas"]["io.k8s.api.apps.v1.DeploymentSpec"]["properties"];
    assert!(spec["replicas"]["description"].as_str().unwrap().contains("desired pods"));
    assert_eq!(spec["strategy"]["x-kubernetes-patch-strategy"], "retainKeys");
}

#[test]
fn operation_ids_are_unique_in_a_document() {
    let document = read("api/v1");
    let mut ids: Vec<&str> = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        ids.extend(item.as_object().unwrap().values().filter_map(|op| op.get("operationId")?.as_str()));
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert!(ids.contains(&"listCoreV1NamespacedPod") && ids.contains(&"replaceCoreV1NamespacedPodStatus"));
}

#[test]
fn watches_have_paths_of_their_own() {
    let document = read("api/v1");
    for (path, id, action) in [
        ("/api/v1/watch/namespaces/{namespace}/pods", "watchCoreV1NamespacedPodList", "watchlist"),
        ("/api/v1/watch/namespaces/{namespace}/pods/{name}", "watchCoreV1NamespacedPod", "watch"),
        ("/api/v1/watch/pods", "watchCoreV1PodListForAllNamespaces", "watchlist"),
        ("/api/v1/watch/nodes/{name}", "watchCoreV1Node", "watch"),
    ] {
        let get = &document["paths"][path]["get"];
        assert_eq!(
            (get["operationId"].as_str(), get["x-kubernetes-action"].as_str()),
            (Some(id), Some(action)),
            "{path}"
        );
    }
    assert!(!document["paths"].as_object().unwrap().contains_key("/api/v1/watch/bindings"));
}

#[test]
fn fields_with_few_values_say_which() {
    let document = read("api/v1");
    let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"];
    assert_eq!(spec["restartPolicy"]["enum"], serde_json::json!(["Always", "Never", "OnFailure"]));
    let description = spec["restartPolicy"]["description"].as_str().unwrap();
    assert!(description.contains("\n\nPossible enum values:\n - `\"Always\"`"), "{description}");
    let claim = &document["components"]["schemas"]["io.k8s.api.core.v1.PersistentVolumeClaimSpec"]["properties"];
    assert_eq!(claim["accessModes"]["items"]["enum"].as_array().map(Vec::len), Some(4));
}
