//! Which Rust type belongs to which resource.

use cox_objects::Resource;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    coordination::v1::Lease,
    core::v1::{
        ConfigMap, Endpoints, Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
        ServiceAccount,
    },
    discovery::v1::EndpointSlice,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    scheduling::v1::PriorityClass,
};
use serde::de::DeserializeOwned;

/// A type of the Kubernetes API that views can hand out.
pub trait Typed: DeserializeOwned + Send + Sync + 'static {
    /// Where its objects are stored.
    const RESOURCE: Resource;
}

macro_rules! typed {
    ($($type:ty => $resource:literal),* $(,)?) => {
        $(impl Typed for $type { const RESOURCE: Resource = Resource::from_static($resource); })*
    };
}

typed! {
    Pod => "pods",
    Node => "nodes",
    Namespace => "namespaces",
    Service => "services",
    Endpoints => "endpoints",
    Event => "events",
    ConfigMap => "configmaps",
    Secret => "secrets",
    ServiceAccount => "serviceaccounts",
    PersistentVolume => "persistentvolumes",
    PersistentVolumeClaim => "persistentvolumeclaims",
    Deployment => "deployments.apps",
    ReplicaSet => "replicasets.apps",
    EndpointSlice => "endpointslices.discovery.k8s.io",
    Lease => "leases.coordination.k8s.io",
    PriorityClass => "priorityclasses.scheduling.k8s.io",
    Role => "roles.rbac.authorization.k8s.io",
    ClusterRole => "clusterroles.rbac.authorization.k8s.io",
    RoleBinding => "rolebindings.rbac.authorization.k8s.io",
    ClusterRoleBinding => "clusterrolebindings.rbac.authorization.k8s.io",
}
