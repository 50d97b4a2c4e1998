//! What a write may set: the half of the object that its path names, a generation that counts changes, a status of the server's own.

use cox_objects::Kind;
use serde_json::{Value, json};

use super::read::{Fill, Read, same};
use super::{addresses, cluster, config, meta, pod, service, storage, workloads};

/// Takes out of a new object what a creation may not set, and gives it its first status and generation.
pub(super) fn create(kind: &Kind, object: &mut Value, now: &str) {
    meta::prepare_create(kind, object, now);
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => return pod::prepare_create(object, now),
        ("", "Service") => return service::prepare_create(object),
        ("", "Namespace") => return cluster::namespace::prepare_create(object),
        ("", "ServiceAccount") => config::prepare_account(object),
        ("", "ReplicationController") | ("apps", "ReplicaSet") => {
            return workloads::replica_set::prepare_create(object);
        }
        ("apps", "Deployment") => return workloads::deployment::prepare_create(object),
        ("apps", "DaemonSet") => workloads::daemon_set::prepare_create(object),
        ("batch", "Job") => workloads::batch::job::prepare_create(object),
        ("", "PersistentVolumeClaim") => storage::persistent_claim::prepare(object),
        // A node registers itself, status and all.
        ("", "Node") => return,
        _ => {}
    }
    if has_generation(kind) {
        meta::first_generation(object);
    }
    if kind.subresource("status").is_some() {
        match first_status(kind, now) {
            Value::Null => object.drop_field("status"),
            status => object.set("status", status),
        }
    }
}

/// Kinds whose generation counts changes of what it describes.
fn has_generation(kind: &Kind) -> bool {
    match kind.group.as_str() {
        "admissionregistration.k8s.io" | "apps" => kind.kind != "ControllerRevision",
        "apiextensions.k8s.io"
        | "batch"
        | "flowcontrol.apiserver.k8s.io"
        | "scheduling.k8s.io"
        | "discovery.k8s.io" => true,
        "networking.k8s.io" => matches!(kind.kind.as_str(), "Ingress" | "IngressClass" | "NetworkPolicy"),
        "policy" => kind.kind == "PodDisruptionBudget",
        "resource.k8s.io" => matches!(kind.kind.as_str(), "DeviceClass" | "ResourceSlice"),
        "" => kind.kind == "PodTemplate",
        _ => false,
    }
}

/// The status that a new object shows.
fn first_status(kind: &Kind, now: &str) -> Value {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "DaemonSet") => json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        }),
        ("apps", "StatefulSet") => json!({"replicas": 0, "availableReplicas": 0}),
        ("autoscaling", _) if kind.version == "v1" => json!({"currentReplicas": 0, "desiredReplicas": 0}),
        ("autoscaling", _) => json!({"desiredReplicas": 0, "currentMetrics": null}),
        ("networking.k8s.io", "Ingress") => json!({"loadBalancer": {}}),
        ("policy", "PodDisruptionBudget") => json!({
            "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
        }),
        ("", "PersistentVolume") => json!({"phase": "Pending", "lastPhaseTransitionTime": now}),
        ("", "PersistentVolumeClaim") => json!({"phase": "Pending"}),
        _ => json!({}),
    }
}

/// Keeps what this path may not change, and counts the generation.
pub(super) fn update(kind: &Kind, subresource: &str, object: &mut Value, old: &Value) {
    meta::prepare_update(object, old);
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => return pod::prepare_update(subresource, object, old),
        ("", "Service") => return service::prepare_update(subresource, object, old),
        ("", "Namespace") => return cluster::namespace::prepare_update(subresource, object, old),
        ("", "Node") => return cluster::node::prepare_update(subresource, object, old),
        ("", "ServiceAccount") => config::prepare_account(object),
        ("apps", "DaemonSet") => workloads::daemon_set::prepare_update(object, old),
        ("", "PersistentVolumeClaim") => storage::persistent_claim::prepare(object),
        ("discovery.k8s.io", "EndpointSlice") => return addresses::endpoint_slice::prepare_update(object, old),
        _ => {}
    }
    if subresource == "status" {
        status(kind, object, old);
        return;
    }
    if kind.subresource("status").is_some() {
        match old.at("status") {
            Value::Null => object.drop_field("status"),
            status => object.set("status", status.clone()),
        }
    }
    if counted(kind) && changed(kind, object, old) {
        meta::next_generation(object, old);
    }
}

fn counted(kind: &Kind) -> bool {
    let rc = kind.group.is_empty() && kind.kind == "ReplicationController";
    // A PriorityClass has a generation that never moves.
    rc || (has_generation(kind) && kind.group != "scheduling.k8s.io")
}

/// Whether what the generation counts has changed.
fn changed(kind: &Kind, object: &Value, old: &Value) -> bool {
    let differs = |field: &str| !same(object.at(field), old.at(field));
    match kind.kind.as_str() {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => differs("webhooks"),
        "PodTemplate" => differs("template"),
        // The Deployment controller acts on annotations, too.
        "Deployment" => {
            differs("spec") || !same(object.at("metadata").at("annotations"), old.at("metadata").at("annotations"))
        }
        _ => differs("spec"),
    }
}

/// A write of the status keeps everything else, but for labels and annotations where Kubernetes lets them through.
fn status(kind: &Kind, object: &mut Value, old: &Value) {
    let fields: Vec<String> =
        object.as_object().into_iter().chain(old.as_object()).flat_map(|o| o.keys().cloned()).collect();
    for field in fields {
        if ["apiVersion", "kind", "metadata", "status"].contains(&field.as_str()) {
            continue;
        }
        match old.at(&field) {
            Value::Null => object.drop_field(&field),
            value => object.set(&field, value.clone()),
        }
    }
    let before = old.at("metadata");
    let kept: &[&str] = match (kind.group.as_str(), kind.kind.as_str()) {
        ("apps", "Deployment") => &["labels"],
        (
            "admissionregistration.k8s.io"
            | "apiregistration.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | "resource.k8s.io",
            _,
        )
        | ("networking.k8s.io", "ServiceCIDR")
        | ("storage.k8s.io", "VolumeAttachment")
        | ("apiextensions.k8s.io", _) => &["labels", "annotations", "ownerReferences", "finalizers"],
        _ => &[],
    };
    let metadata = object.object("metadata");
    for field in kept {
        match before.at(field) {
            Value::Null => metadata.drop_field(field),
            value => metadata.set(field, value.clone()),
        }
    }
}
