//! What the node forwards: Services and their EndpointSlices, reduced to addresses. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Transport protocol of a port. SCTP Services are stored by the API but not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            Some(_) => None,
        }
    }
}

/// Where a connection may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The port on it.
    pub port: u16,
}

/// One port of one Service, ready to be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// `namespace/service:port`, for the rule's comment.
    pub name: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The Service's port.
    pub port: u16,
    /// Its cluster and external addresses.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Its port on every node, if it has one.
    pub node_port: Option<u16>,
    /// Endpoints for connections to the cluster address.
    pub internal: BTreeSet<Target>,
    /// Endpoints for connections from outside, to the node port.
    pub external: BTreeSet<Target>,
    /// Whether connections from outside keep their source address (`externalTrafficPolicy: Local`).
    pub keeps_source: bool,
    /// Seconds for which a client stays with its endpoint (`sessionAffinity: ClientIP`).
    pub affinity: Option<u32>,
}

/// A Service with this label is forwarded by another proxy, which the label names.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";

/// Reduces Services and slices to what is forwarded on a node. Headless and ExternalName Services have nothing to forward, and those of another
/// proxy are left to it.
pub fn forwards(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>], node: &str) -> Vec<Forward> {
    let mut by_service: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let name = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
        if let (Some(namespace), Some(name)) = (&slice.metadata.namespace, name)
            && slice.address_type == "IPv4"
        {
            by_service.entry((namespace, name)).or_default().push(slice);
        }
    }
    let mut forwards: Vec<Forward> = services
        .iter()
        .flat_map(|service| {
            let id = (text(&service.metadata.namespace), text(&service.metadata.name));
            let slices = by_service.get(&id).map(Vec::as_slice).unwrap_or_default();
            service_forwards(service, slices, node)
        })
        .collect();
    forwards.sort_by(|a, b| a.name.cmp(&b.name));
    forwards
}

fn service_forwards(service: &Service, slices: &[&EndpointSlice], node: &str) -> Vec<Forward> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ips = spec.cluster_ips.iter().flatten().chain(spec.external_ips.iter().flatten());
    let balancer = service.status.iter().flat_map(|s| &s.load_balancer).flat_map(|l| l.ingress.iter().flatten());
    let ingress = balancer.filter(|i| i.ip_mode.as_deref() != Some("Proxy")).filter_map(|i| i.ip.as_ref());
    let addresses: BTreeSet<Ipv4Addr> = ips.chain(ingress).filter_map(|ip| ip.parse().ok()).collect();
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let others = service.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROXY_NAME));
    if addresses.is_empty() || headless || others || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let local_internal = spec.internal_traffic_policy.as_deref() == Some("Local");
    let keeps_source = spec.external_traffic_policy.as_deref() == Some("Local");
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let config = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref());
        config.and_then(|c| c.timeout_seconds).and_then(|s| u32::try_from(s).ok()).unwrap_or(10_800)
    });
    let forward = |port: &ServicePort| {
        let protocol = Protocol::parse(port.protocol.as_deref())?;
        Some(Forward {
            name: format!(
                "{}/{}:{}",
                text(&service.metadata.namespace),
                text(&service.metadata.name),
                port.name.as_deref().unwrap_or_default()
            ),
            protocol,
            port: u16::try_from(port.port).ok()?,
            addresses: addresses.clone(),
            node_port: port.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0),
            internal: targets(slices, port, node, local_internal),
            external: targets(slices, port, node, keeps_source),
            keeps_source,
            affinity,
        })
    };
    spec.ports.iter().flatten().filter_map(forward).collect()
}

/// The endpoints of a Service port: the ready ones, or while none is ready, those that still serve while they terminate (KEP-1669).
fn targets(slices: &[&EndpointSlice], port: &ServicePort, node: &str, local: bool) -> BTreeSet<Target> {
    let mut ready = BTreeSet::new();
    let mut terminating = BTreeSet::new();
    for slice in slices {
        let Some(number) = slice_port(slice, port) else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            if local && endpoint.node_name.as_deref() != Some(node) {
                continue;
            }
            let conditions = endpoint.conditions.as_ref();
            let is = |condition: fn(&k8s_openapi::api::discovery::v1::EndpointConditions) -> Option<bool>, default| {
                conditions.and_then(condition).unwrap_or(default)
            };
            let set = if is(|c| c.ready, true) {
                &mut ready
            } else if is(|c| c.serving, false) && is(|c| c.terminating, false) {
                &mut terminating
            } else {
                continue;
            };
            let addresses = endpoint.addresses.iter().filter_map(|address| address.parse().ok());
            set.extend(addresses.map(|address| Target { address, port: number }));
        }
    }
    if ready.is_empty() { terminating } else { ready }
}

/// The number of a Service port in a slice: slices name their ports as the Service does.
fn slice_port(slice: &EndpointSlice, port: &ServicePort) -> Option<u16> {
    let name = port.name.as_deref().unwrap_or_default();
    let mut ports = slice.ports.iter().flatten();
    let found = ports.find(|p| {
        p.name.as_deref().unwrap_or_default() == name
            && Protocol::parse(p.protocol.as_deref()) == Protocol::parse(port.protocol.as_deref())
    })?;
    let fallback = match &port.target_port {
        Some(IntOrString::Int(number)) => *number,
        _ => port.port,
    };
    u16::try_from(found.port.unwrap_or(fallback)).ok()
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests;
