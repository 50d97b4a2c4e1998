//! Replays recorded creations and updates through defaults, preparation and validation, and compares what Kubernetes answered.

mod compare;
mod recorded;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cox_objects::{Kinds, Status, kinds, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    default_object, prepare_allocation, prepare_create, prepare_update, validate_create, validate_update, warnings,
};
use recorded::{Case, Step, Target};

static KINDS: LazyLock<Kinds> = LazyLock::new(kinds::builtin);

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
    ("admission/webhook-invalid/match-condition", "expressions are not read"),
    ("validation/webhooks/condition", "expressions are not read"),
    ("validation/mutating-admission-policy/", "policies are stored without reading their expressions"),
    ("kinds/autoscaling-horizontalpodautoscaler-v1/put-status", "a conversion adds the annotation"),
    ("content/large-bodies/long-generate-name", "the end of a generated name differs"),
    ("kinds/core-pod/patch-image", "admission adds tolerations first"),
    ("kinds/core-node/create", "admission adds a taint"),
    ("kinds/table-", "answered as a Table, or with a taint of admission's"),
    ("patch/merge-identity-fields/", "the patched object does not decode"),
    ("subresources/status-put/main-without-what-was-added", "admission adds tolerations first"),
    ("validation/service-cluster-ip/out-of-range", "the allocator refuses"),
    ("validation/service-cluster-ip/clash", "the allocator refuses"),
];

#[test]
fn recorded_writes_get_kubernetes_answers() {
    let kinds = &*KINDS;
    let (mut compared, mut failures) = (0, Vec::new());
    for case in recorded::cases() {
        let mut stored: BTreeMap<String, Value> = BTreeMap::new();
        for step in &case.steps {
            if let Some(found) = replay(kinds, &case, step, &stored) {
                compared += 1;
                failures.extend(found.into_iter().map(|text| format!("{}/{}: {text}", case.name, step.id)));
            }
            remember(step, &mut stored);
        }
    }
    assert!(compared > 400, "only {compared} recorded steps could be compared");
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn what_kubernetes_answered_is_complete_and_valid() {
    let kinds = &*KINDS;
    let (mut seen, mut failures) = (0, Vec::new());
    for case in recorded::cases() {
        for step in
            case.steps.iter().filter(|s| matches!(s.status, 200 | 201) && s.answer["metadata"]["name"].is_string())
        {
            let (Some(version), Some(name)) = (step.answer["apiVersion"].as_str(), step.answer["kind"].as_str()) else {
                continue;
            };
            let Some(kind) = kinds.named(version, name).filter(|k| COMPLETE.contains(&k.resource.as_str())) else {
                continue;
            };
            if step.answer.to_string().contains("<any>") {
                continue;
            }
            seen += 1;
            let mut object = step.answer.clone();
            default_object(kind, &mut object, Some(&step.answer));
            prepare_update(kind, "", &mut object, &step.answer);
            let changed = compare::objects(kind, &object, &step.answer);
            let faults = validate_update(kind, "", &object, &step.answer);
            if !changed.is_empty() || !faults.is_empty() {
                failures.push(format!("{}/{}: {changed:?} {faults:?}", case.name, step.id));
            }
        }
    }
    assert!(seen > 400, "only {seen} objects could be looked at");
    assert!(failures.is_empty(), "{} of {seen} change or are refused:\n{}", failures.len(), failures.join("\n"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5i64..70_000).prop_map(Value::from),
        prop_oneof![
            "[a-zA-Z0-9./:%*-]{0,8}",
            "[0-9.]{1,4}(m|Gi|k|)",
            Just("In".to_owned()),
            Just("1.2.3.4/8".to_owned())
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(prop::sample::select(FIELDS), inner, 0..5).prop_map(|m| m
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Names at which the rules look.
const FIELDS: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "template",
    "containers",
    "initContainers",
    "resources",
    "limits",
    "requests",
    "name",
    "labels",
    "annotations",
    "finalizers",
    "ports",
    "port",
    "volumes",
    "env",
    "selector",
    "matchLabels",
    "matchExpressions",
    "affinity",
    "type",
    "ingress",
    "rules",
    "subsets",
    "endpoints",
    "addresses",
    "data",
    "hard",
    "cpu",
    "memory",
    "image",
    "securityContext",
    "schedule",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "strategy",
    "rollingUpdate",
    "maxSurge",
    "webhooks",
    "metrics",
    "behavior",
    "scaleUp",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_object_whatever_its_shape_makes_a_rule_panic(
        object in any_json(),
        old in any_json(),
        pick in any::<prop::sample::Index>(),
        subresource in prop::sample::select(&["", "status", "resize", "ephemeralcontainers"][..]),
    ) {
        let kinds = &*KINDS;
        let kind = pick.get(kinds.all());
        let (mut created, mut updated) = (object.clone(), object);
        default_object(kind, &mut created, None);
        prepare_allocation(kind, &mut created, None);
        prepare_create(kind, &mut created, "2030-01-01T00:00:00Z");
        validate_create(kind, &created);
        warnings(kind, &created, None);
        default_object(kind, &mut updated, Some(&old));
        prepare_allocation(kind, &mut updated, Some(&old));
        prepare_update(kind, subresource, &mut updated, &old);
        validate_update(kind, subresource, &updated, &old);
        warnings(kind, &updated, Some(&old));
    }

    #[test]
    fn defaults_of_defaults_change_nothing(object in any_json(), pick in any::<prop::sample::Index>()) {
        let kinds = &*KINDS;
        let kind = pick.get(kinds.all());
        let mut once = object;
        default_object(kind, &mut once, None);
        let mut twice = once.clone();
        default_object(kind, &mut twice, None);
        prop_assert_eq!(once, twice);
    }
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
    let owner = schema::schema().kind(&kind.group, &kind.version, &kind.kind)?;
    let mut object = step.wanted(old, owner)?;
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
        if target.subresource.is_empty() {
            // The gateway warns of deprecated kinds.
            let deprecation = Some(kind.deprecation.clone()).filter(|text| !text.is_empty());
            let ours: Vec<String> = deprecation.into_iter().chain(warnings(kind, &object, old)).collect();
            found.extend(compare::warnings(&ours, &step.warnings));
        }
    } else {
        found.push(format!("refused, though accepted by Kubernetes: {errors:?}"));
    }
    Some(found)
}
