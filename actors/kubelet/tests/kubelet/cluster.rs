//! A cluster of one node whose containers are hollow.

use std::sync::Arc;
use std::time::Duration;

use cox_bus::{Identity, Verb};
use cox_kit::{Registry, Running};
use cox_kubelet::config::REQUEST_TIMEOUT;
use cox_kubelet::spec::sandbox::NodeDns;
use cox_kubelet::{Config, Deps};
use cox_mirror::Mirror;
use cox_objects::{Key, Resource, Source, kinds};
use cox_runtime::hollow::Hollow;
use cox_runtime::{ContainerId, ContainerInfo, ImageConfig, Runtime};
use cox_test_support::{Core, deadline, request};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::faulty::Faulty;

pub(crate) const NODE: &str = "n1";
pub(crate) const IMAGE: &str = "localhost/box:1";

pub(crate) struct Cluster {
    core: Core,
    kubelet: Option<Running>,
    pub(crate) mirror: Mirror,
    pub(crate) runtime: Hollow,
    /// The same, as the kubelet has it.
    pub(crate) faulty: Faulty,
    pub(crate) dir: TempDir,
    /// How long the runtime may take for a request.
    pub(crate) patience: Duration,
    /// What the kubelet measures.
    pub(crate) metrics: Registry,
}

pub(crate) async fn start() -> Cluster {
    with_patience(REQUEST_TIMEOUT).await
}

/// One whose runtime is given up soon.
pub(crate) async fn impatient() -> Cluster {
    with_patience(Duration::from_millis(300)).await
}

async fn with_patience(patience: Duration) -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    let core = Core::start(dir.path(), &[NODE]).await;
    let mirror = core.mirror.clone();
    let runtime = Hollow::new();
    runtime.add_image(IMAGE, ImageConfig::default()).unwrap();
    let faulty = Faulty::new(runtime.clone());
    let mut cluster =
        Cluster { core, kubelet: None, mirror, runtime, faulty, dir, patience, metrics: Registry::default() };
    cluster.start_kubelet().await;
    cluster
}

impl Cluster {
    pub(crate) async fn start_kubelet(&mut self) {
        let config = Config {
            node_name: NODE.to_owned(),
            node_ips: vec!["192.0.2.2".to_owned()],
            pod_cidr: "10.244.0.0/24".to_owned(),
            root: self.dir.path().join("node"),
            log_root: self.dir.path().join("logs"),
            dns: NodeDns::default(),
            version: "v1.36.2+cox.0.1.0".to_owned(),
            max_pods: 110,
            request_timeout: self.patience,
            hollow: None,
        };
        let deps = Deps {
            bus: self.core.connect(Identity::Node(NODE.to_owned())).await,
            kinds: Arc::new(kinds::builtin()),
            feed: self.mirror.clone(),
            runtime: Arc::new(self.faulty.clone()),
            config,
            metrics: self.metrics.clone(),
        };
        self.kubelet = Some(cox_kubelet::start(deps).await.unwrap());
    }

    pub(crate) async fn stop_kubelet(&mut self) {
        self.kubelet.take().unwrap().stop().await;
    }

    pub(crate) async fn stop(mut self) {
        if self.kubelet.is_some() {
            self.stop_kubelet().await;
        }
        self.core.stop().await;
    }

    async fn call(&self, verb: Verb, plural: &str, name: &str, body: &Value) -> (u16, String) {
        let reply = self.core.call(&request(verb, plural, name, body)).await;
        (reply.code, String::from_utf8_lossy(&reply.body).into_owned())
    }

    pub(crate) async fn create(&self, plural: &str, object: Value) {
        self.core.create(plural, "default", &object).await;
    }

    pub(crate) async fn patch(&self, plural: &str, name: &str, patch: Value) {
        let (code, text) = self.call(Verb::Patch, plural, name, &patch).await;
        assert_eq!(code, 200, "{text}");
    }

    /// A pod of this node with one container `c`, some fields of which are given.
    pub(crate) async fn pod(&self, name: &str, container: Value, spec: Value) {
        let mut own = json!({"name": "c", "image": IMAGE});
        own.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        let mut whole = json!({"nodeName": NODE, "automountServiceAccountToken": false, "containers": [own]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.create("pods", json!({"metadata": {"name": name}, "spec": whole})).await;
    }

    pub(crate) async fn delete(&self, name: &str, grace: Option<i64>) {
        let body = grace.map_or(json!({}), |grace| json!({"gracePeriodSeconds": grace}));
        let (code, text) = self.call(Verb::Delete, "pods", name, &body).await;
        assert!(code == 200 || code == 202, "{code} {text}");
    }

    pub(crate) fn get(&self, name: &str) -> Value {
        let key = Key::new(Resource::PODS, "default", name);
        Source::get(&self.mirror, &key).map_or(Value::Null, |object| object.value())
    }

    pub(crate) fn container(&self, pod: &str) -> Value {
        self.get(pod)["status"]["containerStatuses"][0].clone()
    }

    pub(crate) fn phase(&self, pod: &str) -> String {
        self.get(pod)["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether an event of this reason and text was recorded of a pod.
    pub(crate) fn has_event(&self, pod: &str, reason: &str, text: &str) -> bool {
        let events = Source::list(&self.mirror, &Resource::EVENTS, "default");
        events.iter().map(|(_, event)| event.value()).any(|event| {
            event["involvedObject"]["name"] == pod
                && event["reason"] == reason
                && event["message"].as_str().is_some_and(|message| message.contains(text))
        })
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = deadline();
        while !holds() {
            assert!(Instant::now() < deadline, "not in time: {what}; pods: {}", self.pods());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn pods(&self) -> String {
        let pods = Source::list(&self.mirror, &Resource::PODS, "default");
        pods.iter().map(|(_, pod)| pod.value()["status"].to_string()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) async fn until_running(&self, pod: &str) {
        self.until(&format!("{pod} runs"), || self.phase(pod) == "Running" && self.container(pod)["ready"] == true)
            .await;
    }

    pub(crate) async fn until_gone(&self, pod: &str) {
        self.until(&format!("{pod} is gone"), || self.get(pod).is_null()).await;
    }

    /// Every start of a pod's containers that the runtime has, the oldest first.
    pub(crate) async fn starts(&self, pod: &str) -> Vec<ContainerInfo> {
        let mut all = self.runtime.list_containers(None).await.unwrap();
        all.retain(|c| c.labels.get("io.kubernetes.pod.name").map(String::as_str) == Some(pod));
        all.sort_by_key(|c| (c.created_at, c.attempt));
        all
    }

    pub(crate) async fn newest(&self, pod: &str) -> ContainerId {
        self.starts(pod).await.pop().unwrap().id
    }

    /// Waits until the runtime has nothing, and the node's folder no pod.
    pub(crate) async fn until_nothing_is_left(&self) {
        let pods = self.dir.path().join("node/pods");
        let is_left = || {
            let sandboxes = futures::executor::block_on(self.runtime.list_sandboxes()).unwrap();
            let folders = std::fs::read_dir(&pods).into_iter().flatten().flatten();
            sandboxes.into_iter().map(|s| s.spec.id.0).chain(folders.map(|f| f.path().display().to_string())).collect()
        };
        let mut left: Vec<String> = is_left();
        let deadline = Instant::now() + Duration::from_secs(90);
        while !left.is_empty() {
            assert!(Instant::now() < deadline, "these are left: {left:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = is_left();
        }
    }
}
