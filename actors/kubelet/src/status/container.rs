//! The status of one container, and the resources that a status lists.

use cox_runtime::{ContainerState, ExitReason};
use serde_json::{Map, Value, json};

use super::time;
use crate::model::{ContainerView, Known, Lost};
use crate::plan::{Progress, progress};
use crate::spec::names::{Member, Role};

/// How container ids begin: the runtime's name.
const SCHEME: &str = "cox";
/// Why a container waits that is about to start.
const CREATING: &str = "ContainerCreating";

/// Whether a container counts as ready: an init container when it has completed, any other while it runs, has started and its readiness
/// probe (if it has one) succeeds.
pub(super) fn is_ready(known: &Known<'_>, member: &Member) -> bool {
    let Some(newest) = known.told_start(&member.container.name) else { return false };
    match member.role {
        Role::Init => newest.ended().is_some_and(|(code, _)| code == 0),
        Role::Ephemeral => false,
        Role::Main | Role::Sidecar => {
            let health = known.health(newest);
            newest.is_running() && health.started && (health.ready || member.container.readiness_probe.is_none())
        }
    }
}

/// `containerStatuses[]`.
pub(super) fn status(known: &Known<'_>, member: &Member) -> Value {
    let container = &member.container;
    let newest = known.told_start(&container.name);
    if newest.is_none()
        && let Some(told) = known.told(&container.name)
        && told.state.as_ref().is_some_and(|s| s.terminated.is_some())
    {
        // Only the API remembers how it ended.
        return serde_json::to_value(told).unwrap_or_default();
    }
    // A container that has ended for good shows its end, whatever its next start would have waited for.
    let done = newest.and_then(ContainerView::ended).is_some_and(|(code, _)| !known.restarts(member, code));
    let waiting =
        known.memory.waiting.get(&container.name).filter(|_| !done && !newest.is_some_and(ContainerView::is_running));
    let state = match (newest, waiting) {
        (_, Some(waiting)) => {
            let mut fields = Map::from_iter([("reason".to_owned(), Value::from(waiting.reason.as_str()))]);
            if !waiting.message.is_empty() {
                fields.insert("message".to_owned(), waiting.message.as_str().into());
            }
            json!({"waiting": fields})
        }
        (Some(view), None) => state(view),
        (None, None) if ended_unseen(known, member) => lost(),
        (None, None) => json!({"waiting": {"reason": first_wait(known)}}),
    };
    // A container that waits for its next start shows its end as the last state.
    let last = match (newest, waiting) {
        (Some(view), Some(_)) => self::state(view),
        (Some(view), None) => known.before(view).map_or_else(|| last_told(known, member), self::state),
        (None, _) => match known.lost(&container.name) {
            Some(Lost::Gone { running: true, .. }) => lost(),
            _ => last_told(known, member),
        },
    };
    let mut status = json!({
        "name": container.name,
        "state": state,
        "lastState": last,
        "ready": is_ready(known, member),
        "restartCount": restart_count(known, member),
        "image": newest.map_or_else(|| container.image.clone().unwrap_or_default(), |c| c.image.clone()),
        "imageID": newest.map_or("", |c| c.image_id.as_str()),
    });
    let Some(fields) = status.as_object_mut() else { return status };
    if let Some(view) = newest {
        fields.insert("containerID".to_owned(), format!("{SCHEME}://{}", view.id).into());
    }
    if member.role != Role::Ephemeral {
        let started = newest.is_some_and(|c| c.is_running() && (member.role == Role::Init || known.health(c).started));
        fields.insert("started".to_owned(), started.into());
    }
    if newest.is_some() {
        let resources =
            container.resources.as_ref().and_then(|r| serde_json::to_value(r).ok()).unwrap_or_else(|| json!({}));
        if let Some(requests) = resources.get("requests") {
            fields.insert("allocatedResources".to_owned(), requests.clone());
        }
        fields.insert("resources".to_owned(), resources);
    }
    if let Some(mounts) = mounts(member) {
        fields.insert("volumeMounts".to_owned(), mounts);
    }
    if let Some(view) = newest.filter(|c| c.is_running() || c.ended().is_some()) {
        let user = &view.user;
        let linux = json!({"uid": user.uid, "gid": user.gid, "supplementalGroups": user.supplemental_groups});
        fields.insert("user".to_owned(), json!({"linux": linux}));
    }
    status
}

fn state(view: &ContainerView) -> Value {
    match &view.state {
        ContainerState::Created => json!({"waiting": {"reason": CREATING}}),
        ContainerState::Running { started_at, .. } => json!({"running": {"startedAt": nanos(*started_at)}}),
        ContainerState::Exited { exit_code, signal: _, reason, message, started_at, finished_at } => {
            let why = match reason {
                ExitReason::OomKilled => "OOMKilled",
                ExitReason::StartError => "StartError",
                ExitReason::Unknown => "ContainerStatusUnknown",
                ExitReason::Ended if *exit_code == 0 => "Completed",
                ExitReason::Ended => "Error",
            };
            let mut fields = Map::new();
            fields.insert("exitCode".into(), (*exit_code).into());
            fields.insert("reason".into(), why.into());
            let text = if view.message.is_empty() { message } else { &view.message };
            if !text.is_empty() {
                fields.insert("message".into(), text.as_str().into());
            }
            fields.insert("startedAt".into(), nanos(*started_at).into());
            fields.insert("finishedAt".into(), nanos(*finished_at).into());
            fields.insert("containerID".into(), format!("{SCHEME}://{}", view.id).into());
            json!({"terminated": fields})
        }
    }
}

fn nanos(nanoseconds: i64) -> String {
    time(crate::model::time(nanoseconds))
}

/// Why a container waits that nothing else is known of.
fn first_wait(known: &Known<'_>) -> &'static str {
    let has_init = known.members().iter().any(|m| matches!(m.role, Role::Init | Role::Sidecar));
    if has_init { "PodInitializing" } else { CREATING }
}

/// Whether a container without a trace counts as ended badly, as its deleted pod has ended: main containers of a pod that was initialized, and
/// init containers up to the last that left a trace (the first at least).
fn ended_unseen(known: &Known<'_>, member: &Member) -> bool {
    if !known.memory.finished || known.pod.metadata.deletion_timestamp.is_none() {
        return false;
    }
    let members = known.members();
    let traced = |m: &Member| known.told_start(&m.container.name).is_some() || known.lost(&m.container.name).is_some();
    let inits: Vec<&Member> = members.iter().filter(|m| matches!(m.role, Role::Init | Role::Sidecar)).collect();
    match member.role {
        Role::Ephemeral => false,
        Role::Main => {
            inits.is_empty()
                || members.iter().any(|m| m.role == Role::Main && traced(m))
                || progress(known) == Progress::Running
        }
        Role::Init | Role::Sidecar => {
            let own = inits.iter().position(|m| m.container.name == member.container.name);
            own <= Some(inits.iter().rposition(|m| traced(m)).unwrap_or(0))
        }
    }
}

fn lost() -> Value {
    json!({"terminated": {
        "exitCode": 137, "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "startedAt": null, "finishedAt": null,
    }})
}

/// The last state that the API has, for a container whose earlier start the runtime no longer has.
fn last_told(known: &Known<'_>, member: &Member) -> Value {
    let told = known.told(&member.container.name).and_then(|s| s.last_state.as_ref());
    told.and_then(|state| serde_json::to_value(state).ok()).unwrap_or_else(|| json!({}))
}

fn restart_count(known: &Known<'_>, member: &Member) -> u32 {
    let name = &member.container.name;
    match known.told_start(name) {
        Some(start) => start.attempt,
        // Its next start is another one.
        None => known.lost(name).map_or(0, Lost::next),
    }
}

fn mounts(member: &Member) -> Option<Value> {
    let mounts = member.container.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let list = mounts.iter().map(|mount| {
        let mut value = json!({"name": mount.name, "mountPath": mount.mount_path});
        if mount.read_only == Some(true)
            && let Some(fields) = value.as_object_mut()
        {
            let recursive = mount.recursive_read_only.as_deref().unwrap_or("Disabled");
            fields.insert("readOnly".to_owned(), true.into());
            fields.insert("recursiveReadOnly".to_owned(), recursive.into());
        }
        value
    });
    Some(list.collect())
}

/// `allocatedResources` and `resources` of the pod: sums over its containers, once the kubelet has taken the pod on.
pub(super) fn pod_resources(known: &Known<'_>) -> (Value, Value) {
    use crate::spec::resources::{bytes, milli, pod_total};
    let Some(spec) = known.spec() else { return (Value::Null, json!({})) };
    let total = |requests: bool| {
        let mut list = Map::new();
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let mut resources: Vec<_> = containers.filter_map(|c| c.resources.as_ref()).collect();
        resources.extend(spec.resources.as_ref());
        for name in ["cpu", "memory"] {
            let any = resources.iter().any(|r| {
                let side = if requests { &r.requests } else { &r.limits };
                side.as_ref().is_some_and(|l| l.contains_key(name))
            });
            if any {
                let text = if name == "cpu" {
                    cox_objects::quantity::Quantity::from_milli(pod_total(spec, name, requests, milli)).to_string()
                } else {
                    let value = pod_total(spec, name, requests, bytes);
                    cox_objects::quantity::Quantity::new(value, cox_objects::quantity::Format::Binary).to_string()
                };
                list.insert(name.to_owned(), text.into());
            }
        }
        list
    };
    let (requests, limits) = (total(true), total(false));
    let mut resources = Map::new();
    if !limits.is_empty() {
        resources.insert("limits".to_owned(), limits.into());
    }
    let allocated = if requests.is_empty() { Value::Null } else { Value::Object(requests.clone()) };
    if !requests.is_empty() {
        resources.insert("requests".to_owned(), requests.into());
    }
    (allocated, resources.into())
}
