//! The row of a pod: what `kubectl get pods` says about its state.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{flag, get, int, list, text, text_or};
use super::cells::{NONE, age, name};
use crate::time;

pub(super) fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let state = State::of(pod);
    let restarts = match (state.restarts, state.last_restart) {
        (0, _) | (_, None) => state.restarts.to_string(),
        (restarts, Some(last)) => format!("{restarts} ({} ago)", time::human_age(last, now)),
    };
    let address = pod.pointer("/status/podIPs/0/ip").and_then(Value::as_str).filter(|ip| !ip.is_empty());
    vec![
        json!(name(pod)),
        json!(format!("{}/{}", state.ready, state.total)),
        json!(state.reason),
        json!(restarts),
        json!(age(pod, now)),
        json!(address.unwrap_or(text_or(pod, "status.podIP", NONE))),
        json!(text_or(pod, "spec.nodeName", NONE)),
        json!(text_or(pod, "status.nominatedNodeName", NONE)),
        json!(gates(pod)),
    ]
}

struct State {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl State {
    fn of(pod: &Value) -> State {
        let (total, init) = (list(pod, "spec.containers").len(), list(pod, "spec.initContainers"));
        let sidecars = init.iter().filter(|c| is_sidecar(c)).count();
        let reason = text_or(pod, "status.reason", text(pod, "status.phase")).to_owned();
        let mut state = State { ready: 0, total: total + sidecars, reason, restarts: 0, last_restart: None };
        if list(pod, "status.conditions")
            .iter()
            .any(|c| text(c, "type") == "PodScheduled" && text(c, "reason") == "SchedulingGated")
        {
            state.reason = "SchedulingGated".to_owned();
        }
        let initializing = state.initialization(pod, init);
        if !initializing || is_true(pod, "Initialized") {
            state.containers(pod, init);
        }
        if !text(pod, "metadata.deletionTimestamp").is_empty() {
            state.reason = match text(pod, "status.reason") {
                "NodeLost" => "Unknown".to_owned(),
                _ if matches!(text(pod, "status.phase"), "Succeeded" | "Failed") => state.reason,
                _ => "Terminating".to_owned(),
            };
        }
        state
    }

    /// Looks at the init containers; tells whether one of them is still at work, or failed.
    fn initialization(&mut self, pod: &Value, init: &[Value]) -> bool {
        for (i, status) in list(pod, "status.initContainerStatuses").iter().enumerate() {
            self.count_restarts(status);
            let terminated = get(status, "state.terminated");
            let waiting = text(status, "state.waiting.reason");
            let sidecar = init.iter().any(|c| text(c, "name") == text(status, "name") && is_sidecar(c));
            if terminated.is_object() && int(terminated, "exitCode") == 0 {
                continue;
            }
            if sidecar && flag(status, "started") {
                if flag(status, "ready") {
                    self.ready += 1;
                }
                continue;
            }
            self.reason = if terminated.is_object() {
                format!("Init:{}", ended(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{i}/{}", init.len())
            };
            return true;
        }
        false
    }

    fn containers(&mut self, pod: &Value, init: &[Value]) {
        // Of the init containers, only sidecars' restarts still matter.
        self.restarts = 0;
        self.last_restart = None;
        for status in list(pod, "status.initContainerStatuses") {
            if init.iter().any(|c| text(c, "name") == text(status, "name") && is_sidecar(c)) {
                self.count_restarts(status);
            }
        }
        let mut running = false;
        for status in list(pod, "status.containerStatuses").iter().rev() {
            self.count_restarts(status);
            let terminated = get(status, "state.terminated");
            let waiting = text(status, "state.waiting.reason");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if terminated.is_object() {
                self.reason = ended(terminated);
            } else if flag(status, "ready") && get(status, "state.running").is_object() {
                running = true;
                self.ready += 1;
            }
        }
        // Some containers have ended, and others are at work.
        if self.reason == "Completed" && running {
            self.reason = if is_true(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += int(status, "restartCount");
        let finished = time::parse(text(status, "lastState.terminated.finishedAt")).ok();
        self.last_restart = self.last_restart.max(finished);
    }
}

/// Why a container ended.
fn ended(terminated: &Value) -> String {
    match (text(terminated, "reason"), int(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "restartPolicy") == "Always"
}

fn is_true(pod: &Value, condition: &str) -> bool {
    list(pod, "status.conditions").iter().any(|c| text(c, "type") == condition && text(c, "status") == "True")
}

fn gates(pod: &Value) -> String {
    let gates = list(pod, "spec.readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let passed = gates.iter().filter(|gate| is_true(pod, text(gate, "conditionType"))).count();
    format!("{passed}/{}", gates.len())
}
