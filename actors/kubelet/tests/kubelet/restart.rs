//! The agent is stopped and started again: everything is found, nothing is started twice.

use std::collections::BTreeMap;

use cox_runtime::{ContainerState, Runtime};
use serde_json::json;

use crate::cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_found_again() {
    let mut cluster = cluster::start().await;
    for pod in ["stays", "dies", "goes"] {
        cluster.pod(pod, json!({}), json!({})).await;
        cluster.until_running(pod).await;
    }
    let ready = json!({"readinessProbe": {"exec": {"command": ["x"]}, "periodSeconds": 3600}});
    cluster.pod("probed", ready, json!({})).await;
    cluster.until_running("probed").await;
    let before: BTreeMap<&str, String> = ["stays", "dies", "probed"]
        .map(|pod| (pod, cluster.container(pod)["containerID"].as_str().unwrap().to_owned()))
        .into();
    let ready_since = cluster.get("probed")["status"]["conditions"][2]["lastTransitionTime"].clone();
    cluster.stop_kubelet().await;
    let running = |c: &cox_runtime::ContainerInfo| matches!(c.state, ContainerState::Running { .. });
    assert!(cluster.starts("stays").await.iter().all(running), "containers outlive the agent");
    cluster.runtime.exit(&cluster.newest("dies").await, 7).unwrap();
    cluster.delete("goes", Some(0)).await;
    cluster.pod("comes", json!({}), json!({})).await;
    cluster.start_kubelet().await;
    cluster.until_running("comes").await;
    cluster.until("the dead one is started again", || cluster.container("dies")["restartCount"] == 1).await;
    cluster.until_running("dies").await;
    assert_eq!(cluster.container("dies")["lastState"]["terminated"]["exitCode"], 7);
    for pod in ["stays", "probed"] {
        assert_eq!(cluster.container(pod)["containerID"], json!(before[pod]), "{pod}");
        assert_eq!(
            (&cluster.container(pod)["restartCount"], &cluster.container(pod)["ready"]),
            (&json!(0), &json!(true))
        );
        assert_eq!(cluster.starts(pod).await.len(), 1);
    }
    assert_eq!(cluster.get("probed")["status"]["conditions"][2]["lastTransitionTime"], ready_since);
    let runtime = cluster.runtime.clone();
    cluster
        .until("what was deleted meanwhile is gone", || {
            let all = futures::executor::block_on(runtime.list_sandboxes()).unwrap();
            !all.iter().any(|s| s.spec.labels.get("io.kubernetes.pod.name").is_some_and(|name| name == "goes"))
        })
        .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reboot_counts_go_on_and_ended_pods_stay_ended() {
    let mut cluster = cluster::start().await;
    cluster.pod("p", json!({}), json!({})).await;
    cluster.until_running("p").await;
    cluster.runtime.exit(&cluster.newest("p").await, 1).unwrap();
    cluster.until("a restart", || cluster.container("p")["restartCount"] == 1).await;
    cluster.until_running("p").await;
    cluster.pod("job", json!({}), json!({"restartPolicy": "Never"})).await;
    cluster.until_running("job").await;
    cluster.runtime.exit(&cluster.newest("job").await, 0).unwrap();
    cluster.until("its end", || cluster.phase("job") == "Succeeded").await;
    let job = cluster.get("job")["status"].clone();
    cluster.stop_kubelet().await;
    cluster.runtime.down().await.unwrap();
    cluster.start_kubelet().await;
    cluster.until("it runs again", || cluster.container("p")["restartCount"] == 2).await;
    cluster.until_running("p").await;
    let last = cluster.container("p")["lastState"]["terminated"].clone();
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(137), &json!("ContainerStatusUnknown")));
    assert_eq!(cluster.get("job")["status"], job);
    assert!(cluster.starts("job").await.is_empty());
    cluster.stop().await;
}
