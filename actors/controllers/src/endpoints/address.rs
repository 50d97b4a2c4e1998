//! One endpoint: a pod's addresses of a family, and whether it is ready, serves, or is on its way out.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::Service;
use crate::pods::Pod;

/// What EndpointSlices call `addressType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// The families of a Service; of one that says none, the one of its address.
    pub(super) fn of(service: &Service) -> Vec<Family> {
        let mut families: Vec<Family> = service.spec.ip_families.iter().map(|f| Self::named(f)).collect();
        if families.is_empty() {
            families.push(if service.spec.cluster_ip.contains(':') { Family::V6 } else { Family::V4 });
        }
        families
    }

    fn named(name: &str) -> Family {
        if name == "IPv6" { Family::V6 } else { Family::V4 }
    }

    /// The pod's addresses of this family.
    pub(super) fn addresses(self, pod: &Pod) -> Vec<&str> {
        let all = pod.status.pod_ips.iter().map(|ip| ip.ip.as_str());
        let all: Vec<&str> = if pod.status.pod_ips.is_empty() { vec![&pod.status.pod_ip] } else { all.collect() };
        let is =
            |ip: &&str| matches!((ip.parse(), self), (Ok(IpAddr::V4(_)), Family::V4) | (Ok(IpAddr::V6(_)), Family::V6));
        all.into_iter().filter(is).collect()
    }
}

/// Ready: to be sent to. Ready and serving differ for pods that are on their way out, and where unready ones are published.
pub(super) fn is_ready(service: &Service, pod: &Pod) -> bool {
    service.spec.publish_not_ready_addresses || (pod.is_ready() && !pod.metadata.is_deleted())
}

/// The reference to a pod.
pub(super) fn target(pod: &Pod) -> Value {
    let meta = &pod.metadata;
    json!({"kind": "Pod", "namespace": meta.namespace, "name": meta.name, "uid": meta.uid})
}

/// The name under which a pod is found in a headless Service's domain.
pub(super) fn hostname<'a>(service: &Service, pod: &'a Pod) -> Option<&'a str> {
    let in_domain = pod.spec.subdomain == service.metadata.name && pod.metadata.namespace == service.metadata.namespace;
    Some(pod.spec.hostname.as_str()).filter(|hostname| !hostname.is_empty() && in_domain)
}

/// An endpoint of an EndpointSlice.
pub(super) fn endpoint(service: &Service, pod: &Pod, addresses: &[&str], zone: Option<&str>) -> Value {
    let mut endpoint = Map::new();
    endpoint.insert("addresses".into(), json!(addresses));
    endpoint.insert(
        "conditions".into(),
        json!({"ready": is_ready(service, pod), "serving": pod.is_ready(), "terminating": pod.metadata.is_deleted()}),
    );
    endpoint.insert("targetRef".into(), target(pod));
    if !pod.spec.node_name.is_empty() {
        endpoint.insert("nodeName".into(), pod.spec.node_name.as_str().into());
    }
    if let Some(hostname) = hostname(service, pod) {
        endpoint.insert("hostname".into(), hostname.into());
    }
    if let Some(zone) = zone {
        endpoint.insert("zone".into(), zone.into());
    }
    endpoint.into()
}
