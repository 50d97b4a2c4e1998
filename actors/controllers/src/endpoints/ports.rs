//! The ports of a Service in a pod: by number, or by the name that the pod's containers give them.

use serde_json::{Map, Value, json};

use super::Service;
use crate::pods::{Container, Pod};

/// The ports as EndpointSlices write them. None of a name that the pod does not know; a headless Service may have none at all.
pub(super) fn of(service: &Service, pod: &Pod) -> Vec<Value> {
    service
        .spec
        .ports
        .iter()
        .filter_map(|port| {
            let number = match port.target_port.as_str() {
                Some(name) => named(pod, name, &port.protocol)?,
                None => i32::try_from(port.target_port.as_i64().filter(|n| *n > 0)?).ok()?,
            };
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            let mut written = Map::new();
            written.insert("name".into(), json!(port.name));
            written.insert("protocol".into(), json!(protocol));
            written.insert("port".into(), json!(number));
            if let Some(app) = &port.app_protocol {
                written.insert("appProtocol".into(), json!(app));
            }
            Some(written.into())
        })
        .collect()
}

fn named(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let protocol = if protocol.is_empty() { "TCP" } else { protocol };
    let sidecars = pod.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
    let ports = pod.spec.containers.iter().chain(sidecars).flat_map(|container: &Container| &container.ports);
    let is = |said: &str| said == protocol || (said.is_empty() && protocol == "TCP");
    ports.into_iter().find(|port| port.name == name && is(&port.protocol)).map(|port| port.container_port)
}
