//! Which statuses of a Job may follow which.

use serde_json::{Value, json};

use super::validate;

fn conditions(types: &[&str]) -> Value {
    types.iter().map(|t| json!({"type": t, "status": "True"})).collect()
}

fn faults(spec: Value, old: Value, new: Value) -> Vec<String> {
    let job = |status| json!({"spec": spec, "status": status});
    let mut errors = Vec::new();
    validate(&mut errors, &job(new), &job(old));
    errors.iter().map(ToString::to_string).collect()
}

const START: &str = "2030-01-01T00:00:00Z";
const END: &str = "2030-01-01T00:05:00Z";

#[test]
fn a_job_that_did_its_work_is_complete() {
    let done = json!({
        "startTime": START, "completionTime": END, "succeeded": 1,
        "conditions": conditions(&["SuccessCriteriaMet", "Complete"]),
    });
    assert_eq!(faults(json!({}), json!({"startTime": START, "active": 1}), done.clone()), Vec::<String>::new());
    assert_eq!(faults(json!({}), done.clone(), done), Vec::<String>::new());
}

#[test]
fn each_ending_has_its_conditions() {
    let cases: &[(&str, Value, &str)] = &[
        (
            "failed without a target",
            json!({"startTime": START, "conditions": conditions(&["Failed"])}),
            "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            "before it began",
            json!({
                "startTime": END, "completionTime": START, "conditions": conditions(&["SuccessCriteriaMet", "Complete"]),
            }),
            "status.completionTime: Invalid value: \"2030-01-01T00:00:00Z\": completionTime cannot be set before startTime",
        ),
        (
            "never started",
            json!({"completionTime": END, "conditions": conditions(&["SuccessCriteriaMet", "Complete"])}),
            "status.startTime: Required value: startTime is required for finished job",
        ),
        (
            "still has pods",
            json!({"startTime": START, "active": 2, "conditions": conditions(&["FailureTarget", "Failed"])}),
            "status.active: Invalid value: 2: active>0 is invalid for finished job",
        ),
        (
            "indexes",
            json!({"completedIndexes": "1"}),
            "status.completedIndexes: Invalid value: \"1\": cannot set non-empty completedIndexes when non-indexed \
             completion mode",
        ),
        ("negative", json!({"active": -1}), "status.active: Invalid value: -1: must be greater than or equal to 0"),
        (
            "ready",
            json!({"ready": 2, "active": 1}),
            "status.ready: Invalid value: 2: cannot set more ready pods than active",
        ),
    ];
    for (name, status, expected) in cases {
        let found = faults(json!({"completionMode": "NonIndexed"}), json!({}), status.clone());
        assert_eq!(found, [*expected], "{name}");
    }
}

#[test]
fn what_was_counted_stays_counted() {
    let found = faults(json!({}), json!({"failed": 2, "succeeded": 2}), json!({"failed": 1, "succeeded": 1}));
    assert_eq!(
        found,
        [
            "status.failed: Invalid value: 1: cannot decrease the failed counter",
            "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
        ]
    );
    let elastic = json!({"completionMode": "Indexed", "completions": 1, "parallelism": 1});
    assert_eq!(faults(elastic, json!({"succeeded": 2}), json!({"succeeded": 1})), Vec::<String>::new());
}

#[test]
fn only_a_suspended_job_starts_again() {
    let running = json!({"startTime": START});
    assert_eq!(faults(json!({"suspend": true}), running.clone(), json!({})), Vec::<String>::new());
    let found = faults(json!({"suspend": false}), running, json!({}));
    assert_eq!(found, ["status.startTime: Invalid value: null: startTime cannot be removed for unsuspended job"]);
}
