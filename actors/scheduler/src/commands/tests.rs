//! What is written, and what is left as it is.

use cox_objects::Draft;
use serde_json::json;

use super::*;
use crate::testing::*;

fn stored(conditions: Value) -> (Object, Pod) {
    let mut object = manifest("p", json!({}));
    merge(&mut object, json!({"kind": "Pod", "apiVersion": "v1", "status": {"conditions": conditions}}));
    (Draft::encode(&object).unwrap().seal(7), read(&object))
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn body(command: Option<Command>) -> Value {
    match command {
        Some(Command::Patch { patch, .. }) => patch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_condition_is_added_beside_others_and_not_written_twice() {
    let other = json!({"type": "Other", "status": "True"});
    let (object, pod) = stored(json!([other]));
    let patch = body(unschedulable(&object, &pod, "why", None, now()));
    assert_eq!(patch["metadata"], json!({"uid": "uid-p", "resourceVersion": "7"}));
    let conditions = &patch["status"]["conditions"];
    assert_eq!(conditions[0], other);
    assert_eq!(
        conditions[1],
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "why", "lastProbeTime": null,
               "lastTransitionTime": "2023-11-14T22:13:20Z", "observedGeneration": 1}),
    );
    let (object, pod) = stored(conditions.clone());
    assert_eq!(unschedulable(&object, &pod, "why", None, now()), None);
}

#[test]
fn the_time_of_the_transition_stays_while_the_status_does() {
    let before = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "old",
                         "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": 1}]);
    let (object, pod) = stored(before);
    let patch = body(unschedulable(&object, &pod, "new", Some(None), now()));
    assert_eq!(patch["status"]["conditions"][0]["message"], "new");
    assert_eq!(patch["status"]["conditions"][0]["lastTransitionTime"], "2020-01-01T00:00:00Z");
    assert!(patch["status"].as_object().unwrap().contains_key("nominatedNodeName"));
}

#[test]
fn victims_are_told_why_and_deleted_as_themselves() {
    let (object, pod) = stored(json!([]));
    let commands = evict(&object, &pod, now());
    let [Command::Patch { patch, .. }, Command::Delete { uid, .. }] = commands.as_slice() else {
        panic!("{commands:?}")
    };
    assert_eq!(patch["status"]["conditions"][0]["reason"], "PreemptionByScheduler");
    assert_eq!(uid.as_deref(), Some("uid-p"));
}
