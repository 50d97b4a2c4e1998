//! EndpointSlices: the endpoints of a Service by address family and ports, at most 100 in each slice.
//!
//! A change touches as few slices as it can: what is there stays where it is, what is new fills the emptiest places, and a slice is made
//! only when there is no place left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use cox_kit::feed::Change;
use cox_kit::{Command, Decision, Reconciler, Typed, View};
use cox_objects::{Key, Meta as Stored, Resource, time};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::address::{self, Family};
use super::trigger::Triggers;
use super::{Service, TRIGGER_TIME, ports, services, services_on};
use crate::model::{Meta, or_default};
use crate::pods::Pod;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";
/// How many endpoints one slice has at most.
const PER_SLICE: usize = 100;

/// A stored slice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Slice {
    metadata: Meta,
    #[serde(deserialize_with = "or_default")]
    address_type: String,
    #[serde(deserialize_with = "or_default")]
    endpoints: Vec<Value>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<Value>,
}

impl Typed for Slice {
    const RESOURCE: Resource = Resource::ENDPOINTSLICES;
}

/// The controller.
#[derive(Default)]
pub(crate) struct EndpointSlices {
    triggers: Triggers,
}

/// What belongs into slices together: a family, and ports as text (for pods may have other numbers for the same name).
type Group = (Family, String);

impl Reconciler for EndpointSlices {
    const NAME: &'static str = "endpoint-slice-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::SERVICES, Resource::PODS, Resource::ENDPOINTSLICES, Resource::NODES]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == Resource::NODES {
            // Endpoints of a node that is not there are left out.
            let comes_or_goes = change.old.is_none() || change.new.is_none();
            return if comes_or_goes { services_on(view, change.key.name()) } else { Vec::new() };
        }
        if change.key.resource != Resource::ENDPOINTSLICES {
            return services(view, change);
        }
        let versions = [&change.old, &change.new].into_iter().flatten();
        let named = versions.filter_map(|slice| {
            let meta = Stored::of(slice).ok()?;
            let ours = meta.labels.get(MANAGED_BY).is_some_and(|manager| **manager == *MANAGER);
            let service = meta.labels.get(SERVICE_NAME).filter(|_| ours)?;
            Some(Key::new(Resource::SERVICES, change.key.namespace(), service))
        });
        named.collect()
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let Some(service) = view.at::<Service>(key).filter(|service| !service.metadata.is_deleted()) else {
            // Its slices have it as owner, and go with it.
            self.triggers.forget(key);
            return Decision::none();
        };
        if !service.selects() {
            // Somebody else says where it is served; what is there stays, as in Kubernetes.
            return Decision::none();
        }
        let mut existing = view.owned::<Slice>(&service.metadata.uid);
        existing.retain(|slice| {
            !slice.metadata.is_deleted() && slice.metadata.labels.get(MANAGED_BY).is_some_and(|m| m == MANAGER)
        });
        let pods = service.pods(view);
        let mut groups = grouped(view, &service, &pods);
        let trigger = self.triggers.next(key, &service, &pods);
        let mut commands = Vec::new();
        for family in Family::of(&service) {
            let (mine, others): (Vec<_>, Vec<_>) =
                existing.into_iter().partition(|slice| slice.address_type == family.as_str());
            existing = others;
            let of_family: BTreeMap<Group, Vec<Value>> = groups.extract_if(.., |(of, _), _| *of == family).collect();
            commands.extend(place(&service, family, of_family, mine, trigger));
        }
        commands.extend(existing.iter().map(|slice| removal(slice)));
        Decision::of(commands)
    }
}

fn removal(slice: &Slice) -> Command {
    Command::delete(slice.metadata.key(Resource::ENDPOINTSLICES), &slice.metadata.uid)
}

fn grouped(view: View<'_>, service: &Service, pods: &[Arc<Pod>]) -> BTreeMap<Group, Vec<Value>> {
    let mut groups: BTreeMap<Group, Vec<Value>> = BTreeMap::new();
    for pod in pods {
        let node = Key::new(Resource::NODES, "", &pod.spec.node_name);
        let zone = match view.raw(&node) {
            Some(node) => Stored::of(&node).ok().and_then(|meta| meta.labels.get(ZONE).map(ToString::to_string)),
            // A pod on a node that does not exist is served by nobody.
            None if !pod.spec.node_name.is_empty() => continue,
            None => None,
        };
        let ports = ports::of(service, pod);
        if ports.is_empty() && !service.is_headless() {
            continue;
        }
        for family in Family::of(service) {
            let addresses = family.addresses(pod);
            if !addresses.is_empty() {
                let endpoint = address::endpoint(service, pod, &addresses, zone.as_deref());
                groups.entry((family, Value::from(ports.clone()).to_string())).or_default().push(endpoint);
            }
        }
    }
    groups
}

/// Brings the slices of a family to hold exactly these endpoints.
fn place(
    service: &Service,
    family: Family,
    groups: BTreeMap<Group, Vec<Value>>,
    existing: Vec<Arc<Slice>>,
    trigger: Option<Timestamp>,
) -> Vec<Command> {
    let (mut commands, mut left) = (Vec::new(), existing);
    let empty = groups.is_empty();
    for ((_, ports), endpoints) in groups {
        let ports: Vec<Value> = serde_json::from_str(&ports).unwrap_or_default();
        let mut of_ports: Vec<Arc<Slice>> = Vec::new();
        left.retain(|slice| {
            let same = slice.ports == ports;
            if same {
                of_ports.push(slice.clone());
            }
            !same
        });
        let mut wanted: BTreeMap<String, Value> = endpoints.into_iter().map(|e| (identity(&e), e)).collect();
        let kept: Vec<Vec<Value>> = of_ports
            .iter()
            .map(|slice| {
                slice.endpoints.iter().filter_map(|old| wanted.remove(&identity(old))).take(PER_SLICE).collect()
            })
            .collect();
        let mut new: VecDeque<Value> = wanted.into_values().collect();
        for (slice, mut endpoints) in of_ports.into_iter().zip(kept) {
            let room = PER_SLICE.saturating_sub(endpoints.len()).min(new.len());
            endpoints.extend(new.drain(..room));
            if endpoints.is_empty() {
                commands.push(removal(&slice));
            } else {
                commands.extend(rewrite(service, &slice, &endpoints, &ports, trigger));
            }
        }
        while !new.is_empty() {
            let endpoints: Vec<Value> = new.drain(..PER_SLICE.min(new.len())).collect();
            // A slice of other ports that are no longer there is used again, as Kubernetes does with the empty one.
            match left.pop() {
                Some(slice) => commands.extend(rewrite(service, &slice, &endpoints, &ports, trigger)),
                None => commands.push(create(service, family, &endpoints, &ports, trigger)),
            }
        }
    }
    if empty {
        // One slice without endpoints says that there are none.
        match left.pop() {
            Some(slice) => commands.extend(rewrite(service, &slice, &[], &[], trigger)),
            None => commands.push(create(service, family, &[], &[], trigger)),
        }
    }
    commands.extend(left.iter().map(|slice| removal(slice)));
    commands
}

/// What makes an endpoint the same one, however it does.
fn identity(endpoint: &Value) -> String {
    let uid = endpoint.pointer("/targetRef/uid").and_then(Value::as_str).unwrap_or_default();
    format!("{uid} {}", endpoint.get("addresses").unwrap_or(&Value::Null))
}

fn labels(service: &Service) -> Map<String, Value> {
    let mut labels = service.labels();
    labels.insert(SERVICE_NAME.into(), service.metadata.name.as_str().into());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels
}

fn list(items: &[Value]) -> Value {
    if items.is_empty() { Value::Null } else { json!(items) }
}

fn create(
    service: &Service,
    family: Family,
    endpoints: &[Value],
    ports: &[Value],
    trigger: Option<Timestamp>,
) -> Command {
    let meta = &service.metadata;
    let mut metadata = json!({
        "generateName": format!("{}-", meta.name), "namespace": meta.namespace, "labels": labels(service),
        "ownerReferences": [meta.as_controller("v1", "Service")],
    });
    if let Some(at) = trigger {
        cox_objects::meta::set(&mut metadata, "annotations", json!({TRIGGER_TIME: time::format(at)}));
    }
    Command::Create(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": family.as_str(), "endpoints": list(endpoints), "ports": list(ports),
    }))
}

fn rewrite(
    service: &Service,
    slice: &Slice,
    endpoints: &[Value],
    ports: &[Value],
    trigger: Option<Timestamp>,
) -> Option<Command> {
    let labels = labels(service);
    let labelled = slice.metadata.labels.len() == labels.len()
        && labels.iter().all(|(key, value)| slice.metadata.labels.get(key).map(String::as_str) == value.as_str());
    if slice.endpoints == endpoints && slice.ports == ports && labelled {
        return None;
    }
    let meta = &slice.metadata;
    let mut annotations: BTreeMap<&str, String> =
        meta.annotations.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    // A change that came of nothing newer has no time of its own.
    match trigger {
        Some(at) => annotations.insert(TRIGGER_TIME, time::format(at)),
        None => annotations.remove(TRIGGER_TIME),
    };
    let mut metadata = json!({
        "name": meta.name, "namespace": meta.namespace, "uid": meta.uid, "resourceVersion": meta.resource_version,
        "labels": labels, "ownerReferences": meta.owner_references, "generateName": format!("{}-", service.metadata.name),
    });
    if let Some(fields) = metadata.as_object_mut().filter(|_| !annotations.is_empty()) {
        fields.insert("annotations".into(), json!(annotations));
    }
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": slice.address_type, "endpoints": list(endpoints), "ports": list(ports),
    });
    Some(Command::Update { key: meta.key(Resource::ENDPOINTSLICES), subresource: "", object })
}
