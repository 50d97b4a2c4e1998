//! Pods with which nothing is done take little memory, and are looked into again when something happens.

use cox_kit::metrics::Metric;
use serde_json::json;

use crate::cluster::{self, Cluster};

/// How many parsed Pods there are in the kubelet.
fn parsed(cluster: &Cluster) -> i64 {
    cluster.metrics.gauge(Metric { name: "cox_kubelet_parsed_pods", help: "" }, &[]).get()
}

async fn until_at_rest(cluster: &Cluster) {
    cluster.until("nobody holds a parsed Pod", || parsed(cluster) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_pod_is_not_held_in_its_parsed_form() {
    let cluster = cluster::start().await;
    cluster.create("configmaps", json!({"metadata": {"name": "cm"}, "data": {"k": "v"}})).await;
    let volume = json!({"volumes": [{"name": "v", "configMap": {"name": "cm"}}]});
    cluster.pod("mounts", json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}), volume).await;
    cluster
        .pod("probed", json!({"readinessProbe": {"exec": {"command": ["x"]}, "periodSeconds": 3600}}), json!({}))
        .await;
    cluster.pod("plain", json!({}), json!({})).await;
    for pod in ["mounts", "probed", "plain"] {
        cluster.until_running(pod).await;
    }
    until_at_rest(&cluster).await;

    cluster.runtime.exit(&cluster.newest("plain").await, 1).unwrap();
    cluster.until("it is started again", || cluster.container("plain")["restartCount"] == 1).await;
    cluster.until_running("plain").await;
    until_at_rest(&cluster).await;

    // Its image is another one: only who compares the Pod with what runs finds that out.
    let image = json!({"spec": {"containers": [{"name": "c", "image": "localhost/box:2"}]}});
    cluster.runtime.add_image("localhost/box:2", cox_runtime::ImageConfig::default()).unwrap();
    cluster.patch("pods", "plain", image).await;
    cluster.until("the other image runs", || cluster.container("plain")["image"] == "localhost/box:2").await;
    cluster.until_running("plain").await;
    until_at_rest(&cluster).await;

    for pod in ["mounts", "probed", "plain"] {
        cluster.delete(pod, None).await;
    }
    for pod in ["mounts", "probed", "plain"] {
        cluster.until_gone(pod).await;
    }
    until_at_rest(&cluster).await;
    cluster.stop().await;
}
