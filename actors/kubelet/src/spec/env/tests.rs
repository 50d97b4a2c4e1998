//! The environment that a real kubelet gave, from the same pod.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::spec::fields::Allocatable;

struct Fixed;

impl Sources for Fixed {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        (name == "cm").then(|| Arc::new(serde_json::from_value(json!({"data": {"CMA": "1", "1bad": "2"}})).unwrap()))
    }
    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        (name == "s").then(|| Arc::new(serde_json::from_value(json!({"data": {"k": "dmFs"}})).unwrap()))
    }
}

fn environment(env: serde_json::Value, env_from: serde_json::Value) -> Result<Vec<(String, String)>, EnvError> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"containers": [{"name": "c", "env": env, "envFrom": env_from}]},
    }))
    .unwrap();
    let facts = PodFacts { allocatable: Allocatable { milli_cpu: 2000, ..Default::default() }, ..Default::default() };
    let links = vec![("WEB_SERVICE_HOST".to_owned(), "10.96.1.2".to_owned())];
    resolve(&pod, &pod.spec.as_ref().unwrap().containers[0], &facts, links, &Fixed)
}

#[test]
fn order_and_references_are_as_recorded() {
    let env = json!([
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "X1", "value": "[$(N)]"},
        {"name": "X2", "value": "$$(N) $(LATER) $(NS"},
        {"name": "LATER", "value": "l"},
        {"name": "X3", "value": "$(WEB_SERVICE_HOST):$(CMA)"},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]);
    let got =
        environment(env, json!([{"configMapRef": {"name": "cm"}}, {"prefix": "P_", "configMapRef": {"name": "cm"}}]));
    let got: BTreeMap<String, String> = got.unwrap().into_iter().collect();
    for (name, value) in [
        ("N", "p"),
        ("X1", "[p]"),
        ("X2", "$(N) $(LATER) $(NS"),
        ("X3", "10.96.1.2:1"),
        ("CPU", "2"),
        ("S", "val"),
        ("P_1bad", "2"),
        ("P_CMA", "1"),
        ("WEB_SERVICE_HOST", "10.96.1.2"),
    ] {
        assert_eq!(got.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn what_is_missing_is_worded_as_recorded() {
    let from =
        |reference| environment(json!([{"name": "A", "valueFrom": reference}]), json!([])).unwrap_err().to_string();
    assert_eq!(from(json!({"configMapKeyRef": {"name": "nope", "key": "k"}})), "configmap \"nope\" not found");
    assert_eq!(
        from(json!({"configMapKeyRef": {"name": "cm", "key": "zz"}})),
        "couldn't find key zz in ConfigMap ns/cm"
    );
    assert_eq!(from(json!({"secretKeyRef": {"name": "nope", "key": "k"}})), "secret \"nope\" not found");
}

#[test]
fn optional_sources_may_be_missing() {
    let env = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "nope", "key": "k", "optional": true}}}]);
    let got = environment(env, json!([{"secretRef": {"name": "nope", "optional": true}}])).unwrap();
    assert!(got.iter().all(|(name, _)| name != "A"));
}
