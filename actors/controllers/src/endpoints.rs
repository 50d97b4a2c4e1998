//! Where a Service is served: its pods' addresses and ports, as EndpointSlices and as the older Endpoints say them.

pub(crate) mod address;
pub(crate) mod legacy;
mod ports;
pub(crate) mod slices;
mod trigger;

use std::collections::BTreeSet;

use cox_kit::feed::Change;
use cox_kit::{Typed, View};
use cox_objects::selector::LabelSelector;
use cox_objects::{Key, Meta as Stored, Object, Resource};
use serde::Deserialize;
use serde_json::Value;

use crate::model::{Meta, or_default};
use crate::pods::Pod;

const HEADLESS: &str = "service.kubernetes.io/headless";
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The parts of a Service that say where it is served.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    pub metadata: Meta,
    #[serde(deserialize_with = "or_default")]
    pub spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    #[serde(rename = "clusterIP", deserialize_with = "or_default")]
    pub cluster_ip: String,
    #[serde(deserialize_with = "or_default")]
    pub selector: std::collections::BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    #[serde(deserialize_with = "or_default")]
    pub ip_families: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub publish_not_ready_addresses: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Port {
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    pub app_protocol: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub port: i32,
    pub target_port: Value,
}

impl Typed for Service {
    const RESOURCE: Resource = Resource::SERVICES;
}

impl Service {
    /// Whether its pods are looked for: one without a selector has endpoints that somebody else writes.
    fn selects(&self) -> bool {
        !self.spec.selector.is_empty() && self.spec.kind != "ExternalName"
    }

    fn selector(&self) -> LabelSelector {
        LabelSelector::from_labels(self.spec.selector.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }

    fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// Its pods that have an address.
    fn pods(&self, view: View<'_>) -> Vec<std::sync::Arc<Pod>> {
        let selector = self.selector();
        let mut pods = view.list::<Pod>(&self.metadata.namespace);
        pods.retain(|pod| {
            !pod.is_terminal() && !pod.status.pod_ip.is_empty() && selector.matches(&pod.metadata.labels)
        });
        pods
    }

    /// The labels of what says its endpoints: its own, but for those that say whose they are.
    fn labels(&self) -> serde_json::Map<String, Value> {
        let own = self.metadata.labels.iter().filter(|(key, _)| !OURS.contains(&key.as_str()));
        let mut labels: serde_json::Map<String, Value> =
            own.map(|(key, value)| (key.clone(), value.as_str().into())).collect();
        if self.is_headless() {
            labels.insert(HEADLESS.into(), "".into());
        }
        labels
    }
}

const OURS: [&str; 4] = [
    HEADLESS,
    "kubernetes.io/service-name",
    "endpointslice.kubernetes.io/managed-by",
    "endpoints.kubernetes.io/managed-by",
];

/// The Services that a change of a pod, or of a Service itself, concerns.
fn services(view: View<'_>, change: &Change) -> Vec<Key> {
    if change.key.resource == Resource::SERVICES {
        return vec![change.key.clone()];
    }
    let mut all = view.list::<Service>(change.key.namespace());
    all.retain(|service| service.selects());
    if all.is_empty() {
        return Vec::new();
    }
    let labels: Vec<Stored<'_>> = [&change.old, &change.new].into_iter().flatten().filter_map(meta).collect();
    all.into_iter()
        .filter(|service| labels.iter().any(|meta| service.selector().matches(&meta.labels)))
        .map(|service| service.metadata.key(Resource::SERVICES))
        .collect()
}

fn meta(object: &Object) -> Option<Stored<'_>> {
    Stored::of(object).ok()
}

/// The pods that run on a node whose existence changed.
fn services_on(view: View<'_>, node: &str) -> Vec<Key> {
    let services = view.list::<Service>("");
    let mut keys = BTreeSet::new();
    for pod in view.list::<Pod>("").iter().filter(|pod| pod.spec.node_name == node) {
        let selected = services.iter().filter(|service| {
            service.metadata.namespace == pod.metadata.namespace
                && service.selects()
                && service.selector().matches(&pod.metadata.labels)
        });
        keys.extend(selected.map(|service| service.metadata.key(Resource::SERVICES)));
    }
    keys.into_iter().collect()
}

#[cfg(test)]
mod tests;
