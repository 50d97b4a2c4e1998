//! Views of stored kinds lose nothing on the way out and back.

use serde_json::{Value, json};

use super::{differs, from_stored, to_stored};
use crate::kinds::builtin;
use crate::schema::{self, schema};

fn served(group: &str, version: &str, plural: &str) -> crate::Kind {
    builtin().at(group, version, plural).unwrap().as_ref().clone()
}

fn whole(value: &Value) -> Value {
    let owner = schema().named(value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap()).unwrap();
    let read = schema::check(value, owner).unwrap();
    assert_eq!(read.strict, Vec::<String>::new());
    read.value
}

#[test]
fn only_views_differ() {
    for kind in builtin().all() {
        let view = kind.stored && builtin().stored(&kind.resource).unwrap().api_version() != kind.api_version();
        assert_eq!(differs(kind), view, "{}", kind.api_version());
    }
}

#[test]
fn an_event_is_the_same_in_both_groups() {
    let kind = served("events.k8s.io", "v1", "events");
    let core = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"},
        "message": "m", "reason": "r", "source": {"component": "kubelet"}, "count": 3, "type": "Normal", "eventTime": null,
        "firstTimestamp": "2030-01-01T00:00:00Z", "lastTimestamp": null, "reportingComponent": "", "reportingInstance": "",
    });
    let seen = whole(&from_stored(&kind, core.clone()));
    let expected = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "eventTime": null, "note": "m",
        "regarding": {"kind": "Pod", "name": "p"}, "reason": "r", "deprecatedSource": {"component": "kubelet"},
        "deprecatedCount": 3, "type": "Normal", "deprecatedFirstTimestamp": "2030-01-01T00:00:00Z",
        "deprecatedLastTimestamp": null,
    });
    assert_eq!(seen, expected);
    assert_eq!(whole(&to_stored(&kind, seen)), core);
}

fn autoscaler(spec: Value, status: Value) -> Value {
    let spec = [json!({"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3}), spec];
    let spec: serde_json::Map<String, Value> =
        spec.iter().flat_map(|v| v.as_object().unwrap().clone().into_iter()).collect();
    whole(&json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": spec, "status": status,
    }))
}

#[test]
fn what_v1_has_no_field_for_is_in_annotations_and_comes_back() {
    let kind = served("autoscaling", "v1", "horizontalpodautoscalers");
    let target = |v: Value| json!({"type": "AverageValue", "averageValue": v});
    let stored = autoscaler(
        json!({
            "metrics": [
                {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": target(json!("5"))}},
                {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "n"},
                    "target": {"type": "Value", "value": "7"}}},
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}]}},
        }),
        json!({
            "desiredReplicas": 2,
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 30, "averageValue": "0"}}}],
            "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2030-01-01T00:00:00Z"}],
        }),
    );
    let seen = from_stored(&kind, stored.clone());
    assert_eq!(seen["spec"]["targetCPUUtilizationPercentage"], 60);
    assert_eq!(seen["status"]["currentCPUUtilizationPercentage"], 30);
    let notes = &seen["metadata"]["annotations"];
    assert_eq!(
        notes["autoscaling.alpha.kubernetes.io/current-metrics"],
        r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":30,"currentAverageValue":"0"}}]"#
    );
    assert!(notes["autoscaling.alpha.kubernetes.io/behavior"].as_str().unwrap().starts_with(r#"{"ScaleUp":null,"#));
    whole(&seen);
    assert_eq!(whole(&to_stored(&kind, seen)), stored);
}

#[test]
fn cpu_utilization_alone_needs_no_annotation() {
    let kind = served("autoscaling", "v1", "horizontalpodautoscalers");
    let sent = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3, "targetCPUUtilizationPercentage": 60},
        "status": {"currentReplicas": 0, "desiredReplicas": 0},
    });
    let stored = to_stored(&kind, sent.clone());
    assert_eq!(stored["apiVersion"], "autoscaling/v2");
    assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 60);
    assert_eq!(whole(&from_stored(&kind, whole(&stored))), sent);
}

#[test]
fn metadata_alone_has_no_annotations_that_stand_for_fields() {
    let kind = served("apps", "v1", "daemonsets");
    let key = "deprecated.daemonset.template.generation";
    let stored = json!({"metadata": {"name": "d", "annotations": {key: "1"}}});
    assert_eq!(super::metadata(&kind, &stored), json!({"name": "d"}));
    let noted = json!({"metadata": {"name": "d", "annotations": {key: "1", "note": "x"}}});
    assert_eq!(super::metadata(&kind, &noted), json!({"name": "d", "annotations": {"note": "x"}}));
    assert_eq!(super::metadata(&served("apps", "v1", "deployments"), &noted), noted["metadata"]);
}
