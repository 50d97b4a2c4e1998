//! Replays recorded creations and updates through defaults, preparation and validation, and compares what Kubernetes answered.

mod compare;
mod recorded;

use std::collections::BTreeMap;

use cox_objects::{Kinds, Status, kinds};
use serde_json::{Value, json};

use super::{
    default_object, prepare_allocation, prepare_create, prepare_update, validate_create, validate_update, warnings,
};
use recorded::{Case, Step, Target};

/// Kinds whose rules are all here; of others only what was recorded so far is compared when they are named.
const COMPLETE: &[&str] = &[
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "replicasets.apps",
    "deployments.apps",
    "services",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "configmaps",
    "secrets",
    "serviceaccounts",
    "namespaces",
    "nodes",
    "events",
    "leases.coordination.k8s.io",
    "ipaddresses.networking.k8s.io",
    "servicecidrs.networking.k8s.io",
    "priorityclasses.scheduling.k8s.io",
    "runtimeclasses.node.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "daemonsets.apps",
    "statefulsets.apps",
    "controllerrevisions.apps",
    "jobs.batch",
    "cronjobs.batch",
    "poddisruptionbudgets.policy",
    "ingresses.networking.k8s.io",
    "ingressclasses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "persistentvolumes",
    "persistentvolumeclaims",
    "storageclasses.storage.k8s.io",
    "csidrivers.storage.k8s.io",
    "limitranges",
    "resourcequotas",
    "horizontalpodautoscalers.autoscaling",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
];

/// Steps whose answer is not made by these rules.
const ELSEWHERE: &[(&str, &str)] = &[
    ("admission/map-", "a mutating policy changed the object"),
    ("admission/node-taint-admission/", "admission adds the taint"),
    ("admission/pod-security-warn/", "admission warns"),
    ("admission/runtime-class/pod", "admission adds what the class says"),
    ("admission/vap-warn-audit/warned", "admission warns"),
    ("admission/vap-invalid/", "policies are stored without reading their expressions"),
    ("admission/webhook-", "webhooks are stored without being checked"),
    ("validation/mutating-admission-policy/", "policies are stored without reading their expressions"),
    ("validation/webhooks/", "webhooks are stored without being checked"),
    ("validation/flowcontrol/", "flow control is stored without being checked"),
    ("kinds/autoscaling-horizontalpodautoscaler-v1/put-status", "a conversion adds the annotation"),
    ("content/field-validation/", "the schema drops unknown fields"),
    ("content/large-bodies/long-generate-name", "the end of a generated name differs"),
    ("content/times-and-durations/", "the schema brings times into their form"),
    ("errors/bad-bodies/unknown-field-warn", "the schema drops unknown fields"),
    ("kinds/core-node/create", "admission adds a taint"),
    ("kinds/node-runtimeclass/put-without-version", "the store asks for a version"),
    ("kinds/table-", "answered as a Table, or with a taint of admission's"),
    ("patch/field-validation/", "the schema drops unknown fields"),
    ("patch/merge-identity-fields/", "the patched object does not decode"),
    ("subresources/status-put/main-without-what-was-added", "admission adds tolerations first"),
    ("validation/service-cluster-ip/out-of-range", "the allocator refuses"),
    ("validation/service-cluster-ip/clash", "the allocator refuses"),
];

#[test]
fn recorded_writes_get_kubernetes_answers() {
    let kinds = kinds::builtin();
    let (mut compared, mut failures) = (0, Vec::new());
    for case in recorded::cases() {
        let mut stored: BTreeMap<String, Value> = BTreeMap::new();
        for step in &case.steps {
            if let Some(found) = replay(&kinds, &case, step, &stored) {
                compared += 1;
                failures.extend(found.into_iter().map(|text| format!("{}/{}: {text}", case.name, step.id)));
            }
            remember(step, &mut stored);
        }
    }
    assert!(compared > 400, "only {compared} recorded steps could be compared");
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}

/// Keeps what the server answered, so that the next update starts from it.
fn remember(step: &Step, stored: &mut BTreeMap<String, Value>) {
    let Some(target) = Target::parse(step) else { return };
    let path = target.object_path(&step.answer);
    let named = step.answer["metadata"]["name"].is_string() && step.answer["kind"] != "Status";
    if (200..300).contains(&step.status) && named && !target.dry_run {
        stored.insert(path, step.answer.clone());
    }
}

/// The differences from what was recorded, or nothing if these rules do not decide this step.
fn replay(kinds: &Kinds, case: &Case, step: &Step, stored: &BTreeMap<String, Value>) -> Option<Vec<String>> {
    let target = Target::parse(step)?;
    let kind = kinds.at(&target.group, &target.version, &target.plural)?;
    if !COMPLETE.contains(&kind.resource.as_str())
        || !["", "status", "ephemeralcontainers", "resize"].contains(&target.subresource.as_str())
    {
        return None;
    }
    let id = format!("{}/{}", case.name, step.id);
    if ELSEWHERE.iter().any(|(start, _)| id.starts_with(start))
        || !matches!(step.status, 200 | 201 | 422)
        || step.unusable()
    {
        return None;
    }
    let about = &step.answer["details"]["kind"];
    if step.status == 422 && (*about != kind.kind.as_str() || step.refused_by_policy()) {
        return None;
    }
    let old = match step.method.as_str() {
        "POST" => None,
        _ => Some(stored.get(&target.object_path(&Value::Null))?),
    };
    let mut object = step.wanted(old)?;
    compare::drop_nulls(&mut object);
    if !object.is_object() || object.get("metadata").is_some_and(|m| !m.is_object()) {
        return None;
    }
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    if kind.namespaced {
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    if old.is_none() {
        object["metadata"]["uid"] = step.answer["metadata"]["uid"].clone();
    }
    if let Some(prefix) = object["metadata"]["generateName"].as_str().filter(|_| object["metadata"]["name"].is_null()) {
        object["metadata"]["name"] = json!(format!("{}abcde", prefix.chars().take(58).collect::<String>()));
    }
    default_object(kind, &mut object, old);
    let mut errors = Vec::new();
    if target.subresource.is_empty() {
        errors = prepare_allocation(kind, &mut object, old);
        compare::allocate(&mut object, &step.answer);
    }
    if errors.is_empty() {
        match old {
            None => prepare_create(kind, &mut object, "2030-01-01T00:00:00Z"),
            Some(old) => prepare_update(kind, &target.subresource, &mut object, old),
        }
        compare::admit(kind, &mut object);
        errors = match old {
            None => validate_create(kind, &object),
            Some(old) => validate_update(kind, &target.subresource, &object, old),
        };
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    if step.status == 422 {
        let ours = Status::invalid(kind.resource.group(), &kind.kind, name, &errors).to_value();
        found.extend(compare::refusals(&ours, &step.answer, errors.is_empty()));
    } else if errors.is_empty() {
        found.extend(compare::objects(kind, &object, &step.answer));
        let ours = warnings(kind, &object, old);
        found.extend(compare::warnings(&ours, &step.warnings));
    } else {
        found.push(format!("refused, though accepted by Kubernetes: {errors:?}"));
    }
    Some(found)
}
