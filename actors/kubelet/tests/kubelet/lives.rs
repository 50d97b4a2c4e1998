//! Pods that run, end, crash and are deleted.

use cox_kit::feed::Change;
use cox_objects::{Resource, Trigger};
use cox_runtime::{ExecOutcome, ExecOutput, Runtime};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::cluster;
use crate::faulty::Mode;

fn shape(status: &Value) -> String {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let holds = |kind: &str| conditions.iter().any(|c| c["type"] == kind && c["status"] == "True");
    let state =
        status["containerStatuses"][0]["state"].as_object().and_then(|s| s.keys().next().cloned()).unwrap_or_default();
    let (phase, ip) = (status["phase"].as_str().unwrap_or_default(), status["podIP"].is_string());
    format!("{phase} {state} network={} ready={} ip={ip}", holds("PodReadyToStartContainers"), holds("Ready"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_runs_and_goes_with_the_writes_of_a_real_node() {
    let cluster = cluster::start().await;
    let mut changes = cluster.mirror.changes(&[Resource::PODS]);
    cluster.pod("p", json!({}), json!({})).await;
    cluster.until_running("p").await;
    cluster.delete("p", None).await;
    cluster.until_gone("p").await;
    let mut seen: Vec<String> = Vec::new();
    'all: while let Some(batch) = changes.next().await {
        for change in batch {
            let Some(object) = change.new else { break 'all };
            let next = shape(&object.value()["status"]);
            if seen.last() != Some(&next) {
                seen.push(next);
            }
        }
    }
    let wanted = [
        "Pending  network=false ready=false ip=false",
        "Pending waiting network=false ready=false ip=false",
        "Pending waiting network=true ready=false ip=false",
        "Running running network=true ready=true ip=true",
        "Running terminated network=true ready=false ip=true",
        "Running terminated network=false ready=false ip=true",
        "Failed terminated network=false ready=false ip=true",
    ];
    assert_eq!(seen.last().unwrap(), wanted.last().unwrap());
    // Writes may fall together, but none comes out of order, and none is of another kind.
    let mut rest = wanted.iter();
    assert!(seen.iter().all(|s| rest.any(|w| w == s)), "{seen:#?}");
    cluster.until("its event", || cluster.has_event("p", "Killing", "Stopping container c")).await;
    let (runtime, folder) = (cluster.runtime.clone(), cluster.dir.path().join("node/pods"));
    cluster
        .until("nothing is left", || {
            let sandboxes = futures::executor::block_on(runtime.list_sandboxes()).unwrap();
            sandboxes.is_empty() && std::fs::read_dir(&folder).unwrap().next().is_none()
        })
        .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_takes_long_is_told_of_meanwhile() {
    let cluster = cluster::start().await;
    cluster.faulty.set("create_container", "p", Mode::Hangs);
    cluster.pod("p", json!({}), json!({})).await;
    let creating = || cluster.container("p")["state"]["waiting"]["reason"] == "ContainerCreating";
    cluster.until("its first status", creating).await;
    let status = cluster.get("p")["status"].clone();
    assert!(status["startTime"].is_string() && status["hostIP"].is_string() && status["podIP"].is_null(), "{status}");
    cluster.faulty.clear();
    cluster.delete("p", Some(0)).await;
    cluster.until_gone("p").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_of_a_pod_names_the_change_that_it_answers_to() {
    let cluster = cluster::start().await;
    let mut changes = cluster.mirror.changes(&[Resource::PODS]);
    cluster.pod("p", json!({}), json!({})).await;
    cluster.until_running("p").await;
    cluster.delete("p", None).await;
    cluster.until_gone("p").await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|change: &Change| change.new.is_some()) {
        seen.extend(changes.next().await.unwrap());
    }
    let (created, deleted) = (&seen[0], seen.iter().find(|c| is_to_go(c)).unwrap());
    let running = seen.iter().find(|c| phase_of(c) == "Running").unwrap();
    let last = seen.last().unwrap();
    // The Pod came bound to its node: all until it runs answers to its creation, and its end to its deletion.
    for (write, because) in [(running, created), (last, deleted)] {
        let mut triggers = write.cause.trigger.iter().chain(&write.cause.folded);
        let named = Trigger::Event(because.event());
        assert!(triggers.any(|trigger| *trigger == named), "{:?} does not name {named:?}", write.cause);
        assert!(write.cause.correlation.is_some() && write.cause.correlation == because.cause.correlation);
    }
    cluster.stop().await;
}

fn is_to_go(change: &Change) -> bool {
    change.new.as_ref().is_some_and(|pod| pod.value()["metadata"]["deletionTimestamp"].is_string())
}

fn phase_of(change: &Change) -> String {
    let phase = change.new.as_ref().map(|pod| pod.value()["status"]["phase"].clone()).unwrap_or_default();
    phase.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_ends_is_started_again_and_then_backs_off() {
    let cluster = cluster::start().await;
    cluster.pod("p", json!({}), json!({})).await;
    cluster.until_running("p").await;
    cluster.runtime.exit(&cluster.newest("p").await, 1).unwrap();
    cluster.until("its first restart", || cluster.container("p")["restartCount"] == 1).await;
    cluster.until_running("p").await;
    assert_eq!(cluster.container("p")["lastState"]["terminated"]["exitCode"], 1);
    cluster.runtime.exit(&cluster.newest("p").await, 3).unwrap();
    cluster.until("its back-off", || cluster.container("p")["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    let status = cluster.container("p");
    assert!(
        status["state"]["waiting"]["message"]
            .as_str()
            .unwrap()
            .starts_with("back-off 10s restarting failed container=c")
    );
    assert_eq!((&status["lastState"]["terminated"]["exitCode"], &status["restartCount"]), (&json!(3), &json!(1)));
    assert_eq!(cluster.phase("p"), "Running");
    cluster
        .until("its event", || cluster.has_event("p", "BackOff", "Back-off restarting failed container c in pod"))
        .await;
    cluster.delete("p", Some(0)).await;
    cluster.until_gone("p").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_containers_and_sidecars_come_first_and_a_job_ends() {
    let cluster = cluster::start().await;
    let init = json!([
        {"name": "side", "image": cluster::IMAGE, "restartPolicy": "Always"},
        {"name": "i", "image": cluster::IMAGE},
    ]);
    cluster.pod("p", json!({}), json!({"initContainers": init, "restartPolicy": "Never"})).await;
    let init_of = |i: usize| cluster.get("p")["status"]["initContainerStatuses"][i].clone();
    cluster.until("the init container", || init_of(1)["state"]["running"].is_object()).await;
    assert_eq!(
        (init_of(0)["ready"].clone(), cluster.container("p")["state"]["waiting"]["reason"].clone()),
        (json!(true), json!("PodInitializing"))
    );
    cluster.runtime.exit(&cluster.newest("p").await, 0).unwrap();
    cluster.until_running("p").await;
    cluster.runtime.exit(&cluster.newest("p").await, 0).unwrap();
    cluster.until("its end", || cluster.phase("p") == "Succeeded").await;
    assert_eq!(init_of(0)["state"]["terminated"]["exitCode"], 143);
    assert_eq!(cluster.starts("p").await.len(), 3);
    cluster.delete("p", None).await;
    cluster.until_gone("p").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_after_the_start_and_before_the_stop() {
    let cluster = cluster::start().await;
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = calls.clone();
    cluster.runtime.on_exec(Arc::new(move |_, command| {
        noted.lock().push(command.join(" "));
        let bad = command.iter().any(|word| word == "bad");
        ExecOutput { outcome: ExecOutcome::Exited(i32::from(bad)), output: Vec::new() }
    }));
    let hook = |word: &str| json!({"exec": {"command": [word]}});
    let lifecycle = json!({"postStart": hook("hello"), "preStop": hook("goodbye")});
    cluster.pod("p", json!({"lifecycle": lifecycle}), json!({})).await;
    cluster.until_running("p").await;
    assert_eq!(*calls.lock(), ["hello"]);
    cluster.delete("p", None).await;
    cluster.until_gone("p").await;
    assert_eq!(*calls.lock(), ["hello", "goodbye"]);

    cluster.pod("q", json!({"lifecycle": {"postStart": hook("bad")}}), json!({"restartPolicy": "Always"})).await;
    cluster.until("its failure", || cluster.has_event("q", "FailedPostStartHook", "PostStartHook failed")).await;
    cluster.until("its kill", || cluster.has_event("q", "Killing", "FailedPostStartHook")).await;
    cluster.until("its restart", || cluster.container("q")["restartCount"] == 1).await;
    cluster.delete("q", Some(0)).await;
    cluster.until_gone("q").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_a_pod() {
    let cluster = cluster::start().await;
    cluster.pod("p", json!({}), json!({"activeDeadlineSeconds": 1})).await;
    cluster.until("its end", || cluster.phase("p") == "Failed").await;
    let status = cluster.get("p")["status"].clone();
    assert_eq!(
        (&status["reason"], &status["conditions"][2]["reason"]),
        (&json!("DeadlineExceeded"), &json!("PodFailed"))
    );
    cluster.stop().await;
}
