//! The status of a pod, from what is known of it. Pure; what the API shows is this, merged over what others wrote.

mod conditions;
mod container;
mod phase;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use phase::{Phase, phase};

use crate::model::Known;
use crate::spec::names::{Member, Role};
use crate::spec::resources::Qos;

/// What a status says of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's addresses, the primary first.
    pub host_ips: Vec<String>,
}

/// The whole status. Times of conditions that did not change are those that the API has.
pub fn status(known: &Known<'_>, node: &NodeFacts, now: Timestamp) -> Value {
    if let Some(told) = settled(known) {
        return told;
    }
    let members = known.members();
    let computed = phase(known);
    let shown = phase::shown(known, computed);
    let mut status = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            status.insert(name.to_owned(), value);
        }
    };
    set("observedGeneration", known.pod.metadata.generation.into());
    set("phase", shown.into());
    match (&known.memory.verdict, known.told_end()) {
        (Some(verdict), _) if known.memory.rejected => {
            set("reason", verdict.reason.as_str().into());
            set("message", format!("Pod was rejected: {}", verdict.message).into());
        }
        (Some(verdict), None) if known.memory.finished => {
            set("reason", verdict.reason.as_str().into());
            set("message", verdict.message.as_str().into());
        }
        (_, None) => {}
        // Why a pod ended is told once.
        (_, Some(_)) => {
            let told = known.pod.status.as_ref();
            set("reason", told.and_then(|s| s.reason.clone()).into());
            set("message", told.and_then(|s| s.message.clone()).into());
        }
    }
    if known.memory.rejected {
        set("startTime", known.memory.start_time.map(time).into());
        set("qosClass", qos(known).into());
        return Value::Object(status);
    }
    set("conditions", conditions::conditions(known, &members, computed, now));
    set("hostIP", node.host_ips.first().cloned().into());
    if !node.host_ips.is_empty() {
        set("hostIPs", node.host_ips.iter().map(|ip| json!({"ip": ip})).collect());
    }
    let ips = pod_ips(known, node);
    set("podIP", ips.first().cloned().into());
    if !ips.is_empty() {
        set("podIPs", ips.iter().map(|ip| json!({"ip": ip})).collect());
    }
    set("startTime", known.memory.start_time.map(time).into());
    let list = |roles: &[Role]| -> Value {
        let mut wanted: Vec<&Member> = members.iter().filter(|m| roles.contains(&m.role)).collect();
        if !roles.contains(&Role::Init) {
            // Init containers are told in their order, the others by name.
            wanted.sort_by(|a, b| a.container.name.cmp(&b.container.name));
        }
        if wanted.is_empty() {
            return Value::Null;
        }
        wanted.into_iter().map(|member| container::status(known, member)).collect()
    };
    set("initContainerStatuses", list(&[Role::Init, Role::Sidecar]));
    set("containerStatuses", list(&[Role::Main]));
    set("ephemeralContainerStatuses", list(&[Role::Ephemeral]));
    set("qosClass", qos(known).into());
    let (allocated, resources) = container::pod_resources(known);
    set("allocatedResources", allocated);
    set("resources", resources);
    Value::Object(status)
}

/// What the API has of a pod that has ended with all its containers: nothing more is to be told, also if the runtime remembers none of it.
fn settled(known: &Known<'_>) -> Option<Value> {
    known.told_end()?;
    let told = known.pod.status.as_ref()?;
    let lists = [&told.container_statuses, &told.init_container_statuses, &told.ephemeral_container_statuses];
    let told_running =
        lists.into_iter().flatten().flatten().any(|s| s.state.as_ref().is_some_and(|s| s.running.is_some()));
    if told_running || known.containers.iter().any(crate::model::ContainerView::is_running) {
        return None;
    }
    let mut status = serde_json::to_value(told).ok()?;
    status.as_object_mut()?.insert("observedGeneration".to_owned(), known.pod.metadata.generation.into());
    Some(status)
}

/// The pod's addresses: the host's at once on the host's network, else those of the sandbox once something has been started in it.
fn pod_ips(known: &Known<'_>, node: &NodeFacts) -> Vec<String> {
    if known.spec().is_some_and(|s| s.host_network == Some(true)) {
        return node.host_ips.clone();
    }
    let told = || {
        let status = known.pod.status.as_ref();
        status.iter().flat_map(|s| s.pod_ips.iter().flatten()).map(|ip| ip.ip.clone()).collect()
    };
    match known.sandbox {
        Some(sandbox) if sandbox.ready => {
            let touched = !known.memory.waiting.is_empty()
                || known.members().iter().any(|m| known.told_start(&m.container.name).is_some());
            if touched { sandbox.ips.iter().map(ToString::to_string).collect() } else { told() }
        }
        // The address of a pod that has ended is still told.
        _ => told(),
    }
}

fn qos(known: &Known<'_>) -> &'static str {
    match Qos::of(known.pod) {
        Qos::Guaranteed => "Guaranteed",
        Qos::Burstable => "Burstable",
        Qos::BestEffort => "BestEffort",
    }
}

/// RFC 3339 in whole seconds.
fn time(time: Timestamp) -> String {
    cox_objects::time::format(time)
}

/// The merge patch (RFC 7386) that turns one status into the other; none if they are the same.
pub fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (name, value) in new {
        match old.get(name) {
            None => {
                patch.insert(name.clone(), value.clone());
            }
            Some(known) => {
                if let Some(change) = difference(known, value) {
                    patch.insert(name.clone(), change);
                }
            }
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests;
