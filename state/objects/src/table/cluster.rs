//! The rows of namespaces, configuration, leases, classes and the other kinds with little to show.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::access::{count, flag, get, int, list, text, text_or};
use super::cells::{NONE, age, name};
use crate::time;

pub(super) fn namespace(namespace: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(namespace)), json!(text(namespace, "status.phase")), json!(age(namespace, now))]
}

pub(super) fn config_map(map: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(map)), json!(count(map, "data") + count(map, "binaryData")), json!(age(map, now))]
}

pub(super) fn secret(secret: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(secret)), json!(text(secret, "type")), json!(count(secret, "data")), json!(age(secret, now))]
}

pub(super) fn lease(lease: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(lease)), json!(text(lease, "spec.holderIdentity")), json!(age(lease, now))]
}

pub(super) fn priority_class(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(class)),
        json!(int(class, "value")),
        json!(flag(class, "globalDefault")),
        json!(age(class, now)),
        json!(text_or(class, "preemptionPolicy", "PreemptLowerPriority")),
    ]
}

pub(super) fn runtime_class(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![json!(name(class)), json!(text(class, "handler")), json!(age(class, now))]
}

pub(super) fn signing_request(request: &Value, now: Timestamp) -> Vec<Value> {
    let duration = match get(request, "spec.expirationSeconds").as_i64() {
        Some(seconds) => time::human_duration(SignedDuration::from_secs(seconds)),
        None => NONE.to_owned(),
    };
    let is = |kind: &str| list(request, "status.conditions").iter().any(|c| text(c, "type") == kind);
    let mut condition = if is("Denied") {
        "Denied"
    } else if is("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if is("Failed") {
        condition.push_str(",Failed");
    }
    if !text(request, "status.certificate").is_empty() {
        condition.push_str(",Issued");
    }
    vec![
        json!(name(request)),
        json!(age(request, now)),
        json!(text(request, "spec.signerName")),
        json!(text(request, "spec.username")),
        json!(duration),
        json!(condition),
    ]
}

pub(super) fn api_service(service: &Value, now: Timestamp) -> Vec<Value> {
    let place = match get(service, "spec.service") {
        Value::Null => "Local".to_owned(),
        reference => format!("{}/{}", text(reference, "namespace"), text(reference, "name")),
    };
    let available = list(service, "status.conditions").iter().find(|c| text(c, "type") == "Available");
    let available = match available.map(|c| (text(c, "status"), text(c, "reason"))) {
        None => "Unknown".to_owned(),
        Some(("True", _)) => "True".to_owned(),
        Some((status, reason)) => format!("{status} ({reason})"),
    };
    vec![json!(name(service)), json!(place), json!(available), json!(age(service, now))]
}

pub(super) fn resource_slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        json!(name(slice)),
        json!(text(slice, "spec.nodeName")),
        json!(text(slice, "spec.driver")),
        json!(text(slice, "spec.pool.name")),
        json!(age(slice, now)),
    ]
}

pub(super) fn resource_claim(claim: &Value, now: Timestamp) -> Vec<Value> {
    let deleted = !text(claim, "metadata.deletionTimestamp").is_empty();
    let allocated = get(claim, "status.allocation").is_object();
    let states = [
        (deleted, "deleted"),
        (!deleted && !allocated, "pending"),
        (allocated, "allocated"),
        (allocated && count(claim, "status.reservedFor") > 0, "reserved"),
    ];
    let states: Vec<&str> = states.iter().filter(|(holds, _)| *holds).map(|(_, state)| *state).collect();
    vec![json!(name(claim)), json!(states.join(",")), json!(age(claim, now))]
}
