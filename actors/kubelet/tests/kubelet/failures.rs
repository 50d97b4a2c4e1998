//! Pods that cannot run (yet): what is missing is told, and when it comes they run.

use std::os::unix::fs::PermissionsExt;

use cox_runtime::ImageConfig;
use serde_json::json;

use crate::cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_waits_for_its_config_map_and_follows_it() {
    let cluster = cluster::start().await;
    let volumes = json!([{"name": "v", "configMap": {"name": "m"}}, {"name": "e", "emptyDir": {}}]);
    let mounts = json!([{"name": "v", "mountPath": "/v"}, {"name": "e", "mountPath": "/e"}]);
    cluster.pod("p", json!({"volumeMounts": mounts}), json!({"volumes": volumes})).await;
    let text = "MountVolume.SetUp failed for volume \"v\" : configmap \"m\" not found";
    cluster.until("what is missing is told", || cluster.has_event("p", "FailedMount", text)).await;
    assert_eq!(cluster.phase("p"), "Pending");
    cluster.create("configmaps", json!({"metadata": {"name": "m"}, "data": {"k": "1"}})).await;
    cluster.until_running("p").await;
    let uid = cluster.get("p")["metadata"]["uid"].as_str().unwrap().to_owned();
    let file = cluster.dir.path().join(format!("node/pods/{uid}/volumes/configmap/v/k"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1");
    let own = cluster.dir.path().join(format!("node/pods/{uid}/volumes/empty-dir/e"));
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o700)).unwrap();
    cluster.patch("configmaps", "m", json!({"data": {"k": "2"}})).await;
    cluster.until("the file follows", || std::fs::read_to_string(&file).is_ok_and(|text| text == "2")).await;
    assert_eq!(
        std::fs::metadata(&own).unwrap().permissions().mode() & 0o777,
        0o700,
        "an emptyDir is the containers' own"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_key_is_a_config_error_until_it_is_there() {
    let cluster = cluster::start().await;
    let from = json!({"configMapKeyRef": {"name": "m", "key": "k"}});
    cluster.pod("p", json!({"env": [{"name": "A", "valueFrom": from}]}), json!({})).await;
    let waiting = || cluster.container("p")["state"]["waiting"].clone();
    cluster.until("the error", || waiting()["reason"] == "CreateContainerConfigError").await;
    assert_eq!(waiting()["message"], "configmap \"m\" not found");
    cluster.until("its event", || cluster.has_event("p", "Failed", "Error: configmap \"m\" not found")).await;
    cluster.create("configmaps", json!({"metadata": {"name": "m"}, "data": {"k": "1"}})).await;
    cluster.until_running("p").await;
    assert_eq!(cluster.starts("p").await.len(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_fail_in_their_own_ways() {
    let cluster = cluster::start().await;
    let waiting = |pod: &str| cluster.container(pod)["state"]["waiting"].clone();
    cluster.pod("pull", json!({"image": "localhost:5000/none:1"}), json!({})).await;
    cluster.until("the wait", || waiting("pull")["reason"] == "ImagePullBackOff").await;
    let message = waiting("pull")["message"].as_str().unwrap().to_owned();
    assert!(
        message
            .starts_with("Back-off pulling image \"localhost:5000/none:1\": ErrImagePull: rpc error: code = NotFound"),
        "{message}"
    );
    cluster.until("its event", || cluster.has_event("pull", "Failed", "Error: ErrImagePull")).await;
    cluster.pod("never", json!({"image": "localhost/none:1", "imagePullPolicy": "Never"}), json!({})).await;
    cluster.until("the refusal", || waiting("never")["reason"] == "ErrImageNeverPull").await;
    // The registry has it by now: the next try succeeds.
    cluster.runtime.add_remote_image("localhost:5000/none:1", ImageConfig::default()).unwrap();
    cluster.until_running("pull").await;
    let id = cluster.container("pull")["imageID"].as_str().unwrap().to_owned();
    assert!(id.starts_with("localhost:5000/none@sha256:"), "{id}");
    for pod in ["pull", "never"] {
        cluster.delete(pod, Some(1)).await;
        cluster.until_gone(pod).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_cannot_start_shows_why() {
    let cluster = cluster::start().await;
    cluster.runtime.fail_start(&["/no".to_owned()], "exec: \"/no\": no such file");
    cluster.pod("again", json!({"command": ["/no"]}), json!({})).await;
    cluster
        .until("its back-off", || cluster.container("again")["state"]["waiting"]["reason"] == "CrashLoopBackOff")
        .await;
    let last = cluster.container("again")["lastState"]["terminated"].clone();
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(128), &json!("StartError")));
    assert_eq!(cluster.container("again")["restartCount"], 1);
    cluster.pod("never", json!({"command": ["/no"]}), json!({"restartPolicy": "Never"})).await;
    cluster.until("its end", || cluster.phase("never") == "Failed").await;
    assert_eq!(cluster.container("never")["state"]["terminated"]["reason"], "StartError");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_does_not_fit_is_refused() {
    let cluster = cluster::start().await;
    cluster.pod("p", json!({"resources": {"requests": {"cpu": "1000"}}}), json!({})).await;
    cluster.until("its refusal", || cluster.phase("p") == "Failed").await;
    let status = cluster.get("p")["status"].clone();
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: 0"),
        "{message}"
    );
    assert_eq!((&status["reason"], &status["containerStatuses"]), (&json!("OutOfcpu"), &json!(null)));
    assert!(cluster.starts("p").await.is_empty());
    cluster.until("its event", || cluster.has_event("p", "OutOfcpu", "Node didn't have enough resource")).await;
    cluster.delete("p", None).await;
    cluster.until_gone("p").await;
    cluster.stop().await;
}
