//! The rows of what sets rights, limits and rules.

pub(super) mod autoscaler;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{count, get, int, list, map, scalar, text, text_or};
use super::cells::{NONE, UNSET, age, name, selector};

pub(super) fn binding(binding: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| {
        let subjects = list(binding, "subjects").iter().filter(|s| text(s, "kind") == kind);
        let names = subjects.map(|s| match kind {
            "ServiceAccount" => format!("{}/{}", text(s, "namespace"), text(s, "name")),
            _ => text(s, "name").to_owned(),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    vec![
        json!(name(binding)),
        json!(format!("{}/{}", text(binding, "roleRef.kind"), text(binding, "roleRef.name"))),
        json!(age(binding, now)),
        json!(subjects("User")),
        json!(subjects("Group")),
        json!(subjects("ServiceAccount")),
    ]
}

pub(super) fn quota(quota: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in map(quota, "status.hard").into_iter().flatten() {
        let used = get(quota, "status.used").get(resource).and_then(Value::as_str).unwrap_or("0");
        let cell = format!("{resource}: {used}/{}", hard.as_str().unwrap_or("0"));
        if resource.starts_with("limits.") { limits.push(cell) } else { requests.push(cell) }
    }
    vec![json!(name(quota)), json!(requests.join(", ")), json!(limits.join(", ")), json!(age(quota, now))]
}

pub(super) fn disruption_budget(budget: &Value, now: Timestamp) -> Vec<Value> {
    let bound = |path: &str| scalar(budget, path).unwrap_or_else(|| "N/A".to_owned());
    vec![
        json!(name(budget)),
        json!(bound("spec.minAvailable")),
        json!(bound("spec.maxUnavailable")),
        json!(int(budget, "status.disruptionsAllowed")),
        json!(age(budget, now)),
    ]
}

pub(super) fn validating_policy(policy: &Value, now: Timestamp) -> Vec<Value> {
    admission_policy(policy, "spec.validations", now)
}

pub(super) fn mutating_policy(policy: &Value, now: Timestamp) -> Vec<Value> {
    admission_policy(policy, "spec.mutations", now)
}

fn admission_policy(policy: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let parameters = match get(policy, "spec.paramKind") {
        Value::Null => UNSET.to_owned(),
        kind => format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind")),
    };
    vec![json!(name(policy)), json!(count(policy, rules)), json!(parameters), json!(age(policy, now))]
}

pub(super) fn policy_binding(binding: &Value, now: Timestamp) -> Vec<Value> {
    let reference = get(binding, "spec.paramRef");
    let parameters = match (text(reference, "namespace"), text(reference, "name")) {
        ("", "") if get(reference, "selector").is_object() => selector(reference, "selector"),
        (_, "") => UNSET.to_owned(),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![json!(name(binding)), json!(text(binding, "spec.policyName")), json!(parameters), json!(age(binding, now))]
}

pub(super) fn webhooks(configuration: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(configuration)), json!(count(configuration, "webhooks")), json!(age(configuration, now))]
}

pub(super) fn flow_schema(schema: &Value, now: Timestamp) -> Vec<Value> {
    let dangling = list(schema, "status.conditions").iter().find(|c| text(c, "type") == "Dangling");
    vec![
        json!(name(schema)),
        json!(text(schema, "spec.priorityLevelConfiguration.name")),
        json!(int(schema, "spec.matchingPrecedence")),
        json!(text_or(schema, "spec.distinguisherMethod.type", NONE)),
        json!(age(schema, now)),
        json!(dangling.map_or("?", |c| text(c, "status"))),
    ]
}

pub(super) fn priority_level(level: &Value, now: Timestamp) -> Vec<Value> {
    let number = |path: &str| match get(level, path) {
        Value::Null => json!(NONE),
        number => number.clone(),
    };
    let shares = match get(level, "spec.limited") {
        Value::Null => number("spec.exempt.nominalConcurrencyShares"),
        _ => number("spec.limited.nominalConcurrencyShares"),
    };
    let queuing = |field: &str| number(&format!("spec.limited.limitResponse.queuing.{field}"));
    vec![
        json!(name(level)),
        json!(text(level, "spec.type")),
        shares,
        queuing("queues"),
        queuing("handSize"),
        queuing("queueLengthLimit"),
        json!(age(level, now)),
    ]
}
