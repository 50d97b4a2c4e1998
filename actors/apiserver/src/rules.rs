//! What Kubernetes knows about the contents of objects: defaults, what a write may set, validation, warnings.
//!
//! Pure functions on the JSON of objects whose types were already checked against the schema; nothing here reads a clock or a
//! store. What needs the store (addresses, ports, quotas, service accounts) is admission's.
//!
//! Flow of a write: `default_object`, admission (for a Service first `prepare_allocation`), `prepare_*`, `validate_*`, `warnings`.

mod addresses;
mod autoscaler;
mod check;
mod claim;
mod cluster;
mod config;
mod event;
mod flow;
mod limits;
mod meta;
mod network;
mod pod;
mod policies;
mod prepare;
mod print;
mod rbac;
mod read;
mod resources;
mod selector;
mod service;
mod storage;
mod webhooks;
mod workloads;

use cox_objects::{FieldError, Kind, Path};
use serde_json::Value;

use read::Read;
pub(crate) use resources::aggregate;

/// Fills in defaults in place, as Kubernetes does when it decodes an object; `old` is the stored object on update.
pub fn default_object(kind: &Kind, object: &mut Value, _old: Option<&Value>) {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pod::defaults::pod(object),
        ("", "PodTemplate") => workloads::template::defaults(object),
        ("", "ReplicationController") => workloads::controller::defaults(object),
        ("apps", "ReplicaSet") => workloads::replica_set::defaults(object),
        ("apps", "Deployment") => workloads::deployment::defaults(object),
        ("", "Service") => service::defaults(object),
        ("", "Endpoints") => addresses::endpoints::defaults(object),
        ("discovery.k8s.io", "EndpointSlice") => addresses::endpoint_slice::defaults(object),
        ("", "Secret") => config::secret::defaults(object),
        ("", "Namespace") => cluster::namespace::defaults(object),
        ("", "Node") => cluster::node::defaults(object),
        ("scheduling.k8s.io", "PriorityClass") => cluster::classes::priority_defaults(object),
        ("node.k8s.io", "RuntimeClass") => cluster::classes::runtime_defaults(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => rbac::binding_defaults(object),
        ("apps", "DaemonSet") => workloads::daemon_set::defaults(object),
        ("apps", "StatefulSet") => workloads::stateful_set::defaults(object),
        ("batch", "Job") => workloads::batch::job::defaults(object),
        ("batch", "CronJob") => workloads::batch::cron_job::defaults(object),
        ("networking.k8s.io", "IngressClass") => network::ingress::class_defaults(object),
        ("networking.k8s.io", "NetworkPolicy") => network::policy::defaults(object),
        ("", "PersistentVolume") => storage::volume::defaults(object),
        ("", "PersistentVolumeClaim") => storage::persistent_claim::defaults(object),
        ("storage.k8s.io", "StorageClass") => storage::classes::defaults(object),
        ("storage.k8s.io", "CSIDriver") => storage::classes::driver_defaults(object),
        ("", "LimitRange") => limits::range::defaults(object),
        ("", "ResourceQuota") => limits::quota::defaults(object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::defaults(object, &kind.version),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => policies::webhooks(object, true),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => policies::webhooks(object, false),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => policies::admission_policy(object, true),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => policies::admission_policy(object, false),
        ("admissionregistration.k8s.io", _) => policies::policy_binding(object),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => policies::flow_schema(object),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => policies::priority_level(object),
        ("apiregistration.k8s.io", "APIService") => policies::api_service(object),
        _ => {}
    }
}

/// Takes out of a new object what a creation may not set (status, server-owned fields) and sets its generation and
/// creationTimestamp (`now`, RFC 3339). The uid is the caller's.
pub fn prepare_create(kind: &Kind, object: &mut Value, now: &str) {
    prepare::create(kind, object, now);
}

/// Takes out of an updated object what this subresource (empty: the object itself) may not change, and counts the generation.
pub fn prepare_update(kind: &Kind, subresource: &str, object: &mut Value, old: &Value) {
    prepare::update(kind, subresource, object, old);
}

/// What is done to a Service before addresses and ports are allocated: an update inherits what it left out, and address families
/// are chosen for a cluster with IPv4 services. Its errors are answered before all others. Nothing for other kinds.
pub fn prepare_allocation(kind: &Kind, object: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    if kind.group.is_empty() && kind.kind == "Service" { service::prepare_allocation(object, old) } else { Vec::new() }
}

/// What is wrong with a new object; empty if it is valid. Errors come in Kubernetes' order.
pub fn validate_create(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    meta::validate(&mut errors, kind, object);
    content(&mut errors, kind, object);
    errors
}

fn content(errors: &mut Vec<FieldError>, kind: &Kind, object: &Value) {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pod::validate(errors, object),
        ("", "PodTemplate") => workloads::template::validate(errors, object.at("template"), &Path::new("template")),
        ("", "ReplicationController") => workloads::controller::validate(errors, object),
        ("apps", "ReplicaSet") => workloads::replica_set::validate(errors, object),
        ("apps", "Deployment") => workloads::deployment::validate(errors, object),
        ("", "Service") => service::validate(errors, object),
        ("", "Endpoints") => addresses::endpoints::validate(errors, object),
        ("discovery.k8s.io", "EndpointSlice") => addresses::endpoint_slice::validate(errors, object),
        ("networking.k8s.io", "IPAddress") => addresses::ranges::validate_address(errors, object),
        ("networking.k8s.io", "ServiceCIDR") => addresses::ranges::validate_cidr(errors, object),
        ("", "ConfigMap") => config::config_map::validate(errors, object),
        ("", "Secret") => config::secret::validate(errors, object),
        ("", "Namespace") => cluster::namespace::validate(errors, object),
        ("", "Node") => cluster::node::validate(errors, object),
        ("coordination.k8s.io", "Lease") => cluster::lease::validate(errors, object),
        ("scheduling.k8s.io", "PriorityClass") => cluster::classes::validate_priority(errors, object),
        ("node.k8s.io", "RuntimeClass") => cluster::classes::validate_runtime(errors, object),
        ("", "Event") => event::validate(errors, object, false),
        ("events.k8s.io", "Event") => event::validate(errors, object, true),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => rbac::validate_role(errors, object, kind.namespaced),
        ("rbac.authorization.k8s.io", _) => rbac::validate_binding(errors, object, kind.namespaced),
        ("apps", "DaemonSet") => workloads::daemon_set::validate(errors, object),
        ("apps", "StatefulSet") => workloads::stateful_set::validate(errors, object),
        ("apps", "ControllerRevision") => workloads::revision::validate(errors, object),
        ("batch", "Job") => workloads::batch::job::validate(errors, object),
        ("batch", "CronJob") => workloads::batch::cron_job::validate(errors, object),
        ("policy", "PodDisruptionBudget") => workloads::disruption::validate(errors, object),
        ("networking.k8s.io", "Ingress") => network::ingress::validate(errors, object),
        ("networking.k8s.io", "IngressClass") => network::ingress::validate_class(errors, object),
        ("networking.k8s.io", "NetworkPolicy") => network::policy::validate(errors, object),
        ("", "PersistentVolume") => storage::volume::validate(errors, object),
        ("", "PersistentVolumeClaim") => storage::persistent_claim::validate(errors, object),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            webhooks::validate(errors, object)
        }
        ("storage.k8s.io", "StorageClass") => storage::classes::validate(errors, object),
        ("storage.k8s.io", "CSIDriver") => storage::classes::validate_driver(errors, object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::validate(errors, object),
        ("storage.k8s.io", "CSINode") => storage::attach::validate_node(errors, object),
        ("storage.k8s.io", "VolumeAttachment") => storage::attach::validate_attachment(errors, object),
        ("storage.k8s.io", "CSIStorageCapacity") => storage::attach::validate_capacity(errors, object),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => flow::schema(errors, object),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => flow::level(errors, object),
        ("", "LimitRange") => limits::range::validate(errors, object),
        ("", "ResourceQuota") => limits::quota::validate(errors, object),
        _ => {}
    }
}

/// What is wrong with an update by this path (empty: the object itself); empty if it is valid.
pub fn validate_update(kind: &Kind, subresource: &str, object: &Value, old: &Value) -> Vec<FieldError> {
    let mut found = Vec::new();
    let errors = &mut found;
    meta::validate_update(errors, kind, object, old);
    let status = subresource == "status";
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pod::validate_update(errors, subresource, object, old),
        ("", "ReplicationController") => workloads::controller::validate_update(errors, subresource, object),
        ("apps", "ReplicaSet") => workloads::replica_set::validate_update(errors, subresource, object, old),
        ("apps", "Deployment") => workloads::deployment::validate_update(errors, subresource, object, old),
        ("", "Service") => service::validate_update(errors, subresource, object, old),
        ("", "Namespace") => cluster::namespace::validate_update(errors, subresource, object),
        ("", "Node") => cluster::node::validate_update(errors, object, old),
        ("", "ConfigMap") => config::config_map::validate_update(errors, object, old),
        ("", "Secret") => config::secret::validate_update(errors, object, old),
        ("", "Event") => event::validate_update(errors, object, old, false),
        ("events.k8s.io", "Event") => event::validate_update(errors, object, old, true),
        ("discovery.k8s.io", "EndpointSlice") => addresses::endpoint_slice::validate_update(errors, object, old),
        ("networking.k8s.io", "IPAddress") => addresses::ranges::validate_address_update(errors, object, old),
        ("networking.k8s.io", "ServiceCIDR") if !status => addresses::ranges::validate_cidr_update(errors, object, old),
        ("scheduling.k8s.io", "PriorityClass") => cluster::classes::validate_priority_update(errors, object, old),
        ("node.k8s.io", "RuntimeClass") => cluster::classes::validate_runtime_update(errors, object, old),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            rbac::validate_binding_update(errors, object, old, kind.namespaced);
        }
        ("apps", "DaemonSet") => workloads::daemon_set::validate_update(errors, subresource, object, old),
        ("apps", "StatefulSet") => workloads::stateful_set::validate_update(errors, subresource, object, old),
        ("apps", "ControllerRevision") => workloads::revision::validate_update(errors, object, old),
        ("batch", "Job") => workloads::batch::job::validate_update(errors, subresource, object, old),
        ("networking.k8s.io", "Ingress") => network::ingress::validate_update(errors, subresource, object),
        ("networking.k8s.io", "IngressClass") => network::ingress::validate_class_update(errors, object, old),
        ("", "PersistentVolume") => storage::volume::validate_update(errors, subresource, object, old),
        ("", "PersistentVolumeClaim") => storage::persistent_claim::validate_update(errors, subresource, object, old),
        ("storage.k8s.io", "StorageClass") => storage::classes::validate_update(errors, object, old),
        ("storage.k8s.io", "CSIDriver") => storage::classes::validate_driver_update(errors, object, old),
        ("storage.k8s.io", "CSINode") => storage::attach::validate_node_update(errors, object, old),
        ("storage.k8s.io", "VolumeAttachment") if !status => {
            storage::attach::validate_attachment_update(errors, object, old);
        }
        ("storage.k8s.io", "CSIStorageCapacity") => storage::attach::validate_capacity_update(errors, object, old),
        ("", "ResourceQuota") => limits::quota::validate_update(errors, subresource, object, old),
        _ if status => {}
        _ => content(errors, kind, object),
    }
    found
}

/// The texts of the `Warning` headers for legal but doubtful objects.
pub fn warnings(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<String> {
    let template =
        |holder: &Value, path: Path| pod::warnings::template(holder.at("template"), None, &path.child("template"));
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => {
            // A pod keeps its name.
            let name = pod::warnings::host_name(object, "the Pod's hostname").filter(|_| old.is_none());
            name.into_iter().chain(pod::warnings::template(object, old, &Path::root())).collect()
        }
        ("", "PodTemplate") => template(object, Path::root()),
        ("", "ReplicationController") | ("apps", "ReplicaSet" | "Deployment" | "DaemonSet" | "StatefulSet") => {
            let named = old.is_none() && kind.kind != "DaemonSet";
            let name = pod::warnings::host_name(object, "Pod names and hostnames").filter(|_| named);
            name.into_iter().chain(template(object.at("spec"), Path::new("spec"))).collect()
        }
        ("batch", "Job") => {
            let name = pod::warnings::host_name(object, "Pod names and hostnames").filter(|_| old.is_none());
            name.into_iter().chain(template(object.at("spec"), Path::new("spec"))).collect()
        }
        ("", "Service") => service::warnings(object),
        ("", "Secret") => config::secret::warnings(object),
        ("", "PersistentVolume") => storage::volume::warnings(object),
        ("", "PersistentVolumeClaim") => storage::persistent_claim::warnings(object),
        ("storage.k8s.io", "CSIDriver") => storage::classes::driver_warnings(object),
        ("", "ResourceQuota") => limits::quota::warnings(object),
        ("networking.k8s.io", "Ingress") => network::ingress::warnings(object),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
