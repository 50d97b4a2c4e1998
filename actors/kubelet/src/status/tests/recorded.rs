//! Statuses that a real kubelet wrote, against those that follow from the same containers here.
//!
//! Each write of a recording is turned back into what its writer must have known (sandbox, containers, health, waits); the status that
//! follows from it must be the recorded one, times of conditions included.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use cox_runtime::{ContainerId, ContainerState, ExitReason, SandboxId, User};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{ContainerView, Health, Known, Memory, SandboxView, Verdict, Volumes, Waiting};
use crate::status::{NodeFacts, difference, status};

#[derive(Deserialize)]
struct Recording {
    pod: Value,
    writes: Vec<Write>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Write {
    generation: i64,
    deletion_timestamp: Option<String>,
    ephemeral_containers: Option<Value>,
    status: Value,
}

fn recordings() -> BTreeMap<String, Recording> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        })
        .collect()
}

/// The pod as the writer of a status saw it: with the status before.
fn pod_of(recording: &Recording, write: &Write, before: &Value) -> Pod {
    let mut pod = recording.pod.clone();
    pod["metadata"]["generation"] = write.status["observedGeneration"].clone();
    if write.status["observedGeneration"] == json!(write.generation) {
        pod["metadata"]["deletionTimestamp"] = json!(write.deletion_timestamp);
    }
    if let Some(ephemeral) = &write.ephemeral_containers {
        pod["spec"]["ephemeralContainers"] = ephemeral.clone();
    }
    pod["status"] = before.clone();
    serde_json::from_value(pod).unwrap()
}

fn nanos(time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>) -> i64 {
    time.map_or(0, |t| i64::try_from(t.0.as_nanosecond()).unwrap())
}

fn id(text: &str) -> ContainerId {
    ContainerId(text.rsplit('/').next().unwrap().to_owned())
}

/// The starts of a container that its status tells of, and its health.
fn starts(told: &ContainerStatus, memory: &mut Memory) -> Vec<ContainerView> {
    let state = told.state.clone().unwrap_or_default();
    let last = told.last_state.clone().unwrap_or_default();
    let attempt = u32::try_from(told.restart_count).unwrap();
    let linux = told.user.as_ref().and_then(|u| u.linux.clone()).unwrap_or_default();
    let number = |n: i64| u32::try_from(n).unwrap();
    let view = |id: ContainerId, attempt, state, message| ContainerView {
        id,
        name: told.name.clone(),
        attempt,
        hash: String::new(),
        image: told.image.clone(),
        image_id: told.image_id.clone(),
        state,
        user: User {
            uid: number(linux.uid),
            gid: number(linux.gid),
            supplemental_groups: linux.supplemental_groups.iter().flatten().map(|g| number(*g)).collect(),
        },
        message,
    };
    let ended = |end: &k8s_openapi::api::core::v1::ContainerStateTerminated, attempt| {
        let reason = match end.reason.as_deref() {
            Some("OOMKilled") => ExitReason::OomKilled,
            Some("StartError") => ExitReason::StartError,
            _ => ExitReason::Ended,
        };
        let exited = ContainerState::Exited {
            exit_code: end.exit_code,
            signal: None,
            reason,
            message: String::new(),
            started_at: nanos(end.started_at.as_ref()),
            finished_at: nanos(end.finished_at.as_ref()),
        };
        view(id(end.container_id.as_deref().unwrap()), attempt, exited, end.message.clone().unwrap_or_default())
    };
    let mut out = Vec::new();
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.clone().unwrap();
        if !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing") {
            let message = waiting.message.clone().unwrap_or_default();
            memory.waiting.insert(told.name.clone(), Waiting { reason, message });
        }
        out.extend(last.terminated.as_ref().map(|end| ended(end, attempt)));
        return out;
    }
    if let Some(end) = last.terminated.as_ref() {
        out.push(ended(end, attempt - 1));
    }
    if let Some(running) = &state.running {
        let running = ContainerState::Running { pid: 1, started_at: nanos(running.started_at.as_ref()) };
        let own = view(id(told.container_id.as_deref().unwrap()), attempt, running, String::new());
        let health = Health { started: told.started == Some(true), ready: told.ready, doomed: None };
        memory.health.insert(own.id.clone(), health);
        out.push(own);
    }
    // One without an id was never there.
    if let Some(end) = state.terminated.as_ref().filter(|end| end.container_id.is_some()) {
        out.push(ended(end, attempt));
    }
    out
}

/// What is written for what a recorded write was written for.
fn derive(pod: &Pod, recorded: &Value, now: Timestamp) -> Value {
    let told: PodStatus = serde_json::from_value(recorded.clone()).unwrap();
    let phase = told.phase.as_deref().unwrap();
    let network =
        told.conditions.iter().flatten().any(|c| c.type_ == "PodReadyToStartContainers" && c.status == "True");
    let failed =
        told.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.reason.as_deref() == Some("PodFailed"));
    let mut memory = Memory {
        start_time: told.start_time.as_ref().map(|t| t.0),
        volumes: if network { Volumes::Ready } else { Volumes::Pending },
        finished: matches!(phase, "Succeeded" | "Failed"),
        rejected: told.container_statuses.is_none(),
        ..Memory::default()
    };
    let lists = [&told.container_statuses, &told.init_container_statuses, &told.ephemeral_container_statuses];
    let containers: Vec<ContainerView> =
        lists.into_iter().flatten().flatten().flat_map(|c| starts(c, &mut memory)).collect();
    let message = told.message.clone().unwrap_or_default();
    let message = message.strip_prefix("Pod was rejected: ").unwrap_or(&message).to_owned();
    let doomed = failed && containers.iter().any(ContainerView::is_running);
    if told.reason.is_some() || doomed {
        memory.verdict = Some(Verdict { reason: told.reason.clone().unwrap_or_default(), message });
    }
    let ips = told.pod_ips.iter().flatten().map(|ip| ip.ip.parse().unwrap()).collect::<Vec<_>>();
    let ips = if ips.is_empty() { vec!["10.0.0.1".parse().unwrap()] } else { ips };
    let sandbox = network.then(|| SandboxView { id: SandboxId("s-0".into()), attempt: 0, ready: true, ips });
    let known = Known { pod, sandbox: sandbox.as_ref(), containers: &containers, memory: &memory };
    status(&known, &NodeFacts { host_ips: vec!["192.0.2.2".into()] }, now)
}

/// When the recorded write was made: the time of the conditions that changed with it.
fn time_of(write: &Value, before: &Value) -> Timestamp {
    let conditions = |status: &Value| status["conditions"].as_array().cloned().unwrap_or_default();
    let old = conditions(before);
    let same = |c: &Value| old.iter().any(|o| o["type"] == c["type"] && o["status"] == c["status"]);
    let changed = conditions(write).into_iter().find(|c| !same(c));
    let text = changed.and_then(|c| c["lastTransitionTime"].as_str().map(str::to_owned));
    text.map_or(Timestamp::UNIX_EPOCH, |text| text.parse().unwrap())
}

fn ours(value: &Value) -> Value {
    serde_json::from_str(&value.to_string().replace("containerd://", "cox://")).unwrap()
}

/// Writes that differ on purpose, by recording and position.
const OTHERWISE: [(&str, usize); 4] = [
    // The kubelet tells that a startup probe has succeeded first and that its container is ready a moment later; here it is one write.
    ("sidecar", 5),
    ("startup-probe", 5),
    // It reads resources back from the cgroup, which is gone when the pod has ended; here they stay as they were.
    ("oom", 7),
    ("env-refs", 7),
];

#[test]
fn the_same_containers_give_the_recorded_statuses() {
    let recordings = recordings();
    assert!(recordings.len() > 30);
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, recording) in &recordings {
        let mut before = json!({});
        for (i, write) in recording.writes.iter().enumerate() {
            let recorded = ours(&write.status);
            let same_on_purpose = !OTHERWISE.contains(&(name.as_str(), i));
            let by_kubelet = recorded.get("observedGeneration").is_some() && recorded != before && same_on_purpose;
            if by_kubelet {
                let derived = derive(&pod_of(recording, write, &before), &recorded, time_of(&recorded, &before));
                compared += 1;
                if let Some(patch) = difference(&derived, &recorded) {
                    wrong.push(format!("{name} {i}: {patch}\n   derived: {derived}"));
                }
            }
            before = recorded;
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 180, "{compared}");
}
