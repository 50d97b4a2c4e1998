//! Tests of plans: single decisions, and whole lives of pods in a world that only obeys.

mod lives;

use cox_runtime::{ContainerState, ExitReason, User};
use serde_json::{Value, json};

use super::*;
use crate::backoff::Held;
use crate::model::{Health, Memory, SandboxView};
use k8s_openapi::api::core::v1::Pod;

/// A time so many seconds after some beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn pod(spec: &Value, extra: &Value) -> Pod {
    let mut pod = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": spec});
    for (name, value) in extra.as_object().unwrap() {
        match name.as_str() {
            "status" => pod["status"] = value.clone(),
            _ => pod["metadata"][name] = value.clone(),
        }
    }
    serde_json::from_value(pod).unwrap()
}

fn view(name: &str, attempt: u32, state: ContainerState) -> ContainerView {
    let container = k8s_openapi::api::core::v1::Container { name: name.to_owned(), ..Default::default() };
    ContainerView {
        id: ContainerId(format!("{name}-{attempt}")),
        name: name.to_owned(),
        attempt,
        hash: hash(&container),
        image: String::new(),
        image_id: String::new(),
        state,
        user: User::default(),
        message: String::new(),
    }
}

fn running(name: &str, attempt: u32) -> ContainerView {
    view(name, attempt, ContainerState::Running { pid: 1, started_at: 0 })
}

fn ended(name: &str, attempt: u32, exit_code: i32, when: Timestamp) -> ContainerView {
    let finished_at = i64::try_from(when.as_nanosecond()).unwrap();
    let reason = ExitReason::Ended;
    view(
        name,
        attempt,
        ContainerState::Exited { exit_code, signal: None, reason, message: String::new(), started_at: 1, finished_at },
    )
}

fn sandbox() -> SandboxView {
    SandboxView { id: SandboxId("u-0".into()), attempt: 0, ready: true, ips: vec![] }
}

fn ready() -> Memory {
    Memory { volumes: Volumes::Ready, ..Memory::default() }
}

fn decide(pod: &Pod, containers: &[ContainerView], memory: &Memory, now: Timestamp) -> Plan {
    let sandbox = sandbox();
    plan(&Known { pod, sandbox: Some(&sandbox), containers, memory }, Duration::from_secs(30), now)
}

fn starts(plan: &Plan) -> Vec<(String, u32)> {
    let one = |step: &Step| match step {
        Step::Start { member, attempt } => Some((member.container.name.clone(), *attempt)),
        _ => None,
    };
    plan.steps.iter().filter_map(one).collect()
}

fn stops(plan: &Plan) -> Vec<String> {
    let one = |step: &Step| match step {
        Step::Stop { name, .. } => Some(name.clone()),
        _ => None,
    };
    plan.steps.iter().filter_map(one).collect()
}

fn names(list: &[(&str, u32)]) -> Vec<(String, u32)> {
    list.iter().map(|(name, attempt)| ((*name).to_owned(), *attempt)).collect()
}

#[test]
fn sandbox_and_volumes_are_made_together() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({}));
    let known = Known { pod: &pod, sandbox: None, containers: &[], memory: &Memory::default() };
    let steps = plan(&known, Duration::ZERO, at(0)).steps;
    assert_eq!(steps, [Step::MakeVolumes, Step::MakeSandbox { attempt: 0 }]);
    assert_eq!(starts(&decide(&pod, &[], &Memory::default(), at(0))), []);
}

#[test]
fn containers_start_after_the_init_containers_and_all_at_once() {
    let pod = pod(
        &json!({"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "a"}, {"name": "b"}]}),
        &json!({}),
    );
    let memory = ready();
    assert_eq!(starts(&decide(&pod, &[], &memory, at(0))), names(&[("i", 0)]));
    assert_eq!(starts(&decide(&pod, &[running("i", 0)], &memory, at(0))), []);
    let i = ended("i", 0, 0, at(0));
    assert_eq!(starts(&decide(&pod, std::slice::from_ref(&i), &memory, at(0))), names(&[("j", 0)]));
    let j = ended("j", 0, 0, at(0));
    assert_eq!(starts(&decide(&pod, &[i, j], &memory, at(0))), names(&[("a", 0), ("b", 0)]));
}

#[test]
fn a_sidecar_holds_up_the_next_until_it_has_started() {
    let init = json!([{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]);
    let pod = pod(&json!({"initContainers": init, "containers": [{"name": "c"}]}), &json!({}));
    let mut memory = ready();
    let s = running("s", 0);
    assert_eq!(starts(&decide(&pod, std::slice::from_ref(&s), &memory, at(0))), []);
    memory.health.insert(s.id.clone(), Health { started: true, ready: false, doomed: None });
    assert_eq!(starts(&decide(&pod, std::slice::from_ref(&s), &memory, at(0))), names(&[("i", 0)]));
    let i = ended("i", 0, 0, at(0));
    assert_eq!(starts(&decide(&pod, &[s.clone(), i.clone()], &memory, at(0))), names(&[("c", 0)]));
    // It is started again whenever it ends, also when the others run.
    let all = [ended("s", 0, 0, at(0)), i, running("c", 0)];
    assert_eq!(starts(&decide(&pod, &all, &memory, at(0))), names(&[("s", 1)]));
}

#[test]
fn a_crashed_container_waits_from_its_second_restart_on() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({}));
    let mut memory = ready();
    assert_eq!(starts(&decide(&pod, &[ended("c", 0, 1, at(0))], &memory, at(0))), names(&[("c", 1)]));
    memory.crashes.insert("c".into(), Backoff::next(None, at(0), at(0)));
    let again = decide(&pod, &[ended("c", 1, 1, at(1))], &memory, at(3));
    assert_eq!((starts(&again), again.again), (vec![], Some(Duration::from_secs(8))));
    assert_eq!(again.waiting[0].1.message, "back-off 10s restarting failed container=c pod=p_ns(u)");
    assert_eq!(starts(&decide(&pod, &[ended("c", 1, 1, at(1))], &memory, at(11))), names(&[("c", 2)]));
}

#[test]
fn a_start_under_way_is_no_back_off() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({}));
    let mut memory = ready();
    memory.crashes.insert("c".into(), Backoff::next(None, at(0), at(0)));
    memory.starting.insert("c".into());
    assert_eq!(decide(&pod, &[ended("c", 0, 1, at(0))], &memory, at(0)), Plan::default());
}

#[test]
fn policies_decide_whether_a_container_runs_again() {
    let restarts = |policy: &str, own: Value, code: i32| {
        let mut container = own;
        container["name"] = json!("c");
        let pod = pod(&json!({"restartPolicy": policy, "containers": [container, {"name": "other"}]}), &json!({}));
        !starts(&decide(&pod, &[ended("c", 0, code, at(0)), running("other", 0)], &ready(), at(0))).is_empty()
    };
    assert!(restarts("Always", json!({}), 0) && restarts("OnFailure", json!({}), 1));
    assert!(!restarts("OnFailure", json!({}), 0) && !restarts("Never", json!({}), 1));
    // The container's own policy and rules come first (KEP-5307).
    let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
    let ruled = json!({"restartPolicy": "Never", "restartPolicyRules": rules});
    assert!(restarts("Always", ruled.clone(), 42) && !restarts("Always", ruled, 41));
}

#[test]
fn a_doomed_container_is_stopped_once_with_the_probes_own_grace() {
    let probe = json!({"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 5});
    let pod = pod(&json!({"containers": [{"name": "c", "livenessProbe": probe}]}), &json!({}));
    let c = running("c", 0);
    let mut memory = ready();
    memory.health.insert(c.id.clone(), Health { doomed: Some(Kind::Liveness), ..Health::default() });
    let first = decide(&pod, std::slice::from_ref(&c), &memory, at(0));
    assert!(matches!(&first.steps[..], [Step::Stop { grace, tell: Some(_), .. }] if grace.as_secs() == 5), "{first:?}");
    memory.stopping.insert(c.id.clone());
    assert_eq!(decide(&pod, &[c], &memory, at(0)).steps, []);
}

#[test]
fn the_probe_that_failed_says_the_grace() {
    let probe = |grace: i64| json!({"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": grace});
    let container = json!({"name": "c", "livenessProbe": probe(5), "startupProbe": probe(7)});
    let pod = pod(&json!({"containers": [container], "terminationGracePeriodSeconds": 9}), &json!({}));
    for (kind, seconds) in [(Kind::Liveness, 5), (Kind::Startup, 7)] {
        let c = running("c", 0);
        let mut memory = ready();
        memory.health.insert(c.id.clone(), Health { doomed: Some(kind), ..Health::default() });
        let plan = decide(&pod, &[c], &memory, at(0));
        assert!(matches!(&plan.steps[..], [Step::Stop { grace, .. }] if grace.as_secs() == seconds), "{plan:?}");
    }
}

#[test]
fn an_end_is_shown_for_a_moment_before_its_back_off() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({}));
    let mut memory = ready();
    memory.crashes.insert("c".into(), Backoff { delay: Duration::from_secs(10), since: at(0) });
    let crashed = [ended("c", 1, 1, at(1))];
    let first = decide(&pod, &crashed, &memory, at(1));
    assert_eq!((starts(&first).len(), first.waiting.len(), first.again), (0, 0, Some(SHOWN)));
    let then = decide(&pod, &crashed, &memory, at(2));
    assert_eq!((then.waiting[0].1.reason.as_str(), then.again), ("CrashLoopBackOff", Some(Duration::from_secs(9))));
}

#[test]
fn a_container_that_was_stopped_to_be_restarted_backs_off_for_the_end_before_it() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({}));
    let mut memory = ready();
    memory.crashes.insert("c".into(), Backoff { delay: Duration::from_secs(10), since: at(0) });
    let stopped = ended("c", 1, 137, at(12));
    memory.condemned.insert(stopped.id.clone());
    // The start before it ended long ago, or there was none: nothing has failed lately.
    let begun = |before: Option<i64>| {
        let containers: Vec<_> = before.map(|s| ended("c", 0, 1, at(s))).into_iter().chain([stopped.clone()]).collect();
        starts(&decide(&pod, &containers, &memory, at(12))).len()
    };
    assert_eq!((begun(None), begun(Some(1)), begun(Some(8))), (1, 1, 0));
}

#[test]
fn a_shorter_grace_does_not_shorten_a_stop_but_none_at_all_kills() {
    let spec = json!({"containers": [{"name": "c"}]});
    let pod = pod(&spec, &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let (c, sandbox) = (running("c", 0), sandbox());
    let mut memory = ready();
    memory.stopping.insert(c.id.clone());
    let containers = [c];
    let known = Known { pod: &pod, sandbox: Some(&sandbox), containers: &containers, memory: &memory };
    assert_eq!(stops(&plan(&known, Duration::from_secs(1), at(0))), Vec::<String>::new());
    assert_eq!(stops(&plan(&known, Duration::ZERO, at(0))), ["c"]);
}

#[test]
fn an_ended_pod_goes_step_by_step_and_is_deleted_last() {
    let spec = json!({"initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "a"}, {"name": "b"}]});
    let pod = pod(&spec, &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let mut memory = ready();
    let (s, a, b) = (running("s", 0), running("a", 0), running("b", 0));
    assert_eq!(stops(&decide(&pod, &[s.clone(), a, b], &memory, at(0))), ["a", "b"]);
    let (a, b) = (ended("a", 0, 0, at(0)), ended("b", 0, 0, at(0)));
    assert_eq!(stops(&decide(&pod, &[s, a.clone(), b.clone()], &memory, at(0))), ["s"]);
    let all = [ended("s", 0, 0, at(0)), a, b];
    assert_eq!(decide(&pod, &all, &memory, at(0)).steps, [Step::StopSandbox(sandbox().id)]);
    let stopped = SandboxView { ready: false, ..sandbox() };
    let known = Known { pod: &pod, sandbox: Some(&stopped), containers: &all, memory: &memory };
    assert_eq!(plan(&known, Duration::ZERO, at(0)).steps, [Step::Finish]);
    memory.finished = true;
    let known = Known { pod: &pod, sandbox: Some(&stopped), containers: &all, memory: &memory };
    assert_eq!(plan(&known, Duration::ZERO, at(0)).steps, [Step::Delete]);
}

#[test]
fn one_that_was_only_made_does_not_hold_up_the_end() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let made = view("c", 0, ContainerState::Created);
    assert_eq!(decide(&pod, &[made], &ready(), at(0)).steps, [Step::StopSandbox(sandbox().id)]);
}

#[test]
fn the_count_goes_on_when_the_containers_are_gone() {
    let told = |state: Value| {
        let status = json!({"name": "c", "ready": true, "restartCount": 4, "image": "", "imageID": "",
            "containerID": "cox://x", "state": state, "lastState": {}});
        json!({"status": {"phase": "Running", "containerStatuses": [status]}})
    };
    let spec = json!({"restartPolicy": "Always", "containers": [{"name": "c"}]});
    let lost = pod(&spec, &told(json!({"running": {"startedAt": null}})));
    assert_eq!(starts(&decide(&lost, &[], &ready(), at(0))), names(&[("c", 5)]));
    let ended = pod(&spec, &told(json!({"terminated": {"exitCode": 0}})));
    assert_eq!(starts(&decide(&ended, &[], &ready(), at(0))), names(&[("c", 5)]));
    // Where nothing may run again, what is lost has failed.
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "c"}]});
    let over = pod(&spec, &told(json!({"running": {"startedAt": null}})));
    let known = Known { pod: &over, sandbox: None, containers: &[], memory: &ready() };
    assert_eq!(progress(&known), Progress::Over);
}

#[test]
fn a_failed_stop_is_tried_again_after_a_while() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let c = running("c", 0);
    let mut memory = ready();
    memory.not_before.insert(Retry::Stop(c.id.clone()), Held::longer(None, at(0)));
    let held = decide(&pod, std::slice::from_ref(&c), &memory, at(0));
    assert_eq!((held.steps, held.again), (vec![], Some(Duration::from_secs(2))));
    assert_eq!(stops(&decide(&pod, &[c], &memory, at(3))), ["c"]);
}

#[test]
fn a_start_that_the_runtime_failed_at_is_tried_again_after_a_while() {
    let pod = pod(&json!({"containers": [{"name": "c"}]}), &json!({}));
    let (made, mut memory) = (view("c", 0, ContainerState::Created), ready());
    // One whose start was lost with a restart goes on at once.
    assert_eq!(starts(&decide(&pod, std::slice::from_ref(&made), &memory, at(0))), names(&[("c", 0)]));
    let mut held = None;
    for seconds in [2, 4, 8] {
        held = Some(Held::longer(held.as_ref(), at(0)));
        memory.not_before.extend(held.map(|held| (Retry::Container("c".to_owned()), held)));
        let rests = decide(&pod, std::slice::from_ref(&made), &memory, at(0));
        assert_eq!((rests.steps, rests.again), (vec![], Some(Duration::from_secs(seconds))));
    }
    assert_eq!(starts(&decide(&pod, &[made], &memory, at(9))), names(&[("c", 0)]));
}
