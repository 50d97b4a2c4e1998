//! Where a proxied request goes: `[SCHEME:]NAME[:PORT]` of a pod, a Service or a node, and the port of a pod that this comes to.

use cox_bus::node::Target as NodeTarget;
use cox_objects::{Key, Object, Resource, Source, Status};
use rand::Rng;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::pod::Pod;
use crate::route::Target;

/// A port of a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The pod's node.
    pub(super) node: String,
    /// The pod.
    pub(super) target: NodeTarget,
    /// The port.
    pub(super) port: u16,
}

/// The name in the path, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Called<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

impl<'a> Called<'a> {
    /// Reads `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
    fn read(id: &'a str) -> Option<Self> {
        let parts: Vec<&str> = id.split(':').collect();
        let called = match parts.as_slice() {
            [name] => Called { scheme: "", name, port: "" },
            [name, port] => Called { scheme: "", name, port },
            [scheme, name, port] => Called { scheme, name, port },
            _ => return None,
        };
        (!called.name.is_empty() && matches!(called.scheme, "" | "http" | "https")).then_some(called)
    }
}

impl Place {
    /// Finds it.
    ///
    /// # Errors
    /// 400, 404 or 503 in Kubernetes' words.
    pub(super) fn find(state: &dyn Source, target: &Target) -> Result<Self, Status> {
        let what = target.kind.singular.as_str();
        let invalid = || Status::bad_request(format!("invalid {what} request {:?}", target.name));
        let called = Called::read(&target.name).ok_or_else(invalid)?;
        let place = match target.kind.plural.as_str() {
            "pods" => Self::of_pod(state, &target.namespace, &called)?,
            "services" => Self::of_service(state, &target.namespace, &called, &target.name)?,
            _ => return Err(no_node(state, called.name)),
        };
        match called.scheme {
            "https" => Err(Status::unavailable("error trying to reach service: TLS to pods is not spoken")),
            _ => Ok(place),
        }
    }

    fn of_pod(state: &dyn Source, namespace: &str, called: &Called<'_>) -> Result<Self, Status> {
        let object = found(state, Resource::PODS, namespace, called.name)?;
        let (pod, facts) = (Pod::read(&object)?, parse::<PodFacts>(&object)?);
        if facts.status.pod_ip.is_empty() {
            return Err(Status::bad_request("address not allowed"));
        }
        let port = match called.port {
            "" => facts.spec.containers.iter().find_map(|c| c.ports.first()).map_or(80, |port| port.container_port),
            port => port.parse().map_err(|_| {
                Status::unavailable(format!("error trying to reach service: {port:?} is no number of a port"))
            })?,
        };
        Ok(Place { node: pod.host()?.to_owned(), target: pod.target(""), port })
    }

    fn of_service(state: &dyn Source, namespace: &str, called: &Called<'_>, id: &str) -> Result<Self, Status> {
        let name = called.name;
        let service = parse::<Service>(&found(state, Resource::SERVICES, namespace, name)?)?.spec;
        let port = match called.port.parse::<u16>() {
            Ok(number) => {
                let port = service.ports.iter().find(|port| port.port == number).ok_or_else(|| {
                    Status::unavailable(format!("no service port {number} found for service {name:?}"))
                })?;
                port.name.as_str()
            }
            Err(_) => called.port,
        };
        let endpoints = state.get(&Key::new(Resource::ENDPOINTS, namespace, name));
        let subsets = match endpoints {
            Some(endpoints) => parse::<Endpoints>(&endpoints)?.subsets,
            // A Service of this type never gets any.
            None if service.kind == "ExternalName" => return Err(Status::not_found(&Resource::SERVICES, name)),
            None => Vec::new(),
        };
        let none = |what: &str| Status::unavailable(format!("no endpoints available for service {what:?}"));
        if subsets.is_empty() {
            return Err(none(name));
        }
        let mut places = Vec::new();
        for subset in &subsets {
            let Some(port) = subset.ports.iter().find(|p| p.name == port) else { continue };
            let pods = subset.addresses.iter().filter_map(|address| pod_at(state, namespace, address));
            places.extend(pods.map(|(node, target)| Place { node, target, port: port.port }));
        }
        match places.len() {
            0 => Err(none(id)),
            count => Ok(places.swap_remove(rand::rng().random_range(0..count))),
        }
    }
}

/// The pod at an address: only pods are reached, and only at an address that is theirs.
fn pod_at(state: &dyn Source, namespace: &str, address: &Address) -> Option<(String, NodeTarget)> {
    let named = address.target_ref.as_ref().filter(|named| named.kind == "Pod")?;
    let object = state.get(&Key::new(Resource::PODS, namespace, &named.name))?;
    let facts = parse::<PodFacts>(&object).ok()?;
    let pod = Pod::read(&object).ok()?;
    let is_its_own = facts.status.pod_ip == address.ip || facts.status.pod_ips.iter().any(|ip| ip.ip == address.ip);
    is_its_own.then(|| Some((pod.node()?.to_owned(), pod.target(""))))?
}

/// Nodes dial out only, so there is nothing on a node that could be reached.
fn no_node(state: &dyn Source, name: &str) -> Status {
    let node = match found(state, Resource::NODES, "", name).and_then(|object| parse::<Node>(&object)) {
        Ok(node) => node,
        Err(status) => return status,
    };
    match node.status.addresses.is_empty() {
        true => Status::new(500, "", "no preferred addresses found; known addresses: []"),
        false => Status::unavailable(format!("error trying to reach service: node {name:?} listens on no port")),
    }
}

fn found(state: &dyn Source, resource: Resource, namespace: &str, name: &str) -> Result<Object, Status> {
    let key = Key::new(resource, namespace, name);
    state.get(&key).ok_or_else(|| Status::not_found(&key.resource, name))
}

fn parse<T: DeserializeOwned>(object: &Object) -> Result<T, Status> {
    object.parse().map_err(Status::internal)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodFacts {
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<ContainerPort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    container_port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<Ip>,
}

#[derive(Debug, Deserialize)]
struct Ip {
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: String,
    ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: String,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoints {
    subsets: Vec<Subset>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subset {
    addresses: Vec<Address>,
    ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Address {
    ip: String,
    target_ref: Option<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    kind: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    addresses: Vec<serde::de::IgnoredAny>,
}
