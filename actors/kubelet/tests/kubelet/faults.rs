//! The runtime fails or hangs at each step of a pod's way: it is told clearly, it is tried again, and nothing is left behind.

use cox_runtime::{ImageConfig, Runtime};
use serde_json::json;

use crate::cluster::{self, Cluster};
use crate::faulty::{MODES, Mode};

/// Each operation of a pod's start, and the reason and the words of the event that tells of its failure.
const STARTS: [(&str, &str, &str); 4] = [
    ("create_sandbox", "FailedCreatePodSandBox", "Failed to create pod sandbox: sandbox: "),
    ("resolve_image", "InspectFailed", "Failed to inspect image "),
    ("create_container", "Failed", "Error: container: "),
    ("start_container", "Failed", "Error: container: "),
];

/// A pod for each operation and each way in which it goes wrong: its name, the operation, the way.
fn cases(operations: &[&'static str]) -> Vec<(String, &'static str, Mode)> {
    let name = |operation: &str, mode| format!("{}-{mode:?}", operation.replace('_', "-")).to_lowercase();
    let all = operations.iter().flat_map(|operation| MODES.map(|mode| (name(operation, mode), *operation, mode)));
    all.collect()
}

impl Cluster {
    /// A pod with an image of its own, at which the operation goes wrong.
    async fn unlucky_pod(&self, pod: &str, operation: &'static str, mode: Mode) {
        let image = format!("localhost/{pod}:1");
        self.runtime.add_image(&image, ImageConfig::default()).unwrap();
        self.faulty.set(operation, if operation == "resolve_image" { &image } else { pod }, mode);
        self.pod(pod, json!({"image": image}), json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_a_start_may_go_wrong_and_is_made_good() {
    let cluster = cluster::impatient().await;
    let cases = cases(&STARTS.map(|(operation, ..)| operation));
    for (pod, operation, mode) in &cases {
        cluster.unlucky_pod(pod, operation, *mode).await;
    }
    for (pod, operation, mode) in &cases {
        let (_, reason, words) = STARTS.into_iter().find(|(name, ..)| name == operation).unwrap();
        cluster.until(&format!("{pod}: its event"), || cluster.has_event(pod, reason, words)).await;
        let hangs = matches!(mode, Mode::Hangs | Mode::HangsAfter);
        let why = if hangs { "did not answer within 0.3 s" } else { "it is broken" };
        assert!(cluster.has_event(pod, reason, why), "{pod} does not say {why}");
        // What was done in spite of that is found, and gone on from.
        if matches!(mode, Mode::Fails | Mode::Hangs) {
            assert_eq!(cluster.phase(pod), "Pending", "{pod}");
        }
    }
    cluster.faulty.clear();
    for (pod, ..) in &cases {
        cluster.until_running(pod).await;
        assert_eq!(cluster.starts(pod).await.len(), 1, "{pod} was started once");
        cluster.delete(pod, Some(1)).await;
    }
    for (pod, ..) in &cases {
        cluster.until_gone(pod).await;
    }
    cluster.until_nothing_is_left().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_whose_start_goes_wrong_can_be_deleted() {
    let cluster = cluster::impatient().await;
    let cases = cases(&STARTS.map(|(operation, ..)| operation));
    for (pod, operation, mode) in &cases {
        cluster.unlucky_pod(pod, operation, *mode).await;
    }
    for (pod, ..) in &cases {
        cluster.until(&format!("{pod} is seen"), || cluster.get(pod)["status"]["startTime"].is_string()).await;
        cluster.delete(pod, Some(1)).await;
    }
    // Also while the runtime is as it is.
    for (pod, ..) in &cases {
        cluster.until_gone(pod).await;
    }
    cluster.faulty.clear();
    cluster.until_nothing_is_left().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_an_end_may_go_wrong_and_is_made_good() {
    let cluster = cluster::impatient().await;
    let cases = cases(&["stop_container", "stop_sandbox", "remove_sandbox", "list_containers", "sandbox"]);
    for (pod, ..) in &cases {
        cluster.pod(pod, json!({}), json!({})).await;
    }
    for (pod, operation, mode) in &cases {
        cluster.until_running(pod).await;
        cluster.faulty.set(operation, pod, *mode);
        cluster.delete(pod, Some(1)).await;
    }
    // Those that go wrong after the pod is gone from the API hold nobody up: then each operation was tried.
    for (pod, ..) in cases.iter().filter(|(_, operation, _)| *operation == "remove_sandbox") {
        cluster.until_gone(pod).await;
    }
    cluster.faulty.clear();
    for (pod, ..) in &cases {
        cluster.until_gone(pod).await;
    }
    cluster.until_nothing_is_left().await;
    assert!(cluster.runtime.list_containers(None).await.unwrap().is_empty());
    cluster.stop().await;
}
