//! What names an object in the store: its resource and its `namespace/name`.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A resource type without its version, in the usual notation `plural.group` (`pods`, `deployments.apps`).
///
/// It is the identity under which objects are stored; the versions of a group are views of it.
#[derive(Clone)]
pub struct Resource(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
}

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Resource { $($(#[$doc])* pub const $name: Resource = Resource::from_static($text);)* }
    };
}

resources! {
    /// `v1` Pod.
    PODS = "pods";
    /// `v1` Node.
    NODES = "nodes";
    /// `v1` Namespace.
    NAMESPACES = "namespaces";
    /// `v1` Service.
    SERVICES = "services";
    /// `v1` Endpoints.
    ENDPOINTS = "endpoints";
    /// `v1` Event; `events.k8s.io` is a view of it.
    EVENTS = "events";
    /// `v1` ConfigMap.
    CONFIGMAPS = "configmaps";
    /// `v1` Secret.
    SECRETS = "secrets";
    /// `v1` ServiceAccount.
    SERVICEACCOUNTS = "serviceaccounts";
    /// `apps/v1` Deployment.
    DEPLOYMENTS = "deployments.apps";
    /// `apps/v1` ReplicaSet.
    REPLICASETS = "replicasets.apps";
    /// `discovery.k8s.io/v1` EndpointSlice.
    ENDPOINTSLICES = "endpointslices.discovery.k8s.io";
    /// `coordination.k8s.io/v1` Lease.
    LEASES = "leases.coordination.k8s.io";
    /// `networking.k8s.io/v1` IPAddress.
    IPADDRESSES = "ipaddresses.networking.k8s.io";
    /// `networking.k8s.io/v1` ServiceCIDR.
    SERVICECIDRS = "servicecidrs.networking.k8s.io";
    /// `scheduling.k8s.io/v1` PriorityClass.
    PRIORITYCLASSES = "priorityclasses.scheduling.k8s.io";
    /// `rbac.authorization.k8s.io/v1` Role.
    ROLES = "roles.rbac.authorization.k8s.io";
    /// `rbac.authorization.k8s.io/v1` ClusterRole.
    CLUSTERROLES = "clusterroles.rbac.authorization.k8s.io";
    /// `rbac.authorization.k8s.io/v1` RoleBinding.
    ROLEBINDINGS = "rolebindings.rbac.authorization.k8s.io";
    /// `rbac.authorization.k8s.io/v1` ClusterRoleBinding.
    CLUSTERROLEBINDINGS = "clusterrolebindings.rbac.authorization.k8s.io";
}

impl Resource {
    /// The resource named by `plural.group`, known at compile time.
    pub const fn from_static(text: &'static str) -> Self {
        Resource(Repr::Static(text))
    }

    /// The resource of a group (empty for the core group) and a plural name.
    pub fn new(group: &str, plural: &str) -> Self {
        if group.is_empty() { Self::from(plural) } else { Resource(Repr::Shared(format!("{plural}.{group}").into())) }
    }

    /// `plural.group`, or the plural alone in the core group.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Shared(text) => text,
        }
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.as_str().split_once('.').map_or("", |(_, group)| group)
    }

    /// The plural name, as it stands in URLs.
    pub fn plural(&self) -> &str {
        self.as_str().split_once('.').map_or(self.as_str(), |(plural, _)| plural)
    }
}

impl From<&str> for Resource {
    fn from(text: &str) -> Self {
        Resource(Repr::Shared(text.into()))
    }
}
impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Resource {}
impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Resource {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}
impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
impl Borrow<str> for Resource {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Resource::from(String::deserialize(deserializer)?.as_str()))
    }
}

/// An object's place in the store. Keys of one resource order by the bytes of `namespace/name`, which is the order of
/// Kubernetes' lists (`a-b/x` before `a/x`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The resource it belongs to.
    pub resource: Resource,
    path: Arc<str>,
}

impl Key {
    /// The key of `name` in `namespace`; an empty namespace means a cluster-scoped object.
    pub fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        let path = if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() };
        Key { resource, path }
    }

    /// The key at `path`, which is `namespace/name`, or `name` of a cluster-scoped object.
    pub fn at(resource: Resource, path: &str) -> Self {
        Key { resource, path: path.into() }
    }

    /// `namespace/name`, or `name` of a cluster-scoped object.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The namespace; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        self.path.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        self.path.split_once('/').map_or(&self.path, |(_, name)| name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource, self.path)
    }
}
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
