//! Endpoints: the older form, one object of the Service's name, with ready and unready addresses by ports.

use std::collections::BTreeMap;

use cox_kit::feed::Change;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Resource, time};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::address::{self, Family};
use super::trigger::Triggers;
use super::{Service, TRIGGER_TIME, ports, services};
use crate::pods::Pod;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// How many addresses one object has at most; more are cut off, and an annotation says so.
const MOST: usize = 1000;

/// The controller.
#[derive(Default)]
pub(crate) struct LegacyEndpoints {
    triggers: Triggers,
}

impl Reconciler for LegacyEndpoints {
    const NAME: &'static str = "endpoint-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::SERVICES, Resource::PODS, Resource::ENDPOINTS]
    }

    fn keys(&mut self, view: View<'_>, change: &Change) -> Vec<Key> {
        if change.key.resource == Resource::ENDPOINTS {
            return vec![Key::new(Resource::SERVICES, change.key.namespace(), change.key.name())];
        }
        services(view, change)
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let at = Key::new(Resource::ENDPOINTS, key.namespace(), key.name());
        let stored = view.raw(&at).map(|object| object.value());
        let Some(service) = view.at::<Service>(key) else {
            self.triggers.forget(key);
            // What others wrote for a Service of theirs stays.
            let ours =
                |endpoints: &Value| endpoints.pointer("/metadata/labels").is_some_and(|l| l.get(MANAGED_BY).is_some());
            let uid =
                stored.as_ref().filter(|endpoints| ours(endpoints)).map(|e| cox_objects::meta::text(e, "metadata.uid"));
            return Decision::of(uid.map(|uid| Command::delete(at, uid)).into_iter().collect());
        };
        if !service.selects() || service.metadata.is_deleted() {
            return Decision::none();
        }
        let pods = service.pods(view);
        let (subsets, cut) = subsets(&service, &pods);
        let trigger = self.triggers.next(key, &service, &pods);
        Decision::of(write(&service, at, stored, subsets, cut, trigger).into_iter().collect())
    }
}

fn subsets(service: &Service, pods: &[std::sync::Arc<Pod>]) -> (Vec<Value>, bool) {
    let family = Family::of(service).first().copied().unwrap_or(Family::V4);
    let mut by_ports: BTreeMap<String, [Vec<(String, Value)>; 2]> = BTreeMap::new();
    let mut pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    pods.retain(|pod| !pod.metadata.is_deleted() || service.spec.publish_not_ready_addresses);
    // Those that are ready come first where there are too many.
    pods.sort_by_key(|pod| !address::is_ready(service, pod));
    let cut = pods.len() > MOST;
    for pod in pods.into_iter().take(MOST) {
        let Some(ip) = family.addresses(pod).first().copied() else { continue };
        let ports = ports::of(service, pod);
        if ports.is_empty() && !service.is_headless() {
            continue;
        }
        let mut written = Map::new();
        written.insert("ip".into(), ip.into());
        if !pod.spec.node_name.is_empty() {
            written.insert("nodeName".into(), pod.spec.node_name.as_str().into());
        }
        if let Some(hostname) = address::hostname(service, pod) {
            written.insert("hostname".into(), hostname.into());
        }
        written.insert("targetRef".into(), address::target(pod));
        let [ready, unready] = by_ports.entry(Value::from(ports).to_string()).or_default();
        let group = if address::is_ready(service, pod) { ready } else { unready };
        group.push((format!("{ip} {}", pod.metadata.uid), written.into()));
    }
    let subset = |(ports, [ready, unready]): (String, [Vec<(String, Value)>; 2])| {
        let mut subset = Map::new();
        for (name, mut addresses) in [("addresses", ready), ("notReadyAddresses", unready)] {
            addresses.sort_by(|(a, _), (b, _)| a.cmp(b));
            if !addresses.is_empty() {
                subset.insert(name.into(), addresses.into_iter().map(|(_, address)| address).collect());
            }
        }
        let ports: Vec<Value> = serde_json::from_str(&ports).unwrap_or_default();
        if !ports.is_empty() {
            subset.insert("ports".into(), ports.into_iter().map(unnamed_without_name).collect());
        }
        Value::from(subset)
    };
    (by_ports.into_iter().map(subset).collect(), cut)
}

/// Here a port without a name has no field for it.
fn unnamed_without_name(mut port: Value) -> Value {
    if let Some(fields) = port.as_object_mut() {
        fields.retain(|name, value| name != "name" || value.as_str() != Some(""));
    }
    port
}

fn write(
    service: &Service,
    key: Key,
    stored: Option<Value>,
    subsets: Vec<Value>,
    cut: bool,
    trigger: Option<Timestamp>,
) -> Option<Command> {
    let exists = stored.is_some();
    let old = stored.unwrap_or(Value::Null);
    let mut labels = service.labels();
    labels.insert(MANAGED_BY.into(), "endpoint-controller".into());
    let mut annotations: Map<String, Value> =
        old.pointer("/metadata/annotations").and_then(Value::as_object).cloned().unwrap_or_default();
    if cut {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    let same_labels = old.pointer("/metadata/labels").and_then(Value::as_object) == Some(&labels);
    let same_cut = old.pointer("/metadata/annotations").is_some_and(|a| a.get(OVER_CAPACITY).is_some()) == cut;
    let old_subsets = old.get("subsets").and_then(Value::as_array).cloned().unwrap_or_default();
    if exists && old_subsets == subsets && same_labels && same_cut {
        return None;
    }
    // A change that came of nothing newer has no time of its own.
    match trigger {
        Some(at) => annotations.insert(TRIGGER_TIME.into(), time::format(at).into()),
        None => annotations.remove(TRIGGER_TIME),
    };
    let mut metadata = json!({"name": key.name(), "namespace": key.namespace(), "labels": labels});
    let fields = metadata.as_object_mut()?;
    if !annotations.is_empty() {
        fields.insert("annotations".into(), annotations.into());
    }
    for field in ["uid", "resourceVersion"] {
        if let Some(value) = old.pointer(&format!("/metadata/{field}")) {
            fields.insert(field.into(), value.clone());
        }
    }
    let mut object = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata});
    if !subsets.is_empty() {
        object.as_object_mut()?.insert("subsets".into(), subsets.into());
    }
    Some(if exists { Command::Update { key, subresource: "", object } } else { Command::Create(object) })
}
