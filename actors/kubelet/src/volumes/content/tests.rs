//! Volumes hold what the API promises.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::{Value, json};

use super::*;

struct Fixed;

impl Sources for Fixed {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        let map = json!({"data": {"a": "1", "b": "2"}, "binaryData": {"c": "AAE="}});
        (name == "cm").then(|| Arc::new(serde_json::from_value(map).unwrap()))
    }
    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        (name == "s").then(|| Arc::new(serde_json::from_value(json!({"data": {"k": "dmFs"}})).unwrap()))
    }
}

impl Tokens for Fixed {
    fn token(&self, projection: &ServiceAccountTokenProjection) -> Result<String, String> {
        Ok(format!("token for {:?}", projection.audience))
    }
}

fn read(volume: Value) -> Result<Option<Files>, ContentError> {
    read_as(volume, json!({}))
}

fn read_as(volume: Value, security: Value) -> Result<Option<Files>, ContentError> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "labels": {"x": "y"}},
        "spec": {"securityContext": security, "containers": [{"name": "a"}, {"name": "b"}]},
    }))
    .unwrap();
    let facts = PodFacts::default();
    let volume: Volume = serde_json::from_value(volume).unwrap();
    files(&volume, &Origins { pod: &pod, facts: &facts, sources: &Fixed, tokens: &Fixed, owner: Ownership::of(&pod) })
}

fn paths(files: &Files) -> Vec<(&str, u32)> {
    files.iter().map(|(path, file)| (path.as_str(), file.mode)).collect()
}

#[test]
fn all_keys_or_the_listed_ones() {
    let all = read(json!({"name": "v", "configMap": {"name": "cm", "defaultMode": 256}})).unwrap().unwrap();
    assert_eq!(paths(&all), [("a", 256), ("b", 256), ("c", 256)]);
    assert_eq!(all["c"].data, [0, 1]);
    let items = json!([{"key": "a", "path": "d/e", "mode": 384}]);
    let some = read(json!({"name": "v", "configMap": {"name": "cm", "items": items}})).unwrap().unwrap();
    assert_eq!(paths(&some), [("d/e", 384)]);
}

#[test]
fn what_is_missing_is_worded_as_recorded_unless_optional() {
    let error = |volume| read(volume).unwrap_err().to_string();
    assert_eq!(error(json!({"name": "v", "configMap": {"name": "nope"}})), "configmap \"nope\" not found");
    assert_eq!(
        error(json!({"name": "v", "secret": {"secretName": "s", "items": [{"key": "zz", "path": "p"}]}})),
        "references non-existent secret key: zz"
    );
    let optional = read(json!({"name": "v", "secret": {"secretName": "nope", "optional": true}})).unwrap().unwrap();
    assert!(optional.is_empty());
}

#[test]
fn projected_sources_come_together() {
    let sources = json!([
        {"serviceAccountToken": {"path": "token", "audience": "a"}},
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]);
    let got = read(json!({"name": "v", "projected": {"sources": sources, "defaultMode": 420}})).unwrap().unwrap();
    assert_eq!(paths(&got), [("ca.crt", 420), ("namespace", 420), ("token", 420)]);
    assert_eq!(got["namespace"].data, b"ns");
}

#[test]
fn tokens_are_for_the_pods_user_and_group() {
    let volume = || {
        json!({"name": "v", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "cm", "items": [{"key": "a", "path": "a"}]}},
        ]}})
    };
    let look = |security| {
        let files = read_as(volume(), security).unwrap().unwrap();
        [&files["a"], &files["token"]].map(|file| (file.mode, file.user))
    };
    assert_eq!(look(json!({})), [(0o644, None), (0o644, None)]);
    assert_eq!(look(json!({"fsGroup": 9})), [(0o644, None), (0o600, None)]);
    assert_eq!(look(json!({"runAsUser": 7})), [(0o644, None), (0o600, Some(7))]);
}

#[test]
fn what_is_not_implemented_is_not_made() {
    for source in ["clusterTrustBundle", "podCertificate"] {
        let mut part = json!({});
        part[source] = json!({"path": "p", "signerName": "s", "keyType": "ED25519"});
        let error = read(json!({"name": "v", "projected": {"sources": [part]}})).unwrap_err();
        assert_eq!(error, ContentError::Unsupported(source));
    }
    for source in
        ["nfs", "iscsi", "csi", "persistentVolumeClaim", "ephemeral", "rbd", "cephfs", "fc", "gitRepo", "azureDisk"]
    {
        let mut volume = json!({"name": "v"});
        volume[source] = json!({});
        // The manager fails such a volume: nothing made of files, and nothing that it knows.
        assert_eq!(read(volume).unwrap(), None, "{source}");
    }
}

#[test]
fn other_volumes_are_not_made_of_files() {
    assert_eq!(read(json!({"name": "v", "emptyDir": {}})).unwrap(), None);
}
