//! The conditions of a pod, in the kubelet's order; those of others are kept behind them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodCondition;
use serde_json::{Map, Value, json};

use super::Phase;
use super::container;
use crate::model::{Known, Volumes};
use crate::plan::{Progress, progress};
use crate::spec::names::{Member, Role};

/// The types that the kubelet writes, in its order.
const OWN: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Verdict { holds: true, reason: "", message: String::new() }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Verdict { holds: false, reason, message }
    }
}

/// All conditions. A condition that holds as before keeps its time.
pub(super) fn conditions(known: &Known<'_>, members: &[Member], phase: Phase, now: Timestamp) -> Value {
    // Containers could start: the network stands, and the volumes are in place (or once were, for what has started).
    let begun = members.iter().any(|m| known.told_start(&m.container.name).is_some());
    let network = known.sandbox.is_some_and(|s| s.ready) && (known.memory.volumes == Volumes::Ready || begun);
    let containers = containers_ready(known, members, phase);
    let ready =
        if containers.holds { gates(known) } else { Verdict { message: containers.message.clone(), ..containers } };
    let own = [
        Verdict { holds: network, reason: "", message: String::new() },
        initialized(known, members, phase),
        ready,
        containers_ready(known, members, phase),
        Verdict::yes(),
    ];
    let told: Vec<&PodCondition> = known.pod.status.iter().flat_map(|s| s.conditions.iter().flatten()).collect();
    let mut list: Vec<Value> = Vec::new();
    for (kind, verdict) in OWN.into_iter().zip(own) {
        let before = told.iter().find(|c| c.type_ == kind);
        let status = if verdict.holds { "True" } else { "False" };
        let since =
            before.filter(|c| c.status == status).and_then(|c| c.last_transition_time.as_ref()).map_or(now, |t| t.0);
        let mut condition = json!({
            "type": kind, "observedGeneration": known.pod.metadata.generation, "status": status,
            "lastProbeTime": null, "lastTransitionTime": super::time(since),
        });
        if let Some(fields) = condition.as_object_mut() {
            add(fields, "reason", verdict.reason);
            add(fields, "message", &verdict.message);
        }
        list.push(condition);
    }
    let others = told.into_iter().filter(|c| !OWN.contains(&c.type_.as_str()));
    list.extend(others.filter_map(|c| serde_json::to_value(c).ok()));
    list.into()
}

fn add(fields: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        fields.insert(name.to_owned(), text.into());
    }
}

fn initialized(known: &Known<'_>, members: &[Member], phase: Phase) -> Verdict {
    if phase == Phase::Succeeded {
        return Verdict { reason: "PodCompleted", ..Verdict::yes() };
    }
    if matches!(progress(known), Progress::Running) {
        return Verdict::yes();
    }
    let done = |m: &&Member| {
        let newest = known.told_start(&m.container.name);
        match m.role {
            Role::Init => newest.and_then(|c| c.ended()).is_some_and(|(code, _)| code == 0),
            _ => newest.is_some_and(|c| c.is_running() && known.health(c).started),
        }
    };
    let began = members.iter().any(|m| m.role == Role::Main && known.told_start(&m.container.name).is_some());
    let inits = members.iter().filter(|m| matches!(m.role, Role::Init | Role::Sidecar));
    let incomplete: Vec<&str> = inits.filter(|m| !done(m)).map(|m| m.container.name.as_str()).collect();
    if began || incomplete.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotInitialized", format!("containers with incomplete status: [{}]", incomplete.join(" ")))
}

fn containers_ready(known: &Known<'_>, members: &[Member], phase: Phase) -> Verdict {
    match phase {
        Phase::Succeeded => return Verdict::no("PodCompleted", String::new()),
        Phase::Failed => return Verdict::no("PodFailed", String::new()),
        _ => {}
    }
    let counted = members.iter().filter(|m| matches!(m.role, Role::Main | Role::Sidecar));
    let unready: Vec<&str> =
        counted.filter(|m| !container::is_ready(known, m)).map(|m| m.container.name.as_str()).collect();
    if unready.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
}

/// Readiness gates: conditions that others must set to True.
fn gates(known: &Known<'_>) -> Verdict {
    let wanted: Vec<&str> = known
        .spec()
        .iter()
        .flat_map(|s| s.readiness_gates.iter().flatten())
        .map(|g| g.condition_type.as_str())
        .collect();
    let told: Vec<&PodCondition> = known.pod.status.iter().flat_map(|s| s.conditions.iter().flatten()).collect();
    let mut messages = Vec::new();
    for gate in wanted {
        match told.iter().find(|c| c.type_ == gate) {
            None => messages.push(format!("corresponding condition of pod readiness gate {gate:?} does not exist.")),
            Some(c) if c.status != "True" => {
                messages.push(format!("the status of pod readiness gate {gate:?} is not \"True\", but {}", c.status))
            }
            Some(_) => {}
        }
    }
    if messages.is_empty() { Verdict::yes() } else { Verdict::no("ReadinessGatesNotReady", messages.join(", ")) }
}
